//! Escaping for XML and URLs.

use super::{Outcome, print};
use crate::{
    eval::{Budget, Fault},
    value::Value,
};

pub(super) fn escape_xml<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let text = printed(&arguments[0], budget)?;
    let mut out = String::with_capacity(text.len());
    secret_text::xml(&text, &mut out);
    budget.grow(out.len())?;
    Ok(Value::string(out))
}

pub(super) fn escape_url<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let text = printed_in_url(&arguments[0], budget)?;
    percent_encode(&text, budget).map(Value::string)
}

pub(super) fn url_path_builtin<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let text = printed_in_url(&arguments[0], budget)?;
    url_path(&text, budget).map(Value::string)
}

fn printed(value: &Value<'_>, budget: &mut Budget) -> Result<String, Fault> {
    let mut text = String::new();
    print::template(value, &mut text, budget)?;
    Ok(text)
}

fn printed_in_url(value: &Value<'_>, budget: &mut Budget) -> Result<String, Fault> {
    let mut text = String::new();
    print::in_url(value, &mut text, budget)?;
    Ok(text)
}

/// Writes everything but letters, digits, `-`, `.`, `_` and `~` as `%XX`, for a path segment or a
/// key or value of a query.
pub(crate) fn percent_encode(text: &str, budget: &mut Budget) -> Result<String, Fault> {
    budget.grow(text.len().saturating_mul(3))?;
    let mut out = String::with_capacity(text.len());
    secret_text::percent_encode(text, &mut out);
    Ok(out)
}

/// Encodes a path: slashes stay, each segment is encoded, and `.` and `..` are refused.
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
