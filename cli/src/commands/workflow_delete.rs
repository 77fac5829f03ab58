use clap::Args;
use serde_json::json;

use crate::api::segment;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json, printable, say};

/// Delete a workflow; its history stays.
#[derive(Args)]
pub(crate) struct Delete {
    /// Its name or id.
    workflow: String,
}

impl Delete {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        context.api.delete(&format!("/v1/workflows/{}", segment(&self.workflow)))?;
        match context.format {
            Format::Json => print_json(&json!({ "deleted": self.workflow })),
            Format::Human => say!("deleted {}", printable(&self.workflow)),
        }
        Ok(())
    }
}
