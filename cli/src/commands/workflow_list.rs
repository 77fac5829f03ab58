use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::listing::{Limit, Listing, print_listing};
use crate::output::{text, time};

/// List workflows.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = Listing {
            path: "/v1/workflows",
            resource: "workflows",
            query: Vec::new(),
            limit: self.limit.limit,
            header: &["name", "version", "updated", "id", "description"],
            row: |row| {
                let description = crate::output::shortened(&text(row, "description"), 60);
                vec![
                    text(row, "name"),
                    text(row, "version"),
                    time(row, "updated_at"),
                    text(row, "id"),
                    description,
                ]
            },
        };
        print_listing(context, &listing)
    }
}
