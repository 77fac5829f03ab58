//! `request`: a part of the request as it is sent, known when all but the signature is made.

use serde::{Deserialize, Serialize};

/// A part of a request. It stands in the data of a MAC and nowhere else: secrets that other fields
/// placed there must not move to another place (I1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestPart {
    /// The method, in capitals.
    Method,
    /// The path as it is sent, encoded; `/` where the URL has none.
    Path,
    /// The query as it is sent, encoded, without `?`; empty where there is none.
    Query,
    /// The body as it is sent.
    Body,
    /// The SHA-256 of the body, in lower-case hex.
    BodySha256,
}

impl RequestPart {
    /// All of them.
    pub const ALL: &[RequestPart] = &[Self::Method, Self::Path, Self::Query, Self::Body, Self::BodySha256];

    /// As the author writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Path => "path",
            Self::Query => "query",
            Self::Body => "body",
            Self::BodySha256 => "body_sha256",
        }
    }

    /// The part of that name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|part| part.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_one_spelling() {
        for part in RequestPart::ALL {
            assert_eq!(RequestPart::named(part.word()), Some(*part));
            assert_eq!(serde_json::to_value(part).unwrap(), part.word());
        }
        assert_eq!(RequestPart::named("headers"), None);
    }
}
