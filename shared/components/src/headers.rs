//! Names of headers.

/// A header's name in Go's spelling, `X-Github-Event`: the first letter, and each letter after a
/// hyphen, is a capital. Gateways change the case of names, so this is the one spelling that
/// expressions can rely on.
pub(crate) fn canonical_header_name(name: &str) -> String {
    let mut is_first = true;
    let canonical = name.chars().map(|letter| {
        let written = if is_first { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        is_first = letter == '-';
        written
    });
    canonical.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_in_one_way() {
        for name in ["x-github-event", "X-GitHub-Event", "X-GITHUB-EVENT"] {
            assert_eq!(canonical_header_name(name), "X-Github-Event");
        }
        assert_eq!(canonical_header_name("etag"), "Etag");
        assert_eq!(canonical_header_name("-x--y-"), "-X--Y-");
    }
}
