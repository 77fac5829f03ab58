use clap::Args;
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json, print_table, text, time};

/// List the webhooks of a workflow: where to post, and how to show that one may.
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
                let header = ["id", "node", "url", "authentication", "header", "previous key until"];
                print_table(&header, rows.iter().map(row).collect());
            }
        }
        Ok(())
    }
}

fn row(hook: &Value) -> Vec<String> {
    let mut cells: Vec<String> =
        ["id", "node_id", "url", "authentication", "header_name"].map(|field| text(hook, field)).into();
    cells.push(time(hook, "previous_until"));
    cells
}
