use clap::Args;
use serde_json::json;

use crate::api::segment;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json, printable, say};

/// Delete a secret, or one key of it.
#[derive(Args)]
pub(crate) struct Delete {
    /// The secret's name.
    name: String,
    /// One key; not given: the whole secret.
    key: Option<String>,
}

impl Delete {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut path = format!("/v1/secrets/{}", segment(&self.name));
        let mut shown = self.name.clone();
        if let Some(key) = &self.key {
            path = format!("{path}/{}", segment(key));
            shown = format!("{shown}.{key}");
        }
        context.api.delete(&path)?;
        match context.format {
            Format::Json => print_json(&json!({ "deleted": shown })),
            Format::Human => say!("deleted {}", printable(&shown)),
        }
        Ok(())
    }
}
