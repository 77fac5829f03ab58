use clap::Args;
use serde_json::Value;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json, printable, say, text, time};

/// Show the organization of the token.
#[derive(Args)]
pub(crate) struct Show {}

impl Show {
    #[expect(clippy::unused_self, reason = "every command is run in the same way")]
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let organization = context.api.get("/v1/organization", &[])?;
        match context.format {
            Format::Json => print_json(&organization),
            Format::Human => print_organization(&organization),
        }
        Ok(())
    }
}

/// Prints an organization for a person.
pub(super) fn print_organization(organization: &Value) {
    let line = |name: &str, value: String| say!("{name:<12} {}", printable(&value));
    line("name", text(organization, "name"));
    line("id", text(organization, "id"));
    line("runs kept", kept(organization));
    line("created", time(organization, "created_at"));
}

/// How long finished runs are kept: the organization's days, or the operator's where they are less.
fn kept(organization: &Value) -> String {
    let days = |field: &str| organization[field].as_i64();
    match (days("retention_days"), days("retention_days_max")) {
        (Some(own), Some(most)) if most < own => {
            format!("{most} days (the operator's maximum; {own} are set)")
        }
        (Some(own), _) => format!("{own} days"),
        (None, Some(most)) => format!("{most} days (the operator's maximum)"),
        (None, None) => "for ever".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_days_that_count_are_shown() {
        let check = |own: Value, most: Value, expected: &str| {
            assert_eq!(kept(&json!({ "retention_days": own, "retention_days_max": most })), expected);
        };
        check(Value::Null, Value::Null, "for ever");
        check(json!(30), Value::Null, "30 days");
        check(json!(30), json!(30), "30 days");
        check(json!(90), json!(30), "30 days (the operator's maximum; 90 are set)");
        check(Value::Null, json!(30), "30 days (the operator's maximum)");
    }
}
