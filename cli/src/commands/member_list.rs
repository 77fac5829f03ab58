use clap::Args;

use super::access::print_tokens;
use crate::context::Context;
use crate::failure::Failure;
use crate::listing::Limit;

/// List members: addresses, roles and times.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let header = &["id", "name", "role", "grants", "created", "by", "used", "expires", "removed"];
        print_tokens(context, ("/v1/members", "members"), header, &self.limit)
    }
}
