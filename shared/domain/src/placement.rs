//! Places in a request at which a secret may stand.

use std::fmt;
use std::str::FromStr;

/// Bytes of a placement as it is written.
pub const PLACEMENT_BYTES_MAX: usize = 128;

/// A place of a secret in a request: one that is allowed, or one that is used.
///
/// ```
/// use domain::placement::Placement;
///
/// let allowed: Placement = "header:X-Api-Key".parse().unwrap();
/// assert_eq!(allowed.to_string(), "header:x-api-key");
/// assert!(allowed.admits(&Placement::header("x-api-KEY")));
/// assert!(!allowed.admits(&Placement::Body));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Placement {
    /// The header `Authorization`, in whichever field it is written.
    Authorization,
    /// The body.
    Body,
    /// A header of that name, in lower case; never `authorization`.
    Header(String),
    /// The path of the URL.
    Path,
    /// The query of the URL, or any parameter of the `query` field.
    Query,
    /// A parameter of that name in the `query` field.
    QueryParameter(String),
    /// The key of a signature. The key itself is never sent.
    Signing,
    /// The URL as a whole: the secret is the URL.
    Url,
}

/// The fault of a text that is no placement, told to its author.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "not a place in a request: it is one of authorization, header:NAME, path, query, query:NAME, url, body, signing"
)]
pub struct PlacementError;

impl Placement {
    /// The place of a header.
    #[must_use]
    pub fn header(name: &str) -> Self {
        match name.to_ascii_lowercase() {
            name if name == "authorization" => Self::Authorization,
            name => Self::Header(name),
        }
    }

    /// Whether a secret that is allowed at this place is allowed at `used`.
    #[must_use]
    pub fn admits(&self, used: &Self) -> bool {
        self == used || (*self == Self::Query && matches!(used, Self::QueryParameter(_)))
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorization => f.write_str("authorization"),
            Self::Body => f.write_str("body"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Path => f.write_str("path"),
            Self::Query => f.write_str("query"),
            Self::QueryParameter(name) => write!(f, "query:{name}"),
            Self::Signing => f.write_str("signing"),
            Self::Url => f.write_str("url"),
        }
    }
}

impl FromStr for Placement {
    type Err = PlacementError;

    fn from_str(text: &str) -> Result<Self, PlacementError> {
        if text.len() > PLACEMENT_BYTES_MAX {
            return Err(PlacementError);
        }
        Ok(match text.split_once(':') {
            Some(("header", name)) if is_header_name(name) => Self::header(name),
            Some(("query", name)) if !name.is_empty() && !name.contains(char::is_control) => {
                Self::QueryParameter(name.to_owned())
            }
            None => match text {
                "authorization" => Self::Authorization,
                "body" => Self::Body,
                "path" => Self::Path,
                "query" => Self::Query,
                "signing" => Self::Signing,
                "url" => Self::Url,
                _ => return Err(PlacementError),
            },
            Some(_) => return Err(PlacementError),
        })
    }
}

/// Whether the text is a token of RFC 9110, as a header's name must be.
fn is_header_name(name: &str) -> bool {
    let sign = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || sign(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placements_are_written_in_one_way() {
        for text in
            ["authorization", "body", "header:x-key", "path", "query", "query:api key", "signing", "url"]
        {
            let placement: Placement = text.parse().unwrap();
            assert_eq!(placement.to_string(), text);
        }
        assert_eq!("header:AUTHORIZATION".parse(), Ok(Placement::Authorization));
        assert_eq!("header:X-Key".parse(), Ok(Placement::Header("x-key".into())));
        for text in [
            "",
            "Authorization",
            "header",
            "header:",
            "header:a b",
            "query:",
            "query:a\nb",
            "body:x",
            "cookie",
        ] {
            assert_eq!(text.parse::<Placement>(), Err(PlacementError), "{text}");
        }
    }

    #[test]
    fn a_place_admits_itself_and_query_its_parameters() {
        let parse = |text: &str| text.parse::<Placement>().unwrap();
        assert!(parse("query").admits(&parse("query:a")));
        assert!(!parse("query:a").admits(&parse("query")) && !parse("query:a").admits(&parse("query:b")));
        assert!(parse("url").admits(&parse("url")) && !parse("url").admits(&parse("path")));
        assert!(!parse("header:a").admits(&parse("authorization")));
    }

    #[test]
    fn a_placement_has_a_longest_name_i10() {
        let header = |bytes: usize| format!("header:{}", "a".repeat(bytes - 7)).parse::<Placement>().is_ok();
        assert!(header(PLACEMENT_BYTES_MAX) && !header(PLACEMENT_BYTES_MAX + 1));
    }
}
