use clap::Args;
use serde_json::Value;

use super::access::{Access, print_made, seconds};
use crate::api::Body;
use crate::context::Context;
use crate::failure::Failure;

/// Make a member: a person's token, which is shown once, here. Nothing is sent to the address.
#[derive(Args)]
#[command(after_help = "Example: sealflow member invite ann@example.com --role editor")]
pub(crate) struct Invite {
    /// The person's e-mail address.
    email: String,
    #[command(flatten)]
    access: Access,
    /// From when it is refused: a number with s, m, h or d behind it. Not given: it lasts until the
    /// member is removed.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires: Option<u64>,
}

impl Invite {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut body = self.access.body();
        body["email"] = Value::from(self.email.as_str());
        if let Some(seconds) = self.expires {
            body["expires_in_seconds"] = Value::from(seconds);
        }
        let made = context.api.post("/v1/members", &Body::json(&body))?;
        print_made(&made, "the member", context.format);
        Ok(())
    }
}
