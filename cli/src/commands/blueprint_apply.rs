use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::workflow_apply::read_definition;
use crate::api::Body;
use crate::context::Context;
use crate::failure::{Failure, Place, Source, render_place};
use crate::output::{Format, emit, print_json, printable, text};

/// Apply a blueprint: what differs from its newest version becomes the next one.
#[derive(Args)]
pub(crate) struct Apply {
    /// The definition, YAML or JSON; `-` reads standard input.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Only say what is wrong with it.
    #[arg(long)]
    check: bool,
}

impl Apply {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let source = read_definition(&self.file)?;
        let query: Vec<_> = self.check.then(|| ("check", "true".to_owned())).into_iter().collect();
        let bytes = zeroize::Zeroizing::new(source.text.clone().into_bytes());
        let body = Body { content_type: "application/yaml", bytes };
        match context.api.put("/v1/blueprints", &query, &body) {
            Ok(answer) => {
                match context.format {
                    Format::Json => print_json(&answer),
                    Format::Human => emit(&render(&answer, &source, self.check)),
                }
                Ok(())
            }
            Err(Failure::Refused(mut refusal)) => {
                refusal.source = Some(source);
                Err(Failure::Refused(refusal))
            }
            Err(failure) => Err(failure),
        }
    }
}

fn render(answer: &Value, source: &Source, is_check: bool) -> String {
    let mut out = String::new();
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        let place: Place = serde_json::from_value(warning.clone()).unwrap_or_default();
        out.push_str(&render_place("warning", &place, Some(source)));
    }
    let blueprint = &answer["blueprint"];
    let name = format!("{}@{}", printable(&text(blueprint, "name")), text(blueprint, "version"));
    out.push_str(&match (answer["applied"].as_bool(), is_check) {
        (Some(true), _) => format!("applied {name}\nnodes use it with `blueprint: {name}`\n"),
        (_, true) => "checked only: nothing was changed\n".to_owned(),
        (_, false) => format!("nothing changes: the newest is {name}\n"),
    });
    out
}
