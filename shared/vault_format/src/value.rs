//! The opened value.

use zeroize::{Zeroize, Zeroizing};

/// An opened value of a secret: text that is wiped when it is dropped.
///
/// It can't be printed, compared, copied or serialised by accident. Code that needs the text calls
/// [`SecretValue::expose`].
///
/// ```compile_fail
/// format!("{:?}", vault_format::SecretValue::new(String::new()));
/// ```
/// ```compile_fail
/// format!("{}", vault_format::SecretValue::new(String::new()));
/// ```
/// ```compile_fail
/// let _ = vault_format::SecretValue::new(String::new()).clone();
/// ```
/// ```
/// assert_eq!(vault_format::SecretValue::new("hunter2".into()).expose(), "hunter2");
/// ```
pub struct SecretValue(Zeroizing<String>);

/// The error of bytes that are not UTF-8, for a secret is text. The bytes were wiped.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the value of a secret is not UTF-8 text")]
pub struct NotText;

impl SecretValue {
    /// Takes the text over without a copy.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Takes bytes over, without a copy.
    ///
    /// # Errors
    /// [`NotText`] when the bytes are not UTF-8; they are wiped then too.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, NotText> {
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(NotText)
            }
        }
    }

    /// The text. Every text that is made of it must be scrubbed like the text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(SecretValue::from_bytes(vec![0xff, 0xfe]).err(), Some(NotText));
        assert_eq!(SecretValue::from_bytes("pä$$".into()).unwrap().expose(), "pä$$");
    }
}
