use clap::Args;
use serde_json::Value;

use crate::context::Context;
use crate::failure::Failure;
use crate::listing::{Limit, Listing, print_listing};
use crate::output::{actor, text, time};

/// List secrets: names, keys, hosts, places and times.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = Listing {
            path: "/v1/secrets",
            resource: "secrets",
            query: Vec::new(),
            limit: self.limit.limit,
            header: &["name", "keys", "updated", "by"],
            row: |row| vec![text(row, "name"), keys(row), time(row, "updated_at"), actor(row, "created_by")],
        };
        print_listing(context, &listing)
    }
}

/// Keys with the hosts that they may go to and the places where they may stand; a note marks each
/// key whose value is too short to be scrubbed.
fn keys(row: &Value) -> String {
    let keys = row["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = keys.iter().map(|key| {
        let hosts = text(key, "hosts");
        let hosts = if hosts.is_empty() { String::new() } else { format!(" -> {hosts}") };
        let places = text(key, "in");
        let places = if places.is_empty() { String::new() } else { format!(" in {places}") };
        let short = if key["short"] == Value::Bool(true) { " (short: not scrubbed)" } else { "" };
        format!("{}{hosts}{places}{short}", text(key, "key"))
    });
    shown.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_shows_its_hosts_and_that_it_is_short() {
        let row = json!({ "keys": [
            { "key": "token", "hosts": ["api.example.com", "b.example:8443"], "in": ["authorization"], "short": false },
            { "key": "pin", "hosts": [], "in": [], "short": true },
        ] });
        assert_eq!(
            keys(&row),
            "token -> api.example.com, b.example:8443 in authorization; pin (short: not scrubbed)"
        );
    }
}
