use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::listing::{Limit, Listing, filters, print_listing};
use crate::output::{duration, outcome, shortened, text, time};
use crate::waits::waits_for;

/// List executions.
#[derive(Args)]
pub(crate) struct List {
    /// Of this workflow, by name or id.
    #[arg(long)]
    workflow: Option<String>,
    /// Of this node.
    #[arg(long)]
    node: Option<String>,
    /// Of this run.
    #[arg(long)]
    run: Option<String>,
    /// pending, started, held, cancelling or finished.
    #[arg(long)]
    state: Option<String>,
    /// passed, failed or cancelled.
    #[arg(long)]
    result: Option<String>,
    /// With this key and value.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_key)]
    key: Option<(String, Option<String>)>,
    /// Of events that this execution emitted.
    #[arg(long, value_name = "EXECUTION")]
    previous: Option<String>,
    /// Inside of this execution.
    #[arg(long, value_name = "EXECUTION")]
    parent: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let (key, value) = self.key.clone().map_or((None, None), |(key, value)| (Some(key), value));
        let listing = Listing {
            path: "/v1/executions",
            resource: "executions",
            query: filters(&[
                ("workflow", &self.workflow),
                ("node", &self.node),
                ("run", &self.run),
                ("state", &self.state),
                ("result", &self.result),
                ("key", &key),
                ("value", &value),
                ("previous", &self.previous),
                ("parent", &self.parent),
            ]),
            limit: self.limit.limit,
            header: &["created", "node", "state", "result", "duration", "id", "keys", "message"],
            row: |row| {
                vec![
                    time(row, "created_at"),
                    text(row, "node_name"),
                    text(row, "state"),
                    outcome(row),
                    duration(row, "duration_ms"),
                    text(row, "id"),
                    shortened(&text(row, "keys"), 60),
                    match waits_for(row) {
                        waits if waits.is_empty() => shortened(&text(row, "result_message"), 80),
                        waits => shortened(&format!("waits {waits}"), 80),
                    },
                ]
            },
        };
        print_listing(context, &listing)
    }
}

/// `key=value`, or a key alone.
fn parse_key(text: &str) -> Result<(String, Option<String>), String> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text, None),
    };
    if key.is_empty() { Err("a key is KEY=VALUE".to_owned()) } else { Ok((key.to_owned(), value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_have_a_value_with_any_characters() {
        let check = |text: &str, key: &str, value: Option<&str>| {
            assert_eq!(parse_key(text), Ok((key.to_owned(), value.map(str::to_owned))));
        };
        check("commit=abc", "commit", Some("abc"));
        check("commit=a=b c", "commit", Some("a=b c"));
        check("commit=", "commit", Some(""));
        check("commit", "commit", None);
        assert!(parse_key("=x").is_err());
    }
}
