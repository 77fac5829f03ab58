//! Values from standard input: the one way in which a secret comes to the command line.

use std::io::{IsTerminal as _, Read as _};

use zeroize::Zeroizing;

use crate::failure::Failure;

/// Bytes of a value that are read; the API takes 64 KiB.
const VALUE_BYTES_MAX: u64 = 128 * 1024;

/// Refuses a value on the command line, without repeating it. `input` is what stands in the place
/// of `-`; `usage` is a command that would be right.
pub(crate) fn check_is_standard_input(input: Option<&str>, usage: &str) -> Result<(), Failure> {
    if input == Some("-") {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "a value is never given on the command line, where the shell's history and the list of processes keep it; \
         say `-` and pipe it in:\n  printf %s \"$VALUE\" | {usage}"
    )))
}

/// Reads a value. One newline at its end is left out, and that is said.
pub(crate) fn read_value() -> Result<Zeroizing<String>, Failure> {
    let input = std::io::stdin();
    if input.is_terminal() {
        eprintln!("reading the value from the terminal; Enter and Ctrl-D end it");
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(VALUE_BYTES_MAX).unwrap_or(0) + 1));
    input
        .take(VALUE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::Failed(format!("standard input can't be read: {error}")))?;
    if bytes.len() as u64 > VALUE_BYTES_MAX {
        return Err(Failure::Failed("the value is longer than a secret may be".to_owned()));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        Failure::Failed("the value is not UTF-8 text; encode it, for example with base64".to_owned())
    })?;
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => {
            eprintln!("a byte order mark before the value was left out");
            rest
        }
        None => text,
    };
    let value = strip_newline(text);
    if value.len() < text.len() {
        eprintln!("one newline at the end was left out");
    }
    if value.is_empty() {
        return Err(Failure::Failed("the value on standard input is empty".to_owned()));
    }
    Ok(Zeroizing::new(value.to_owned()))
}

/// Without one newline at the end: that of `echo`, of a file's last line, of Windows.
fn strip_newline(text: &str) -> &str {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_newline_is_stripped_and_no_more() {
        let check = |text: &str, expected: &str| assert_eq!(strip_newline(text), expected);
        check("a", "a");
        check("a\n", "a");
        check("a\r\n", "a");
        check("a\n\n", "a\n");
        check(" a \n", " a ");
        check("\n", "");
    }
}
