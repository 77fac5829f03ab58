//! The text that people see in the place of a secret: the reference that the author wrote.

use std::fmt::Write as _;

use crate::part::{Encoding, Part, Reference, Step};

/// Parts as a template: known text as it is, everything else in `{{ }}`. The result is never read
/// as a template again (I2).
#[must_use]
pub fn show(parts: &[Part]) -> String {
    let mut shown = String::new();
    for part in parts {
        match part {
            Part::Text(text) => shown.push_str(text),
            part => {
                shown.push_str("{{ ");
                expression(part, &mut shown);
                shown.push_str(" }}");
            }
        }
    }
    shown
}

fn joined(parts: &[Part], out: &mut String) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push_str(" + ");
        }
        expression(part, out);
    }
}

fn expression(part: &Part, out: &mut String) {
    match part {
        Part::Text(text) => quoted(text, out),
        Part::Secret(reference) => of_reference(reference, out),
        Part::SentAt(format) => called("sent_at", out, |out| quoted(format.word(), out)),
        Part::Request(part) => called("request", out, |out| quoted(part.word(), out)),
        Part::Encoded(encoding, parts) => match function(*encoding) {
            Some(name) => called(name, out, |out| joined(parts, out)),
            // The place in a URL implies this encoding; the author wrote no function.
            None => joined(parts, out),
        },
        Part::Mac { algorithm, format, key, data } => called("hmac", out, |out| {
            quoted(algorithm.word(), out);
            out.push_str(", ");
            joined(key, out);
            out.push_str(", ");
            joined(data, out);
            out.push_str(", ");
            quoted(format.word(), out);
        }),
    }
}

fn function(encoding: Encoding) -> Option<&'static str> {
    match encoding {
        Encoding::Base64 => Some("toBase64"),
        Encoding::Url => Some("escapeURL"),
        Encoding::UrlPath => Some("urlPath"),
        Encoding::Xml => Some("escapeXML"),
        Encoding::Json => Some("toJSON"),
        Encoding::Segment | Encoding::Query => None,
    }
}

fn of_reference(reference: &Reference, out: &mut String) {
    let Reference { name, key, is_base64, path } = reference;
    let secret = |out: &mut String| {
        called("secrets", out, |out| quoted(name, out));
        of_step(&Step::Key(key.to_string()), out);
    };
    let decoded = |out: &mut String| if *is_base64 { called("fromBase64", out, secret) } else { secret(out) };
    if path.is_empty() {
        decoded(out);
    } else {
        called("fromJSON", out, decoded);
        path.iter().for_each(|step| of_step(step, out));
    }
}

fn of_step(step: &Step, out: &mut String) {
    let is_word = |key: &str| {
        key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    // Writing to a string does not fail.
    let _ = match step {
        Step::Index(index) => write!(out, "[{index}]"),
        Step::Key(key) if is_word(key) => write!(out, ".{key}"),
        Step::Key(key) => {
            out.push('[');
            quoted(key, out);
            out.push(']');
            Ok(())
        }
    };
}

fn called(name: &str, out: &mut String, arguments: impl FnOnce(&mut String)) {
    out.push_str(name);
    out.push('(');
    arguments(out);
    out.push(')');
}

fn quoted(text: &str, out: &mut String) {
    // Writing to a string does not fail.
    let _ = write!(out, "{text:?}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_are_shown_as_their_author_would_write_them() {
        let check = |parts: serde_json::Value, expected: &str| {
            let parts: Vec<Part> = serde_json::from_value(parts).unwrap();
            assert_eq!(show(&parts), expected);
        };
        check(
            json!(["Bearer ", { "secret": ["github", "token"] }]),
            r#"Bearer {{ secrets("github").token }}"#,
        );
        check(json!([{ "secret": ["a b", "c-d"] }]), r#"{{ secrets("a b")["c-d"] }}"#);
        check(
            json!([{ "secret": ["a", "b"], "from": "base64", "path": ["c", 0, "d e"] }]),
            r#"{{ fromJSON(fromBase64(secrets("a").b)).c[0]["d e"] }}"#,
        );
        check(
            json!([{ "op": "base64", "parts": ["user:", { "secret": ["a", "b"] }] }]),
            r#"{{ toBase64("user:" + secrets("a").b) }}"#,
        );
        check(
            json!(["https://a.example/", { "op": "segment", "parts": [{ "secret": ["a", "b"] }] }]),
            r#"https://a.example/{{ secrets("a").b }}"#,
        );
        check(
            json!([{ "op": "hmac", "algorithm": "sha256", "format": "hex", "key": [{ "secret": ["a", "b"] }],
                "parts": ["x", { "sent_at": "unix" }] }]),
            r#"{{ hmac("sha256", secrets("a").b, "x" + sent_at("unix"), "hex") }}"#,
        );
    }
}
