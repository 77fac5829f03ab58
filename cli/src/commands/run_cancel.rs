use clap::Args;
use domain::run::RunState;
use serde_json::json;

use crate::api::{Body, segment};
use crate::context::Context;
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
            Format::Human if answer["run"]["state"] == RunState::Running.as_str() => {
                say!(
                    "run {} is cancelled; what is held or at work of it ends in a moment",
                    printable(&self.run)
                );
            }
            Format::Human => {
                say!("run {} is {}", printable(&self.run), printable(&run_outcome(&answer["run"])));
            }
        }
        Ok(())
    }
}
