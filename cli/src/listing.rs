//! Lists: fetched page by page, printed as a table or as JSON.

use clap::Args;
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json, print_table};

/// How many rows a list gives.
#[derive(Args)]
pub(crate) struct Limit {
    /// Rows at most, newest first.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
}

/// A list: its path, its filters, and the form of a row.
pub(crate) struct Listing<'a> {
    pub(crate) path: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) query: Vec<(&'a str, String)>,
    pub(crate) limit: u32,
    pub(crate) header: &'a [&'a str],
    pub(crate) row: fn(&Value) -> Vec<String>,
}

/// Fetches and prints a list.
pub(crate) fn print_listing(context: &Context, listing: &Listing<'_>) -> Result<(), Failure> {
    let (rows, next) = context.api.list(listing.path, listing.resource, &listing.query, listing.limit)?;
    let rows_given = rows.len();
    match context.format {
        Format::Json => print_json(&json!({ listing.resource: rows, "next_cursor": next })),
        Format::Human => {
            print_table(listing.header, rows.iter().map(listing.row).collect());
            let is_full = rows_given >= listing.limit as usize;
            match next.is_null() {
                true => {}
                false if is_full => eprintln!("there are more; --limit N shows them"),
                false => eprintln!("there may be older ones: name a run, a node or a workflow to find them"),
            }
        }
    }
    Ok(())
}

/// The query's pairs of those filters that are given.
pub(crate) fn filters<'a>(given: &[(&'a str, &Option<String>)]) -> Vec<(&'a str, String)> {
    given.iter().filter_map(|(name, value)| Some((*name, (*value).clone()?))).collect()
}
