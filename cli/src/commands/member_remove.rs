use clap::Args;

use crate::api::segment;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, say};

/// Remove a member, and with it the tokens that it made: from now on they are refused everywhere.
#[derive(Args)]
#[command(after_help = "Example: sealflow member remove ann@example.com")]
pub(crate) struct Remove {
    /// The member's e-mail address or id.
    member: String,
}

impl Remove {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        context.api.delete(&format!("/v1/members/{}", segment(&self.member)))?;
        if context.format == Format::Human {
            say!("removed {}", self.member);
        }
        Ok(())
    }
}
