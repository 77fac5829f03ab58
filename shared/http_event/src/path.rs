//! Names in paths: one segment each, so that a name never chooses another resource.
//!
//! The HTTP API decodes the path once and gives the function only the decoded form. `bug%232`
//! arrives as `bug#2`, `team%2Fdeploy` as two segments, and the text after a decoded `?` is cut
//! off. So this crate decodes no segment again. A client sends a name that the gateway would change
//! as `~` and its base64url. The CLI does so by itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The first character of an encoded segment.
const ENCODED: char = '~';

/// The characters that are percent-encoded: all but RFC 3986's unreserved ones.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path for the router, which decodes each segment once. Each segment is percent-encoded; one
/// with `~` is replaced by the name that it encodes. A `~` segment that can't be decoded stays, and
/// names no resource.
pub(crate) fn routed_path(arrived: &str) -> String {
    let segments = arrived.split('/').map(|segment| {
        let name = segment.strip_prefix(ENCODED).and_then(|encoded| {
            let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
            String::from_utf8(bytes).ok()
        });
        utf8_percent_encode(name.as_deref().unwrap_or(segment), SEGMENT).to_string()
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The segments that the router reads from a path that arrived.
    fn segments(arrived: &str) -> Vec<String> {
        let decode =
            |segment| percent_encoding::percent_decode_str(segment).decode_utf8().unwrap().into_owned();
        routed_path(arrived).split('/').map(decode).collect()
    }

    #[test]
    fn a_segment_is_taken_as_it_arrives() {
        let check = |arrived: &str, expected: &[&str]| assert_eq!(segments(arrived), expected, "{arrived}");
        check("/v1/workflows/bug#2", &["", "v1", "workflows", "bug#2"]);
        check("/v1/workflows/a b", &["", "v1", "workflows", "a b"]);
        check("/v1/workflows/50%", &["", "v1", "workflows", "50%"]);
        check("/v1/workflows/a%41", &["", "v1", "workflows", "a%41"]);
        check("/v1/workflows/../organization", &["", "v1", "workflows", "..", "organization"]);
        check("/v1/secrets/größe", &["", "v1", "secrets", "größe"]);
    }

    #[test]
    fn an_encoded_segment_is_one_name_whatever_it_holds() {
        for name in ["team/deploy", "bug?2", "..", ".", "a%2Fb", "~x", "größe", "a\u{0}b"] {
            let arrived = format!("/v1/workflows/~{}", URL_SAFE_NO_PAD.encode(name));
            assert_eq!(segments(&arrived), ["", "v1", "workflows", name]);
        }
        assert_eq!(segments("/v1/workflows/~***")[3], "~***");
    }
}
