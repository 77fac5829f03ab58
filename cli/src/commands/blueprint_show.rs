use clap::Args;
use serde_json::Value;

use super::workflow_show::print_graph;
use crate::api::segment;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, actor, print_json, print_table, printable, say, text, time};

/// Show a blueprint with its definition, its versions and what uses it.
#[derive(Args)]
pub(crate) struct Show {
    /// Its name, or its name and version as `deploy@2`.
    blueprint: String,
}

impl Show {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let blueprint = context.api.get(&format!("/v1/blueprints/{}", segment(&self.blueprint)), &[])?;
        match context.format {
            Format::Json => print_json(&blueprint),
            Format::Human => print_blueprint(&blueprint),
        }
        Ok(())
    }
}

fn print_blueprint(blueprint: &Value) {
    let line = |name: &str, value: String| say!("{name:<12} {}", printable(&value));
    let list = |name: &str| blueprint[name].as_array().map(Vec::as_slice).unwrap_or_default();
    line("name", text(blueprint, "name"));
    line("version", text(blueprint, "version"));
    line("applied", format!("{} by {}", time(blueprint, "created_at"), actor(blueprint, "created_by")));
    let versions: Vec<String> = list("versions").iter().map(Value::to_string).collect();
    line("versions", versions.join(", "));
    if !text(blueprint, "description").is_empty() {
        line("description", text(blueprint, "description"));
    }
    say!("\ninputs");
    let inputs = blueprint["inputs"].as_object().into_iter().flatten();
    let input = |(name, input): (&String, &Value)| {
        let is_required = input["required"].as_bool().unwrap_or_default();
        let missing = if is_required { "must be given" } else { "not shown" };
        let default = input.get("default").map_or_else(|| missing.to_owned(), Value::to_string);
        vec![name.clone(), default, text(input, "description")]
    };
    print_table(&["name", "default", "description"], inputs.map(input).collect());
    print_graph(blueprint);
    say!("\noutputs");
    let output =
        |output: &Value| vec![text(output, "channel"), text(output, "node"), text(output, "from_channel")];
    print_table(&["channel", "node", "from channel"], list("outputs").iter().map(output).collect());
    say!("\nused by");
    let user = |user: &Value| {
        let kind = if user["workflow_id"].is_null() { "blueprint" } else { "workflow" };
        vec![kind.to_owned(), text(user, "name"), text(user, "version")]
    };
    print_table(&["kind", "name", "version"], list("used_by").iter().map(user).collect());
}
