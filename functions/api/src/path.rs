//! Names in paths: one segment each, so that a name never chooses another resource.
//!
//! API Gateway's HTTP API decodes the path once before it invokes the function and hands out nothing else: `bug%232` arrives as `bug#2`,
//! `team%2Fdeploy` as two segments, and what follows a decoded `?` is cut off. So a segment is taken as it arrives, never decoded again,
//! and a name that would not survive the way is sent as `~` and its base64url, which no gateway changes. The CLI does that by itself.

use axum::extract::Request;
use axum::http::Uri;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambda_http::RequestExt as _;

/// What marks a segment as encoded.
const ENCODED: char = '~';

/// Gives a request the path that was meant, percent-encoded for the router, which decodes each segment once.
pub(crate) fn read_path(mut request: Request) -> Request {
    let raw = request.raw_http_path();
    // Without a gateway (unit tests) the URI is as it was sent.
    let path = if raw.is_empty() { None } else { Some(routed_path(raw)) };
    let path = path.unwrap_or_else(|| routed_path(&decode(request.uri().path())));
    let uri = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    if let Ok(uri) = uri.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request
}

/// The path for the router: each segment percent-encoded, an encoded one as what it stands for. One that can't be read becomes a
/// segment that no resource has.
fn routed_path(arrived: &str) -> String {
    let segments = arrived.split('/').map(|segment| match segment.strip_prefix(ENCODED) {
        Some(encoded) => {
            match URL_SAFE_NO_PAD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
                Some(name) => encode(&name),
                None => encode(segment),
            }
        }
        None => encode(segment),
    });
    segments.collect::<Vec<_>>().join("/")
}

fn encode(segment: &str) -> String {
    percent_encoding::utf8_percent_encode(segment, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn decode(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the router makes of a path that arrived.
    fn segments(arrived: &str) -> Vec<String> {
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
