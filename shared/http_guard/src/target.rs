//! The URL of one hop.

use domain::limits::HTTP_URL_BYTES_MAX;
use http::HeaderValue;
use http::uri::PathAndQuery;
use url::{Host, Position, Url};

use crate::HttpError;

/// The target of one hop. The guard checks the same host and port that are connected to, for there
/// is no second parser.
#[derive(Clone)]
pub(crate) struct Target(Url);

impl Target {
    /// Reads a URL. Text that parsers read differently (control characters, backslashes, a user
    /// name) is refused.
    pub(crate) fn parse(text: &str) -> Result<Self, HttpError> {
        check_text(text)?;
        Self::check(Url::parse(text).map_err(|_| HttpError::InvalidUrl("it can't be read"))?)
    }

    /// The target to which a `Location` leads from this one.
    pub(crate) fn join(&self, location: &str) -> Result<Self, HttpError> {
        let joined = check_text(location).and_then(|()| {
            Self::check(self.0.join(location).map_err(|_| HttpError::InvalidUrl("it can't be read"))?)
        });
        // The fault is the target's, so it is not that of the request's URL.
        joined.map_err(|error| match error {
            HttpError::InvalidUrl(fault) => HttpError::RedirectInvalid(fault),
            error => error,
        })
    }

    fn check(mut url: Url) -> Result<Self, HttpError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(HttpError::InvalidUrl("its scheme is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HttpError::InvalidUrl("it has a user name or password before the host"));
        }
        if url.host_str().is_none_or(str::is_empty)
            || url.port_or_known_default().is_none_or(|port| port == 0)
        {
            return Err(HttpError::InvalidUrl("it has no host or port"));
        }
        if url.as_str().len() > HTTP_URL_BYTES_MAX {
            return Err(HttpError::InvalidUrl("it is too long"));
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    /// The host as text: lower case, ASCII, an IPv6 address in brackets.
    pub(crate) fn host_text(&self) -> &str {
        self.0.host_str().expect("checked when made")
    }

    pub(crate) fn host(&self) -> Host<&str> {
        self.0.host().expect("checked when made")
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port_or_known_default().expect("checked when made")
    }

    /// Whether scheme, host and port are the same.
    pub(crate) fn has_origin_of(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }

    /// The path and the query in the request line.
    pub(crate) fn path_and_query(&self) -> Result<PathAndQuery, HttpError> {
        let text = &self.0[Position::BeforePath..Position::AfterQuery];
        text.parse().map_err(|_| HttpError::InvalidUrl("its path or query can't be sent"))
    }

    /// The value of the `Host` header.
    pub(crate) fn host_header(&self) -> Result<HeaderValue, HttpError> {
        let text = &self.0[Position::BeforeHost..Position::AfterPort];
        HeaderValue::from_str(text).map_err(|_| HttpError::InvalidUrl("its host can't be sent"))
    }

    /// The URL without fragment.
    pub(crate) fn into_text(self) -> String {
        self.0.into()
    }
}

fn check_text(text: &str) -> Result<(), HttpError> {
    if text.len() > HTTP_URL_BYTES_MAX {
        return Err(HttpError::InvalidUrl("it is too long"));
    }
    // URL parsers drop tabs and line breaks and read a backslash as a slash: the called URL would
    // differ from the written one.
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(HttpError::InvalidUrl("it has a space, a control character or a backslash"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> bool {
        matches!(Target::parse(text), Err(HttpError::InvalidUrl(_)))
    }

    #[test]
    fn what_parsers_read_differently_is_refused_i2() {
        for text in [
            "",
            "a.example",
            "//a.example",
            "ftp://a.example",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http://",
            "https://user@a.example",
            "https://user:pw@a.example",
            "https://api.example@evil.test/",
            "https://a.example\\@evil.test",
            "https:\\\\evil.test",
            "https://a.exa\tmple/",
            "https://a.example/\r\nX: y",
            " https://a.example",
            "https://a.example ",
            "https://a.example/a b",
            "https://a.example/\0",
            "https://a.example:0/",
            "https://a.example:65536/",
            "https://a example/",
            "https://[::1",
            "https://a..\u{7f}/",
            "https://a.example/\u{a0}",
        ] {
            assert!(refused(text), "{text:?} was taken");
        }
    }

    #[test]
    fn host_port_and_request_line_are_those_of_the_one_parser() {
        let check = |text: &str, host: &str, port: u16, header: &str, path: &str| {
            let target = Target::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((target.host_text(), target.port()), (host, port), "{text}");
            assert_eq!(target.host_header().unwrap(), header, "{text}");
            assert_eq!(target.path_and_query().unwrap().as_str(), path, "{text}");
        };
        check("https://A.Example", "a.example", 443, "a.example", "/");
        check("http://a.example:80/x?y=1#z", "a.example", 80, "a.example", "/x?y=1");
        check("https://a.example:8443/%2e%2e/b", "a.example", 8443, "a.example:8443", "/b");
        check("https://[2001:DB8::1]:1/", "[2001:db8::1]", 1, "[2001:db8::1]:1", "/");
        check("http://0x7f.1/", "127.0.0.1", 80, "127.0.0.1", "/");
        check("https://b\u{fc}cher.example/", "xn--bcher-kva.example", 443, "xn--bcher-kva.example", "/");
        check(
            "https://a.example/{|}`^\"'?{|}`^'",
            "a.example",
            443,
            "a.example",
            "/%7B|%7D%60^%22'?{|}`^%27",
        );
    }

    #[test]
    fn a_url_has_a_longest_length_i10() {
        let url = |bytes: usize| format!("https://a.example/{}", "x".repeat(bytes - 18));
        assert!(Target::parse(&url(HTTP_URL_BYTES_MAX)).is_ok());
        assert!(refused(&url(HTTP_URL_BYTES_MAX + 1)));
    }
}
