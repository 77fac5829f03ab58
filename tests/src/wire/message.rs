//! Messages of the protocol of Postgres, as far as the wire reads them.

/// The length of the message at the start of `bytes` when it is whole; the first one of a session
/// has no type.
pub(super) fn message_length(bytes: &[u8], has_type: bool) -> Option<usize> {
    let start = usize::from(has_type);
    let length = bytes.get(start..start + 4)?;
    let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()? + start;
    (bytes.len() >= length).then_some(length)
}

/// Has a Bind name a statement that the server doesn't know.
pub(super) fn rename_statement(message: &mut [u8]) {
    let name = 5 + message[5..].iter().position(|byte| *byte == 0).map_or(0, |end| end + 1);
    if message[0] == b'B' && message.get(name).is_some_and(|byte| *byte != 0) {
        message[name] = b'?';
    }
}

/// The role in a startup message: names and values, each ended by a zero byte.
pub(super) fn role_of(message: &[u8]) -> String {
    let content = String::from_utf8_lossy(message.get(8..).unwrap_or_default()).into_owned();
    let mut words = content.split('\0');
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        if name == "user" {
            return value.to_owned();
        }
    }
    String::new()
}

/// The types at the end of a Parse message, behind a name and a text of so many bytes together.
pub(super) fn types_of(message: &[u8], name_and_text: usize) -> Vec<u32> {
    let types = message.get(5 + name_and_text + 2 + 2..).unwrap_or_default();
    types.chunks_exact(4).map(|oid| u32::from_be_bytes([oid[0], oid[1], oid[2], oid[3]])).collect()
}

/// Whether a statement writes.
pub(super) fn is_write(text: &str) -> bool {
    ["INSERT INTO", "DELETE FROM", "UPDATE workflow", "UPDATE function", "FROM begin_run("]
        .iter()
        .any(|word| text.contains(word))
}

/// Whether a Parse or Query message has the text.
pub(super) fn contains(message: &[u8], text: &str) -> bool {
    matches!(message[0], b'P' | b'Q') && message.windows(text.len()).any(|window| window == text.as_bytes())
}
