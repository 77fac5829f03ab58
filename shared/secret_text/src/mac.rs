//! Message authentication codes (MACs, RFC 2104), with which an author signs requests.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use serde::{Deserialize, Serialize};

/// The hash of a MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// SHA-1; for targets that support nothing newer.
    Sha1,
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

/// The written form of a MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MacFormat {
    /// Lower-case hex.
    Hex,
    /// Base64, padded.
    Base64,
    /// Base64 for URLs, without padding.
    Base64url,
    /// Not text: the key or the data of another MAC.
    Bytes,
}

impl Algorithm {
    /// All of them.
    pub const ALL: &[Algorithm] = &[Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// As the author writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The algorithm of that name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|algorithm| algorithm.word() == word)
    }

    /// Bytes of a MAC.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    pub(crate) fn sign(self, key: &[u8], data: &[u8]) -> hmac::Tag {
        let algorithm = match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), data)
    }
}

impl MacFormat {
    /// All of them.
    pub const ALL: &[MacFormat] = &[Self::Hex, Self::Base64, Self::Base64url, Self::Bytes];

    /// As the author writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64url => "base64url",
            Self::Bytes => "bytes",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.word() == word)
    }

    /// A MAC as text; None for [`MacFormat::Bytes`].
    pub(crate) fn write(self, code: &[u8]) -> Option<String> {
        match self {
            Self::Hex => Some(hex::encode(code)),
            Self::Base64 => Some(STANDARD.encode(code)),
            Self::Base64url => Some(URL_SAFE_NO_PAD.encode(code)),
            Self::Bytes => None,
        }
    }

    /// Bytes of a MAC as text.
    pub(crate) fn written_bytes(self, code_bytes: usize) -> usize {
        match self {
            Self::Hex => 2 * code_bytes,
            Self::Base64 | Self::Base64url => code_bytes.div_ceil(3) * 4,
            Self::Bytes => code_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2, and RFC 2202, test case 2.
    #[test]
    fn codes_are_those_of_the_specifications() {
        let code = |algorithm: Algorithm| {
            let tag = algorithm.sign(b"Jefe", b"what do ya want for nothing?");
            assert_eq!(tag.as_ref().len(), algorithm.bytes());
            MacFormat::Hex.write(tag.as_ref()).unwrap()
        };
        assert_eq!(code(Algorithm::Sha1), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(
            code(Algorithm::Sha256),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert!(code(Algorithm::Sha384).starts_with("af45d2e376484031617f78d2b58a6b1b"));
        assert!(code(Algorithm::Sha512).starts_with("164b7a7bfcf819e2e395fbe73b56e0a3"));
    }

    #[test]
    fn a_format_writes_no_more_than_it_says() {
        for algorithm in Algorithm::ALL {
            for format in MacFormat::ALL {
                let code = vec![0xfb; algorithm.bytes()];
                let written = format.write(&code).map_or(code.len(), |text| text.len());
                assert!(written <= format.written_bytes(code.len()), "{algorithm:?} {format:?}");
                assert_eq!(MacFormat::named(format.word()), Some(*format));
            }
            assert_eq!(Algorithm::named(algorithm.word()), Some(*algorithm));
        }
    }
}
