use clap::Args;
use serde_json::json;

use super::Context;
use crate::api::{Body, segment};
use crate::failure::Failure;
use crate::output::{Format, print_json, printable, run_outcome, say};

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
                say!("run {} is {}", printable(&self.run), printable(&run_outcome(&answer["run"])));
            }
        }
        Ok(())
    }
}
