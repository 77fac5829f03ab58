use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::listing::{Limit, Listing, filters, print_listing};
use crate::output::{shortened, text, time};

/// List dead letters: executions that failed, whose failure no edge took, and that were not redriven.
#[derive(Args)]
pub(crate) struct List {
    /// Of this workflow, by name or id.
    #[arg(long)]
    workflow: Option<String>,
    /// Of this node.
    #[arg(long)]
    node: Option<String>,
    /// For this reason, such as component_error.
    #[arg(long)]
    reason: Option<String>,
    /// Of this run.
    #[arg(long)]
    run: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = Listing {
            path: "/v1/dead-letters",
            resource: "dead_letters",
            query: filters(&[
                ("workflow", &self.workflow),
                ("node", &self.node),
                ("reason", &self.reason),
                ("run", &self.run),
            ]),
            limit: self.limit.limit,
            header: &["finished", "workflow", "node", "reason", "id", "message"],
            row: |row| {
                vec![
                    time(row, "finished_at"),
                    text(row, "workflow_name"),
                    text(row, "node_name"),
                    text(row, "result_reason"),
                    text(row, "id"),
                    shortened(&text(row, "result_message"), 80),
                ]
            },
        };
        print_listing(context, &listing)
    }
}
