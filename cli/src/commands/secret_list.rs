use clap::Args;
use serde_json::Value;

use super::{Context, Listing, print_listing};
use crate::arguments::Limit;
use crate::failure::Failure;
use crate::output::{text, time};

/// List secrets: names, keys, hosts and times.
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
            row: |row| vec![text(row, "name"), keys(row), time(row, "updated_at"), text(row, "created_by")],
        };
        print_listing(context, &listing)
    }
}

/// Keys with the hosts that they may go to; one that is too short to be scrubbed says so.
fn keys(row: &Value) -> String {
    let keys = row["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = keys.iter().map(|key| {
        let hosts = text(key, "hosts");
        let hosts = if hosts.is_empty() { String::new() } else { format!(" -> {hosts}") };
        let short = if key["short"] == Value::Bool(true) { " (short: not scrubbed)" } else { "" };
        format!("{}{hosts}{short}", text(key, "key"))
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
            { "key": "token", "hosts": ["api.example.com", "b.example:8443"], "short": false },
            { "key": "pin", "hosts": [], "short": true },
        ] });
        assert_eq!(keys(&row), "token -> api.example.com, b.example:8443; pin (short: not scrubbed)");
    }
}
