use clap::Args;
use domain::execution::ExecutionState;
use serde_json::json;

use crate::api::{Body, segment};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json, printable, say, text};

/// Cancel one execution; the rest of its run goes on.
#[derive(Args)]
pub(crate) struct Cancel {
    /// Its id.
    execution: String,
}

impl Cancel {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let path = format!("/v1/executions/{}/cancel", segment(&self.execution));
        let answer = context.api.post(&path, &Body::json(&json!({})))?;
        match context.format {
            Format::Json => print_json(&answer),
            Format::Human => {
                let state = text(&answer["execution"], "state");
                let ends = if state == ExecutionState::Held.as_str() { ", and ends now" } else { "" };
                say!("execution {} is {}{ends}", printable(&self.execution), printable(&state));
            }
        }
        Ok(())
    }
}
