use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use crate::api::segment;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, emit, print_json, printable, text};

/// Apply the workflows that use another version of a blueprint anew with this one.
#[derive(Args)]
pub(crate) struct Upgrade {
    /// Its name, for the newest version, or its name and version as `deploy@2`.
    blueprint: String,
    /// Only this workflow, by name or id.
    #[arg(long, value_name = "WORKFLOW")]
    workflow: Option<String>,
    /// Only say what would be applied.
    #[arg(long)]
    check: bool,
}

impl Upgrade {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut query = Vec::new();
        query.extend(self.workflow.clone().map(|workflow| ("workflow", workflow)));
        query.extend(self.check.then(|| ("check", "true".to_owned())));
        let path = format!("/v1/blueprints/{}/upgrade", segment(&self.blueprint));
        let mut answer = context.api.post_query(&path, &query)?;
        while let Some(cursor) = answer["next_cursor"].as_str().map(str::to_owned) {
            let more = context.api.post_query(&path, &[query.clone(), vec![("cursor", cursor)]].concat())?;
            let workflows = list(&answer, "workflows").chain(list(&more, "workflows")).cloned().collect();
            answer["workflows"] = Value::Array(workflows);
            answer["next_cursor"] = more["next_cursor"].clone();
        }
        match context.format {
            Format::Json => print_json(&answer),
            Format::Human => emit(&render(&answer, &self.blueprint)),
        }
        let refused = list(&answer, "workflows").filter(|workflow| workflow["refused"].is_string()).count();
        match refused {
            0 => Ok(()),
            1 => Err(Failure::Failed("a workflow could not be upgraded".to_owned())),
            _ => Err(Failure::Failed(format!("{refused} workflows could not be upgraded"))),
        }
    }
}

fn list<'v>(answer: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    answer[field].as_array().into_iter().flatten()
}

fn render(answer: &Value, blueprint: &str) -> String {
    let mut out = String::new();
    let name = blueprint.split('@').next().unwrap_or_default();
    let to = format!("{}@{}", printable(name), text(answer, "version"));
    for workflow in list(answer, "workflows") {
        let name = printable(&text(workflow, "name"));
        let _ = match (workflow["refused"].as_str(), workflow["applied"].as_bool()) {
            (Some(why), _) => writeln!(out, "refused {name}: {}", printable(why)),
            (None, Some(true)) => writeln!(out, "applied {name} with {to}"),
            (None, _) => writeln!(out, "would apply {name} with {to}"),
        };
        for error in list(workflow, "errors") {
            let _ = writeln!(
                out,
                "  {}: {}",
                printable(&text(error, "field")),
                printable(&text(error, "message"))
            );
        }
    }
    for other in list(answer, "blueprints").filter_map(Value::as_str) {
        let _ = writeln!(
            out,
            "{} uses another version: apply it anew, and upgrade what uses it",
            printable(other)
        );
    }
    if out.is_empty() {
        out = format!("nothing uses another version than {to}\n");
    }
    out
}
