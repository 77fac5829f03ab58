use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, actor, emit, print_json, printable, text, time};

/// Show whose token is used, and what it may do.
#[derive(Args)]
pub(crate) struct Status {}

impl Status {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let me = context.api.get("/v1/me", &[])?;
        match context.format {
            Format::Json => print_json(&me),
            Format::Human => {
                let mut lines = vec![
                    ("who", actor(&me, "actor")),
                    ("organization", text(&me, "organization_name")),
                    ("role", text(&me, "role")),
                    ("grants", text(&me, "grants")),
                    ("may", text(&me, "actions")),
                ];
                if !me["expires_at"].is_null() {
                    lines.push(("until", time(&me, "expires_at")));
                }
                let shown = lines.iter().map(|(name, value)| format!("{name:<13} {}\n", printable(value)));
                emit(&shown.collect::<String>());
            }
        }
        Ok(())
    }
}
