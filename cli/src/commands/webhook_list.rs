use clap::Args;
use serde_json::Value;

use crate::context::Context;
use crate::failure::Failure;
use crate::listing::{Limit, Listing, filters, print_listing};
use crate::output::{text, time};

/// List webhooks: where to post, how to show that one may, and what was taken and refused. The counts are up to a minute late.
#[derive(Args)]
pub(crate) struct List {
    /// Of this workflow, by name or id.
    #[arg(long)]
    workflow: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = Listing {
            path: "/v1/webhooks",
            resource: "webhooks",
            query: filters(&[("workflow", &self.workflow)]),
            limit: self.limit.limit,
            header: &[
                "id",
                "workflow",
                "node",
                "url",
                "authentication",
                "accepted",
                "refused",
                "last refused",
                "previous key until",
            ],
            row,
        };
        print_listing(context, &listing)
    }
}

fn row(hook: &Value) -> Vec<String> {
    let mut cells: Vec<String> =
        ["id", "workflow_name", "node_id", "url", "authentication"].map(|field| text(hook, field)).into();
    let deliveries = &hook["deliveries"];
    let last = match deliveries["refused_last_reason"].as_str() {
        Some(reason) => format!("{} {reason}", time(deliveries, "refused_last_at")),
        None => String::new(),
    };
    cells.extend([text(deliveries, "accepted"), text(deliveries, "refused"), last]);
    cells.push(time(hook, "previous_until"));
    cells
}
