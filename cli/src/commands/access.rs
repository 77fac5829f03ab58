//! Roles and grants on the command line, and tokens and members as they are shown.

use clap::Args;
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;
use crate::listing::{Limit, Listing, print_listing};
use crate::output::{Format, actor, print_json, printable, say, text, time};

/// The role and grants that somebody gets.
#[derive(Args)]
pub(crate) struct Access {
    /// The role: viewer, operator, editor, admin or owner; never more than yours.
    #[arg(long, value_name = "ROLE", value_parser = ["viewer", "operator", "editor", "admin", "owner"])]
    role: String,
    /// A right that the role does not settle alone: data:read, secrets:write. Given once or more, it
    /// takes the place of what is usual for the role.
    #[arg(long = "grant", value_name = "GRANT", value_parser = ["data:read", "secrets:write"])]
    grants: Vec<String>,
    /// No grants at all.
    #[arg(long, conflicts_with = "grants")]
    no_grants: bool,
}

impl Access {
    /// The fields of a body.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({ "role": self.role });
        if self.no_grants || !self.grants.is_empty() {
            body["grants"] = json!(self.grants);
        }
        body
    }
}

/// Prints a token that was made: the token alone on standard output.
pub(crate) fn print_made(made: &Value, what: &str, format: Format) {
    match format {
        Format::Json => print_json(made),
        Format::Human => {
            let (name, role) = (printable(&text(made, "name")), text(made, "role"));
            eprintln!("the token of {what} {name} ({role}), shown only now:");
            say!("{}", printable(&text(made, "token")));
            if !made["expires_at"].is_null() {
                eprintln!("it is accepted until {}", time(made, "expires_at"));
            }
        }
    }
}

/// Prints the tokens or members at a path, under a header of nine columns.
pub(crate) fn print_tokens(
    context: &Context,
    (path, resource): (&'static str, &'static str),
    header: &'static [&'static str; 9],
    limit: &Limit,
) -> Result<(), Failure> {
    let listing = Listing {
        path,
        resource,
        query: Vec::new(),
        limit: limit.limit,
        header,
        row: |row| {
            vec![
                text(row, "id"),
                text(row, "name"),
                text(row, "role"),
                text(row, "grants"),
                time(row, "created_at"),
                actor(row, "created_by"),
                time(row, "used_at"),
                time(row, "expires_at"),
                time(row, "revoked_at"),
            ]
        },
    };
    print_listing(context, &listing)
}

/// A time such as `90d`, in seconds.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err("a number with s, m, h or d behind it, such as 90d".to_owned()),
    };
    let count = text[..text.len() - 1].parse::<u64>().ok();
    count
        .and_then(|count| count.checked_mul(unit))
        .ok_or_else(|| "a whole number with s, m, h or d behind it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(seconds(text).ok(), expected, "{text}");
        check("90d", Some(7_776_000));
        check("1h", Some(3_600));
        check("30m", Some(1_800));
        check("5s", Some(5));
        check("5", None);
        check("", None);
        check("xd", None);
        check("-1d", None);
        check("999999999999999999d", None);
    }
}
