use clap::Args;
use serde_json::json;

use super::Context;
use crate::api::{Body, segment};
use crate::failure::Failure;
use crate::output::{Format, print_json, printable, say, text};

/// Cancel a run.
#[derive(Args)]
pub(crate) struct Cancel {
    /// Its id.
    run: String,
}

impl Cancel {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let answer =
            context.api.post(&format!("/v1/runs/{}/cancel", segment(&self.run)), &Body::json(&json!({})))?;
        match context.format {
            Format::Json => print_json(&answer),
            Format::Human => {
                let state = text(&answer["run"], "state");
                say!("run {} is {}", printable(&self.run), printable(&state));
            }
        }
        Ok(())
    }
}
