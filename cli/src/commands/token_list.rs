use clap::Args;

use super::access::print_tokens;
use crate::context::Context;
use crate::failure::Failure;
use crate::listing::Limit;

/// List tokens of the API: names, roles and times, never a token itself.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let header = &["id", "name", "role", "grants", "created", "by", "used", "expires", "revoked"];
        print_tokens(context, ("/v1/tokens", "tokens"), header, &self.limit)
    }
}
