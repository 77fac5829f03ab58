use clap::Args;

use super::{Context, Listing, filters, print_listing};
use crate::arguments::Limit;
use crate::failure::Failure;
use crate::output::{text, time};

/// List runs.
#[derive(Args)]
pub(crate) struct List {
    /// Of this workflow, by name or id.
    #[arg(long)]
    workflow: Option<String>,
    /// Of this trigger node.
    #[arg(long)]
    node: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = Listing {
            path: "/v1/runs",
            resource: "runs",
            query: filters(&[("workflow", &self.workflow), ("node", &self.node)]),
            limit: self.limit.limit,
            header: &["started", "state", "workflow", "trigger", "executions", "id", "name"],
            row: |row| {
                vec![
                    time(row, "created_at"),
                    text(row, "state"),
                    text(row, "workflow_name"),
                    text(row, "node_id"),
                    text(row, "executions"),
                    text(row, "id"),
                    text(row, "custom_name"),
                ]
            },
        };
        print_listing(context, &listing)
    }
}
