use clap::Args;
use serde_json::Value;

use crate::context::Context;
use crate::failure::Failure;
use crate::listing::{Limit, Listing, print_listing};
use crate::output::{shortened, text, time};

/// The characters of a message in the table.
const MESSAGE_CHARS_MAX: usize = 60;

/// List approvals that wait: what is asked, until when, and whether you may decide.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = Listing {
            path: "/v1/approvals",
            resource: "approvals",
            query: Vec::new(),
            limit: self.limit.limit,
            header: &["opened", "expires", "workflow", "node", "run", "you", "id", "message"],
            row: |row| {
                vec![
                    time(row, "created_at"),
                    time(row, "expires_at"),
                    text(row, "workflow_name"),
                    text(row, "node_name"),
                    text(row, "run_name"),
                    own(row).to_owned(),
                    text(row, "id"),
                    shortened(&text(row, "message"), MESSAGE_CHARS_MAX),
                ]
            },
        };
        print_listing(context, &listing)
    }
}

/// The caller's own part in an approval.
fn own(row: &Value) -> &'static str {
    match (row["own_vote"].as_str(), row["may_decide"].as_bool()) {
        (Some("approve"), _) => "approved",
        (Some(_), _) => "rejected",
        (None, Some(true)) => "may decide",
        (None, _) => "",
    }
}
