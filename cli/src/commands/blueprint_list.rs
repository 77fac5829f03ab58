use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::listing::{Limit, Listing, print_listing};
use crate::output::{shortened, text, time};

/// List blueprints, each in its newest version.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = Listing {
            path: "/v1/blueprints",
            resource: "blueprints",
            query: Vec::new(),
            limit: self.limit.limit,
            header: &["name", "version", "applied", "description"],
            row: |row| {
                let description = shortened(&text(row, "description"), 60);
                vec![text(row, "name"), text(row, "version"), time(row, "created_at"), description]
            },
        };
        print_listing(context, &listing)
    }
}
