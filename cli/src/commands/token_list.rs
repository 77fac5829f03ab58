use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::listing::{Limit, Listing, print_listing};
use crate::output::{text, time};

/// List tokens of the API: names and times, never a token itself.
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
            header: &["id", "name", "created", "by", "expires", "revoked"],
            row: |row| {
                vec![
                    text(row, "id"),
                    text(row, "name"),
                    time(row, "created_at"),
                    text(row, "created_by"),
                    time(row, "expires_at"),
                    time(row, "revoked_at"),
                ]
            },
        };
        print_listing(context, &listing)
    }
}
