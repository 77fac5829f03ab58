use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::listing::{Limit, Listing, filters, print_listing};
use crate::output::{shortened, text, time};

/// List events.
#[derive(Args)]
pub(crate) struct List {
    /// Of this workflow, by name or id.
    #[arg(long)]
    workflow: Option<String>,
    /// Of this node.
    #[arg(long)]
    node: Option<String>,
    /// Of this run.
    #[arg(long)]
    run: Option<String>,
    /// On this channel.
    #[arg(long)]
    channel: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = Listing {
            path: "/v1/events",
            resource: "events",
            query: filters(&[
                ("workflow", &self.workflow),
                ("node", &self.node),
                ("run", &self.run),
                ("channel", &self.channel),
            ]),
            limit: self.limit.limit,
            header: &["created", "node", "channel", "type", "targets", "id", "data"],
            row: |row| {
                vec![
                    time(row, "created_at"),
                    text(row, "node_id"),
                    text(row, "channel"),
                    text(row, "type"),
                    text(row, "targets"),
                    text(row, "id"),
                    shortened(&row["data"].to_string(), 60),
                ]
            },
        };
        print_listing(context, &listing)
    }
}
