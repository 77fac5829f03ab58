use clap::Args;
use serde_json::json;

use crate::api::{Body, segment};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json, printable, say};

/// Let a held execution go on now: a `wait` or `time_gate` is not waited for any longer.
#[derive(Args)]
pub(crate) struct Release {
    /// Its id.
    execution: String,
}

impl Release {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let path = format!("/v1/executions/{}/release", segment(&self.execution));
        let answer = context.api.post(&path, &Body::json(&json!({})))?;
        match context.format {
            Format::Json => print_json(&answer),
            Format::Human => say!("execution {} goes on", printable(&self.execution)),
        }
        Ok(())
    }
}
