//! Go's texts: bytes that are mostly UTF-8.

/// Bytes as text; each byte that is not part of UTF-8 becomes U+FFFD, as in Go's JSON.
pub(crate) fn from_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::from_bytes;

    #[test]
    fn every_byte_outside_of_utf8_is_replaced_by_itself() {
        assert_eq!(from_bytes("€".as_bytes()), "€");
        assert_eq!(from_bytes(&"€".as_bytes()[..2]), "\u{fffd}\u{fffd}");
        assert_eq!(from_bytes(b"a\xffb"), "a\u{fffd}b");
    }
}
