use clap::Args;

use jiff::{SignedDuration, Timestamp};

use crate::context::Context;
use crate::failure::Failure;
use crate::listing::{Limit, Listing, filters, print_listing};
use crate::output::{now, run_outcome, text, time};

/// List runs.
#[derive(Args)]
pub(crate) struct List {
    /// Of this workflow, by name or id.
    #[arg(long)]
    workflow: Option<String>,
    /// Of this trigger node.
    #[arg(long)]
    node: Option<String>,
    /// running or finished.
    #[arg(long)]
    state: Option<String>,
    /// passed, failed or cancelled.
    #[arg(long)]
    result: Option<String>,
    /// Whose name begins with this.
    #[arg(long, value_name = "PREFIX")]
    name: Option<String>,
    /// That began since then: a time such as 2025-01-31T12:00:00Z, or how long ago, such as 2h or
    /// 7d.
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Timestamp>,
    /// The sub-runs that this execution owns, such as the parts of a `for_each`.
    #[arg(long, value_name = "EXECUTION")]
    parent: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = Listing {
            path: "/v1/runs",
            resource: "runs",
            query: filters(&[
                ("workflow", &self.workflow),
                ("node", &self.node),
                ("state", &self.state),
                ("result", &self.result),
                ("name", &self.name),
                ("since", &self.since.map(|since| since.to_string())),
                ("parent", &self.parent),
            ]),
            limit: self.limit.limit,
            header: &["started", "state", "workflow", "trigger", "id", "name"],
            row: |row| {
                vec![
                    time(row, "created_at"),
                    run_outcome(row),
                    text(row, "workflow_name"),
                    text(row, "node_id"),
                    text(row, "id"),
                    text(row, "name"),
                ]
            },
        };
        let listing = match &self.parent {
            // Sub-runs have no names; their workflow and node are those of their owner.
            Some(_) => Listing {
                header: &["started", "state", "iteration", "id"],
                row: |row| {
                    vec![time(row, "created_at"), run_outcome(row), text(row, "iteration"), text(row, "id")]
                },
                ..listing
            },
            None => listing,
        };
        print_listing(context, &listing)
    }
}

pub(crate) fn parse_since(text: &str) -> Result<Timestamp, String> {
    since(text, now())
}

fn since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    // A day has 24 hours here: "7d" is a length of time, not a date.
    let days = text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok());
    let length = match days {
        Some(days) => days.checked_mul(86_400).map(SignedDuration::from_secs),
        None => text.parse().ok(),
    };
    length.filter(|length| length.is_positive()).and_then(|length| now.checked_sub(length).ok()).ok_or_else(
        || "it is neither a time such as 2025-01-31T12:00:00Z nor a length such as 2h or 7d".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_how_long_ago() {
        let now: Timestamp = "2025-01-31T12:00:00Z".parse().unwrap();
        let check =
            |text, expected: &str| assert_eq!(since(text, now), Ok(expected.parse().unwrap()), "{text}");
        check("2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z");
        check("2h", "2025-01-31T10:00:00Z");
        check("90m", "2025-01-31T10:30:00Z");
        check("7d", "2025-01-24T12:00:00Z");
        for text in ["", "yesterday", "-2h", "0d", "9999999999999999d"] {
            assert!(since(text, now).is_err(), "{text}");
        }
    }
}
