use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::listing::{Limit, Listing, print_listing};
use crate::output::{actor, text, time};

/// List tokens of the API: names, roles and times, never a token itself.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = Listing {
            path: "/v1/tokens",
            resource: "tokens",
            query: Vec::new(),
            limit: self.limit.limit,
            header: &["id", "name", "role", "grants", "created", "by", "used", "expires", "revoked"],
            row: |row| {
                vec![
                    text(row, "id"),
                    text(row, "name"),
                    text(row, "role"),
                    text(row, "grants"),
                    time(row, "created_at"),
                    actor(row, "created_by"),
                    time(row, "used_at"),
                    time(row, "expires_at"),
                    time(row, "revoked_at"),
                ]
            },
        };
        print_listing(context, &listing)
    }
}
