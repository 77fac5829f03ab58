//! Encodings of text, each written to the end of another text.

use std::fmt::Write as _;

/// Writes everything but letters, digits, `-`, `.`, `_` and `~` as `%XX`, for a path segment or a
/// key or value of a query.
pub fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            byte => {
                // Writing to a string does not fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

/// `&`, `<`, `>` and both quotes as entities.
pub fn xml(text: &str, out: &mut String) {
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
}

/// A JSON text in quotes, with `<`, `>`, `&` and the line separators escaped as Go does for HTML.
pub fn json_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..'\u{20}' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encode: fn(&str, &mut String), text: &str, expected: &str) {
        let mut out = "x".to_owned();
        encode(text, &mut out);
        assert_eq!(out, format!("x{expected}"));
    }

    #[test]
    fn each_encoding_is_written_behind_what_is_there() {
        check(percent_encode, "a-Z_0.~/ ü%", "a-Z_0.~%2F%20%C3%BC%25");
        check(xml, "<a b=\"c\" & 'd'>", "&lt;a b=&#34;c&#34; &amp; &#39;d&#39;&gt;");
        check(json_text, "q\"\\\n\r\t\u{8}\u{c}\u{1}<é", "\"q\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u003cé\"");
    }
}
