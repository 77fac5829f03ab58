use clap::Args;
use serde_json::Value;

use crate::context::Context;
use crate::failure::Failure;
use crate::listing::{Limit, Listing, filters, print_listing};
use crate::output::{text, time};

/// List queue items that wait.
#[derive(Args)]
pub(crate) struct List {
    /// Of this workflow, by name or id.
    #[arg(long)]
    workflow: Option<String>,
    /// At this node.
    #[arg(long)]
    node: Option<String>,
    /// Of this run.
    #[arg(long)]
    run: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = Listing {
            path: "/v1/queue-items",
            resource: "queue_items",
            query: filters(&[("workflow", &self.workflow), ("node", &self.node), ("run", &self.run)]),
            limit: self.limit.limit,
            header: &["created", "node", "run", "event", "id", "waits for"],
            row: |row| {
                vec![
                    time(row, "created_at"),
                    text(row, "node_id"),
                    text(row, "run_id"),
                    text(row, "event_id"),
                    text(row, "id"),
                    waits_for(&row["waiting_for"]),
                ]
            },
        };
        print_listing(context, &listing)
    }
}

/// `a slot (limit 1, 2 before it), held by ID …`, or the word of the reason.
fn waits_for(waiting_for: &Value) -> String {
    let reason = text(waiting_for, "reason");
    if reason != "concurrency" {
        return reason;
    }
    let holders = waiting_for["executions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let first = holders.first().and_then(Value::as_str).unwrap_or_default();
    let more = if holders.len() > 1 { " …" } else { "" };
    let (limit, ahead) = (text(waiting_for, "limit"), text(waiting_for, "ahead"));
    format!("a slot (limit {limit}, {ahead} before it), held by {first}{more}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_item_waits_for_is_said_in_a_line() {
        let check = |value: Value, expected: &str| assert_eq!(waits_for(&value), expected);
        check(json!({ "reason": "delivery" }), "delivery");
        check(
            json!({ "reason": "concurrency", "limit": 1, "ahead": 2, "executions": ["a"] }),
            "a slot (limit 1, 2 before it), held by a",
        );
        check(
            json!({ "reason": "concurrency", "limit": 2, "ahead": 0, "executions": ["a", "b"] }),
            "a slot (limit 2, 0 before it), held by a …",
        );
    }
}
