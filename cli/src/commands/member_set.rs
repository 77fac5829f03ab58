use clap::Args;

use super::access::Access;
use crate::api::{Body, segment};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json, printable, say, text};

/// Give a member another role.
#[derive(Args)]
#[command(after_help = "Example: sealflow member set ann@example.com --role admin")]
pub(crate) struct Set {
    /// The member's e-mail address or id.
    member: String,
    #[command(flatten)]
    access: Access,
}

impl Set {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let path = format!("/v1/members/{}", segment(&self.member));
        let changed = context.api.patch(&path, &Body::json(&self.access.body()))?;
        match context.format {
            Format::Json => print_json(&changed),
            Format::Human => {
                say!(
                    "{} is {} now, with: {}",
                    printable(&text(&changed, "name")),
                    text(&changed, "role"),
                    text(&changed, "grants")
                );
            }
        }
        Ok(())
    }
}
