use clap::Args;

use super::{Context, Listing, filters, print_listing};
use crate::arguments::Limit;
use crate::failure::Failure;
use crate::output::{text, time};

/// List queue items that wait.
#[derive(Args)]
pub(crate) struct List {
    /// Of this workflow, by name or id.
    #[arg(long)]
    workflow: Option<String>,
    /// At this node.
    #[arg(long)]
    node: Option<String>,
    /// Of this run.
    #[arg(long)]
    run: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = Listing {
            path: "/v1/queue-items",
            resource: "queue_items",
            query: filters(&[("workflow", &self.workflow), ("node", &self.node), ("run", &self.run)]),
            limit: self.limit.limit,
            header: &["created", "node", "run", "event", "id"],
            row: |row| {
                vec![
                    time(row, "created_at"),
                    text(row, "node_id"),
                    text(row, "root_event_id"),
                    text(row, "event_id"),
                    text(row, "id"),
                ]
            },
        };
        print_listing(context, &listing)
    }
}
