use clap::Args;
use serde_json::Value;

use super::access::{Access, print_made, seconds};
use crate::api::Body;
use crate::context::Context;
use crate::failure::Failure;

/// Make a token for a program. It is shown once, here. It counts as you: it may do no more, and ends with you.
#[derive(Args)]
#[command(after_help = "Example: sealflow token create ci --role editor --expires 90d")]
pub(crate) struct Create {
    /// Its name, which says its purpose.
    name: String,
    #[command(flatten)]
    access: Access,
    /// From when it is refused: a number with s, m, h or d behind it. Not given: it lasts until it
    /// is revoked.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    expires: Option<u64>,
}

impl Create {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut body = self.access.body();
        body["name"] = Value::from(self.name.as_str());
        if let Some(seconds) = self.expires {
            body["expires_in_seconds"] = Value::from(seconds);
        }
        let made = context.api.post("/v1/tokens", &Body::json(&body))?;
        print_made(&made, "the token", context.format);
        Ok(())
    }
}
