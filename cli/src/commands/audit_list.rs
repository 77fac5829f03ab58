use clap::Args;
use jiff::Timestamp;

use super::run_list::parse_since;
use crate::context::Context;
use crate::failure::Failure;
use crate::listing::{Limit, Listing, filters, print_listing};
use crate::output::{actor, text, time};

/// List who did what: each write, and the reads of data by actor, object and hour.
#[derive(Args)]
#[command(after_help = "Example: sealflow audit list --action secrets:write --since 7d")]
pub(crate) struct List {
    /// Of this action, such as secrets:write or data:read.
    #[arg(long)]
    action: Option<String>,
    /// Of the token or member of this name.
    #[arg(long)]
    actor: Option<String>,
    /// Of the object with this id or name.
    #[arg(long)]
    object: Option<String>,
    /// Since then: a time such as 2025-01-31T12:00:00Z, or how long ago, such as 2h or 7d.
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Timestamp>,
    #[command(flatten)]
    limit: Limit,
}

impl List {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let listing = Listing {
            path: "/v1/audit",
            resource: "audit",
            query: filters(&[
                ("action", &self.action),
                ("actor", &self.actor),
                ("object", &self.object),
                ("since", &self.since.map(|since| since.to_string())),
            ]),
            limit: self.limit.limit,
            header: &["time", "who", "action", "object", "id", "name", "from"],
            row: |row| {
                vec![
                    time(row, "created_at"),
                    actor(row, "actor"),
                    text(row, "action"),
                    text(row, "object_kind"),
                    text(row, "object_id"),
                    text(row, "object_name"),
                    text(row, "source_ip"),
                ]
            },
        };
        print_listing(context, &listing)
    }
}
