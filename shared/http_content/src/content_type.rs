//! Content types, and what they say of a body.

/// The kind of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'t> {
    /// JSON.
    Json,
    /// JSON values, one in each line.
    JsonLines,
    /// `application/x-www-form-urlencoded`
    Form,
    /// `multipart/form-data`, with its boundary.
    Multipart(&'t str),
    /// Text, whatever it looks like.
    Text,
    /// The type says nothing, or nothing of the form: JSON where it is a map or a list.
    Unsaid,
}

/// The kind of a body by the value of its `Content-Type` (RFC 9110, section 8.3).
#[must_use]
pub fn kind(content_type: Option<&str>) -> Kind<'_> {
    let value = content_type.unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/json" | "text/json" | "application/x-json" => Kind::Json,
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonlines"
        | "application/jsonlines" => Kind::JsonLines,
        "application/x-www-form-urlencoded" => Kind::Form,
        "multipart/form-data" => parameter(value, "boundary").map_or(Kind::Unsaid, Kind::Multipart),
        "application/xml" => Kind::Text,
        other if other.ends_with("+json") => Kind::Json,
        other if other.ends_with("+xml") || other.starts_with("text/") => Kind::Text,
        _ => Kind::Unsaid,
    }
}

/// The value of a parameter of a content type, without its quotes.
pub(crate) fn parameter<'t>(content_type: &'t str, name: &str) -> Option<&'t str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (found, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (found.trim().eq_ignore_ascii_case(name) && !value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_says_what_a_body_is() {
        let check = |value: &str, expected: Kind<'_>| assert_eq!(kind(Some(value)), expected, "{value}");
        for json in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/problem+json",
            "text/json",
            "application/vnd.api+json;version=1",
        ] {
            check(json, Kind::Json);
        }
        for text in [
            "text/plain",
            "text/html; charset=utf-8",
            "text/csv",
            "application/soap+xml",
            "application/xml",
            "TEXT/XML",
        ] {
            check(text, Kind::Text);
        }
        for unsaid in [
            "",
            " ",
            "application/octet-stream",
            "application/x-unknown",
            "image/png",
            "*/*",
            "json",
            "multipart/form-data",
        ] {
            check(unsaid, Kind::Unsaid);
        }
        check("application/x-ndjson", Kind::JsonLines);
        check("application/x-www-form-urlencoded;charset=UTF-8", Kind::Form);
        check("multipart/form-data; boundary=\"a b\"", Kind::Multipart("a b"));
        check("multipart/form-data;charset=utf-8;Boundary=x1", Kind::Multipart("x1"));
        assert_eq!(kind(None), Kind::Unsaid);
    }
}
