use clap::Args;
use serde_json::Value;

use crate::api::segment;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json, printable, say};

/// Delete a version of a blueprint, or all of them; none that is in use.
#[derive(Args)]
pub(crate) struct Delete {
    /// Its name, or its name and version as `deploy@2`.
    blueprint: String,
}

impl Delete {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let path = format!("/v1/blueprints/{}", segment(&self.blueprint));
        let answer = context.api.delete(&path)?;
        match context.format {
            Format::Json => print_json(&answer),
            Format::Human => {
                let name = self.blueprint.split('@').next().unwrap_or_default();
                for version in answer["versions"].as_array().into_iter().flatten().filter_map(Value::as_i64) {
                    say!("deleted {}@{version}", printable(name));
                }
            }
        }
        Ok(())
    }
}
