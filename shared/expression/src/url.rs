//! URL fields: the origin in the author's literal text, and the place of each template.

use secret_text::Encoding;

use crate::{
    builtins::{percent_encode, url_path},
    error::{Error, ErrorKind, Span},
    eval::{Budget, Fault},
    template::UrlOrigin,
};

/// The text, encoded for its place in a URL.
pub(crate) fn encode(place: Encoding, text: &str, budget: &mut Budget) -> Result<String, Fault> {
    match place {
        Encoding::Segment if matches!(text, "." | "..") => {
            Err(Fault::other("a segment of a path must not be `.` or `..`"))
        }
        Encoding::UrlPath => url_path(text, budget),
        _ => percent_encode(text, budget),
    }
}

/// Scheme, host and port of a URL that begins with literal text, and the length of that part.
pub(crate) fn origin(literal: &str) -> Result<(UrlOrigin, usize), Error> {
    let refuse = |message: &str| Err(Error::new(ErrorKind::Other, message, Span::new(0, literal.len())));
    let Some((scheme, rest)) = literal.split_once("://") else {
        return refuse("a URL begins with `http://` or `https://` and a host, as literal text");
    };
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(&*scheme, "http" | "https") {
        return refuse("a URL begins with `http://` or `https://`");
    }
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    if after.starts_with('\\') || authority.contains('@') {
        return refuse("the host of a URL stands alone: no user name, no backslash");
    }
    if authority.is_empty() {
        return refuse("the host of a URL is literal text, unless one template is the whole URL");
    }
    let Some((host, port)) = host_and_port(authority) else {
        return refuse("the host or the port of the URL is malformed");
    };
    Ok((UrlOrigin::Literal { scheme, host, port }, literal.len() - after.len()))
}

fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let address: std::net::Ipv6Addr = address.parse().ok()?;
            (format!("[{address}]"), port.strip_prefix(':').or((port.is_empty()).then_some(""))?.to_owned())
        }
        None => {
            let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
            let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
            if host.is_empty() || !host.chars().all(allowed) {
                return None;
            }
            // Only ASCII is lowered here: the connection's URL parser lowers other letters in its
            // own way.
            (host.to_ascii_lowercase(), port.to_owned())
        }
    };
    if authority.ends_with(':') || !port.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
    Some((host, port))
}

/// The place of a template outside of the origin, between the literal texts `before` and `after`.
///
/// # Errors
/// An error where literal text around the template could change the value's meaning: half of a
/// `%XX`, or dots alone.
pub(crate) fn place(
    before: &str,
    path_begins: usize,
    last: &str,
    after: &str,
) -> Result<Encoding, &'static str> {
    if path_begins >= before.len() {
        return Err(
            "scheme, host and port of a URL are literal text that ends with a `/`, `?` or `#` before the first template, unless one template is the whole URL",
        );
    }
    let tail = before.as_bytes();
    if tail.ends_with(b"%") || (tail.len() > 1 && tail[tail.len() - 2] == b'%') {
        return Err("a template cannot stand in the middle of a `%XX`");
    }
    if before[path_begins..].contains(['?', '#']) {
        return Ok(Encoding::Query);
    }
    let head = last.rsplit('/').next().unwrap_or(last);
    let tail = after.split(['/', '?', '#']).next().unwrap_or(after);
    let dots = |text: &str| !text.is_empty() && text.chars().all(|c| c == '.');
    if dots(head) || dots(tail) {
        return Err("a template in a path cannot stand beside dots alone");
    }
    Ok(Encoding::Segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_read_from_literal_text() {
        for (url, host, port, length) in [
            ("https://api.example.com/x", "api.example.com", None, 23),
            ("HTTP://Example.COM:8080?x", "example.com", Some(8080), 23),
            ("https://[::1]:443/", "[::1]", Some(443), 17),
            ("https://h", "h", None, 9),
        ] {
            let (origin, end) = origin(url).unwrap();
            let UrlOrigin::Literal { host: found, port: at, .. } = origin else { panic!("{url}") };
            assert_eq!((&*found, at, end), (host, port, length), "{url}");
        }
    }

    #[test]
    fn an_origin_that_could_be_read_in_two_ways_is_refused() {
        for url in [
            "api.example.com",
            "ftp://x/",
            "https://",
            "https:///x",
            "https://user@host/",
            "https://host\\@evil.test/",
            "https://host:port/",
            "https://host:/",
            "https://ho st/",
            "https://ho%73t/",
            "https://[::1/",
            "https://host:99999/",
        ] {
            assert!(origin(url).is_err(), "{url}");
        }
    }
}
