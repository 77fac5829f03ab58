use clap::Args;

use crate::api::{Body, segment};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json, printable, say, text};

/// Revoke a token: from now on it is refused everywhere.
#[derive(Args)]
#[command(after_help = "Example: sealflow token revoke ci")]
pub(crate) struct Revoke {
    /// The token's name or id, as `token list` shows it.
    token: String,
}

impl Revoke {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let path = format!("/v1/tokens/{}/revoke", segment(&self.token));
        let revoked = context.api.post(&path, &Body::json(&serde_json::json!({})))?;
        match context.format {
            Format::Json => print_json(&revoked),
            Format::Human => say!("revoked {}", printable(&text(&revoked, "name"))),
        }
        Ok(())
    }
}
