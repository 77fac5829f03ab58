use clap::Args;
use serde_json::Value;

use crate::api::segment;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, actor, print_json, print_table, printable, say, text, time};

/// Show a workflow with its definition.
#[derive(Args)]
pub(crate) struct Show {
    /// Its name or id.
    workflow: String,
}

impl Show {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut workflow = context.api.get(&format!("/v1/workflows/{}", segment(&self.workflow)), &[])?;
        let is_live = workflow["deleted_at"].is_null();
        let query = [("workflow", text(&workflow, "id"))];
        let mut webhooks = if is_live { context.api.get("/v1/webhooks", &query)? } else { Value::Null };
        match context.format {
            Format::Json => {
                workflow["webhooks"] = webhooks["webhooks"].take();
                print_json(&workflow);
            }
            Format::Human => {
                print_workflow(&workflow);
                print_webhooks(webhooks["webhooks"].as_array().map(Vec::as_slice).unwrap_or_default());
            }
        }
        Ok(())
    }
}

fn print_workflow(workflow: &Value) {
    let line = |name: &str, value: String| say!("{name:<12} {}", printable(&value));
    line("name", text(workflow, "name"));
    line("id", text(workflow, "id"));
    line("version", text(workflow, "version"));
    line("created", format!("{} by {}", time(workflow, "created_at"), actor(workflow, "created_by")));
    line("updated", time(workflow, "updated_at"));
    if !workflow["deleted_at"].is_null() {
        line("deleted", time(workflow, "deleted_at"));
    }
    if !text(workflow, "description").is_empty() {
        line("description", text(workflow, "description"));
    }
    print_graph(workflow);
}

/// The nodes and edges of a definition.
pub(super) fn print_graph(definition: &Value) {
    let list = |name: &str| definition[name].as_array().map(Vec::as_slice).unwrap_or_default();
    say!("\nnodes");
    print_table(&["id", "name", "uses", "concurrency"], list("nodes").iter().map(node_row).collect());
    say!("\nedges");
    let edge_row = |edge: &Value| vec![text(edge, "from"), text(edge, "channel"), text(edge, "to")];
    print_table(&["from", "channel", "to"], list("edges").iter().map(edge_row).collect());
}

fn node_row(node: &Value) -> Vec<String> {
    let kinds = ["trigger", "component", "blueprint"];
    let uses = kinds.iter().find(|kind| node[**kind].is_string());
    let uses = uses.map(|kind| format!("{kind} {}", text(node, kind))).unwrap_or_default();
    vec![text(node, "id"), text(node, "name"), uses, text(node, "concurrency")]
}

fn print_webhooks(webhooks: &[Value]) {
    if webhooks.is_empty() {
        return;
    }
    say!("\nwebhooks");
    let row = |hook: &Value| vec![text(hook, "node_id"), text(hook, "authentication"), text(hook, "url")];
    print_table(&["node", "authentication", "url"], webhooks.iter().map(row).collect());
}
