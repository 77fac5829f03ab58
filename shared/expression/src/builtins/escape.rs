//! Escaping for XML and URLs.

use std::fmt::Write as _;

use super::{Outcome, print};
use crate::{
    eval::{Budget, Fault},
    value::Value,
};

pub(super) fn escape_xml<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let text = printed(&arguments[0], budget)?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    budget.grow(out.len())?;
    Ok(Value::string(out))
}

pub(super) fn escape_url<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let text = printed(&arguments[0], budget)?;
    percent_encode(&text, budget).map(Value::string)
}

pub(super) fn url_path_builtin<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let text = printed(&arguments[0], budget)?;
    url_path(&text, budget).map(Value::string)
}

fn printed(value: &Value<'_>, budget: &mut Budget) -> Result<String, Fault> {
    let mut text = String::new();
    print::template(value, &mut text, budget)?;
    Ok(text)
}

/// Everything but letters, digits, `-`, `.`, `_` and `~` as `%XX`: fit for a path segment, a query key or value.
pub(crate) fn percent_encode(text: &str, budget: &mut Budget) -> Result<String, Fault> {
    budget.grow(text.len().saturating_mul(3))?;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            byte => {
                // Writing to a string does not fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    Ok(out)
}

/// A path: slashes stay, each segment is encoded, and `.` and `..` are refused.
pub(crate) fn url_path(text: &str, budget: &mut Budget) -> Result<String, Fault> {
    let mut segments = Vec::new();
    for segment in text.split('/') {
        if matches!(segment, "." | "..") {
            return Err(Fault::other("a path must not hold the segments `.` and `..`"));
        }
        segments.push(percent_encode(segment, budget)?);
    }
    Ok(segments.join("/"))
}
