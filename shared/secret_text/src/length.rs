//! Limits on the rendered texts, which hold before anything is rendered.

use crate::part::{Encoding, Part, Reference};
use crate::request_part::RequestPart;

/// Bytes of the values that one execution opens, together.
pub const OPENED_BYTES_MAX: usize = 96 * 1024;
/// Bytes of the texts of one execution that hold secrets, each value counted at the largest size
/// that it could be rendered to.
pub const RENDERED_BYTES_MAX: usize = 512 * 1024;

/// Bytes of the longest form of an instant.
const INSTANT_BYTES: usize = 29;

/// Lengths of opened secrets.
pub trait Secrets {
    /// Bytes of the value of `key` in the secret `name`; 0 where there is none.
    fn value_bytes(&self, name: &str, key: &str) -> usize;

    /// Bytes of a part of the request; 0 while there is none.
    fn request_bytes(&self, _part: RequestPart) -> usize {
        0
    }
}

/// The most bytes that `parts` can render to. The lengths of the values decide, not their
/// characters.
#[must_use]
pub fn rendered_bytes_max(parts: &[Part], secrets: &dyn Secrets) -> usize {
    parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part_bytes(part, secrets)))
}

/// The most bytes of a URL of `parts` as a URL parser writes it. The parser encodes characters that
/// are not plain.
#[must_use]
pub fn url_bytes_max(parts: &[Part], secrets: &dyn Secrets) -> usize {
    let bytes = |part: &Part| match part {
        Part::Text(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => text.len(),
        Part::Text(_) | Part::Secret(_) => part_bytes(part, secrets).saturating_mul(3),
        encoded => part_bytes(encoded, secrets),
    };
    parts.iter().fold(0, |sum: usize, part| sum.saturating_add(bytes(part)))
}

fn part_bytes(part: &Part, secrets: &dyn Secrets) -> usize {
    match part {
        Part::Text(text) => text.len(),
        // Neither a leaf of the JSON nor the decoded base64 is longer than the value.
        Part::Secret(Reference { name, key, .. }) => secrets.value_bytes(name, key),
        Part::SentAt(_) => INSTANT_BYTES,
        // Only in the data of MACs, whose length is fixed.
        Part::Request(part) => secrets.request_bytes(*part),
        Part::Encoded(Encoding::Base64, parts) => {
            rendered_bytes_max(parts, secrets).div_ceil(3).saturating_mul(4)
        }
        Part::Encoded(encoding, parts) => parts.iter().fold(encoding.bytes_around(), |sum, part| {
            let bytes = match part {
                Part::Text(text) => encoding.bytes_of(text),
                part => part_bytes(part, secrets).saturating_mul(encoding.growth_max()),
            };
            sum.saturating_add(bytes)
        }),
        Part::Mac { algorithm, format, .. } => format.written_bytes(algorithm.bytes()),
    }
}

impl Encoding {
    /// The most bytes that the encoding makes of one byte.
    fn growth_max(self) -> usize {
        match self {
            Encoding::Base64 => 2,
            Encoding::Url | Encoding::UrlPath | Encoding::Segment | Encoding::Query => 3,
            Encoding::Xml => 5,
            Encoding::Json => 6,
        }
    }

    /// Bytes that the encoding puts around its text.
    fn bytes_around(self) -> usize {
        if self == Encoding::Json { 2 } else { 0 }
    }

    /// Bytes of a known text in this encoding, without the bytes around it.
    fn bytes_of(self, text: &str) -> usize {
        let mut encoded = String::new();
        self.write(text, &mut encoded);
        encoded.len() - self.bytes_around()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Length(usize);

    impl Secrets for Length {
        fn value_bytes(&self, name: &str, _: &str) -> usize {
            if name == "gone" { 0 } else { self.0 }
        }
    }

    #[test]
    fn a_url_counts_as_the_longest_that_a_parser_could_make_of_it() {
        let secret = || Part::Secret(Reference::to("a", "b"));
        let check = |parts: &[Part], expected: usize| assert_eq!(url_bytes_max(parts, &Length(10)), expected);
        check(&[secret()], 30);
        check(&[Part::Text("https://a/".into()), Part::Encoded(Encoding::Segment, vec![secret()])], 40);
        check(&[Part::Text("https://a/ü".into())], 36);
    }

    #[test]
    fn a_value_counts_as_the_largest_that_its_encodings_could_make_of_it() {
        let secret = || Part::Secret(Reference::to("a", "b"));
        let check = |parts: &[Part], expected: usize| {
            assert_eq!(rendered_bytes_max(parts, &Length(10)), expected, "{parts:?}");
        };
        check(&[Part::Text("abc".into()), secret()], 13);
        check(&[Part::Encoded(Encoding::Url, vec![secret(), Part::Text("a b".into())])], 35);
        check(&[Part::Encoded(Encoding::Json, vec![secret(), Part::Text("<".into())])], 68);
        check(&[Part::Encoded(Encoding::Xml, vec![secret()])], 50);
        check(&[Part::Encoded(Encoding::Base64, vec![secret(), Part::Text("a".into())])], 16);
        let nested = Part::Encoded(Encoding::Query, vec![Part::Encoded(Encoding::Base64, vec![secret()])]);
        check(&[nested], 48);
        check(&[Part::Secret(Reference::to("gone", "b")), Part::SentAt(crate::TimeFormat::Http)], 29);
    }
}
