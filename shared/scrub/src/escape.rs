//! Escapes: several characters that stand for one.

/// One escape at the start of some bytes: its meaning and its number of bytes.
pub(crate) struct Escape {
    pub(crate) decoded: Decoded,
    pub(crate) length: usize,
}

/// The meaning of an escape.
pub(crate) enum Decoded {
    Byte(u8),
    Char(char),
}

/// Reads a number of digits alone: `from_str_radix` would accept a sign.
pub(crate) fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let legal = digits.iter().all(|digit| char::from(*digit).is_digit(radix));
    let text = std::str::from_utf8(digits).ok().filter(|_| legal)?;
    u32::from_str_radix(text, radix).ok()
}
