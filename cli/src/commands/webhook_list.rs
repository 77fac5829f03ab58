use clap::Args;
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json, print_table, text, time};

/// List the webhooks of a workflow: where to post, how to show that one may, and what was taken and refused. The counts are up to a minute late.
#[derive(Args)]
pub(crate) struct List {
    /// The workflow's name or id.
    #[arg(long, value_name = "WORKFLOW")]
    workflow: String,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        // A workflow has few of them: the API gives no pages.
        let answer = context.api.get("/v1/webhooks", &[("workflow", self.workflow.clone())])?;
        match context.format {
            Format::Json => print_json(&json!({ "webhooks": answer["webhooks"] })),
            Format::Human => {
                let rows = answer["webhooks"].as_array().map(Vec::as_slice).unwrap_or_default();
                let header = [
                    "id",
                    "node",
                    "url",
                    "authentication",
                    "accepted",
                    "refused",
                    "last refused",
                    "previous key until",
                ];
                print_table(&header, rows.iter().map(row).collect());
            }
        }
        Ok(())
    }
}

fn row(hook: &Value) -> Vec<String> {
    let mut cells: Vec<String> =
        ["id", "node_id", "url", "authentication"].map(|field| text(hook, field)).into();
    let deliveries = &hook["deliveries"];
    let last = match deliveries["refused_last_reason"].as_str() {
        Some(reason) => format!("{} {reason}", time(deliveries, "refused_last_at")),
        None => String::new(),
    };
    cells.extend([text(deliveries, "accepted"), text(deliveries, "refused"), last]);
    cells.push(time(hook, "previous_until"));
    cells
}
