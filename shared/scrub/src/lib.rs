//! Takes secret values out of what is stored, logged or shown (I1).
//!
//! A [`Scrubber`] is made of the values that an execution used and of the strings that were made of them. It searches a text for
//! each value, also in lower case, each of its lines, each of its leaves if it is JSON, and path, query and longer parts if it
//! is a URL, in these forms: as it is; JSON-escaped;
//! URL-encoded (either hex case, `+` for a space); with HTML entities; in hex; in base64 and base64url at any alignment, padded or not,
//! also broken into lines. It does so by undoing the forms in the text and searching for the plain values, so that it does not
//! matter which characters an encoder chose to escape. Texts of up to [`DEEP_BYTES_MAX`] bytes are searched under two such
//! layers (base64 in JSON, JSON in JSON), longer ones under one.
//!
//! Not found is a value that was changed in other ways, or whose encoded form stands right behind a piece of text that takes its
//! first character for the end of an escape (`%4` before `1…`).
//!
//! Scrub before anything is cut: half a value is not found. Strings under eight bytes are not searched for, or `true` and
//! `1` would blank every output.
//!
//! ```
//! let scrubber = scrub::Scrubber::new(&[("github.token", "s3cr\"t-value")], &[]);
//! let (text, places) = scrubber.scrub_text(r#"{"got": "Bearer s3cr\"t-value"}"#);
//! assert_eq!((text.as_str(), places), (r#"{"got": "Bearer [secret:github.token]"}"#, 1));
//! ```

mod entities;
mod json;
mod layers;
mod needles;
mod sources;

use std::ops::Range;

use serde_json::Value;

pub use needles::BYTES_MIN;
use needles::{Label, Needles};

/// Bytes up to which a text is searched under two layers of encoding.
pub const DEEP_BYTES_MAX: usize = 512 * 1024;

/// Takes the secrets of one execution out of texts. It holds them, so it can't be printed; they are wiped when it is dropped.
pub struct Scrubber {
    needles: Needles,
}

impl Scrubber {
    /// A scrubber for `values`, each with its label (`github.token`), and for strings that were made of them.
    ///
    /// A derived string that holds a whole value as it is needs no search of its own, for the value is found in it; what is left is
    /// the author's text. It is searched for where a value too short to be found stands in it.
    #[must_use]
    pub fn new(values: &[(&str, &str)], derived: &[&str]) -> Self {
        let mut scrubber = Self { needles: sources::collect(values) };
        for text in sources::derived_to_search(values, derived) {
            let label = scrubber.label_of(text, values);
            scrubber.needles.add(text, label);
        }
        scrubber.needles.hide_labels();
        scrubber
    }

    /// Whether there is nothing to search for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// The text with `[secret:label]` in each place where a secret stood, and the number of places.
    #[must_use]
    pub fn scrub_text(&self, text: &str) -> (String, usize) {
        let places = self.places(text.as_bytes());
        let mut scrubbed = String::with_capacity(text.len());
        let mut done = 0;
        for place in &places {
            scrubbed.push_str(&text[done..place.range.start]);
            scrubbed.push_str(&self.needles.replacement(place.label));
            done = place.range.end;
        }
        scrubbed.push_str(&text[done..]);
        (scrubbed, places.len())
    }

    /// [`Scrubber::scrub_text`] for bytes that need not be text.
    #[must_use]
    pub fn scrub_bytes(&self, bytes: &[u8]) -> (Vec<u8>, usize) {
        let places = self.places(bytes);
        let mut scrubbed = Vec::with_capacity(bytes.len());
        let mut done = 0;
        for place in &places {
            scrubbed.extend_from_slice(&bytes[done..place.range.start]);
            scrubbed.extend_from_slice(self.needles.replacement(place.label).as_bytes());
            done = place.range.end;
        }
        scrubbed.extend_from_slice(&bytes[done..]);
        (scrubbed, places.len())
    }

    /// The value with its strings, keys and numbers scrubbed, and the number of places. A number that holds a secret becomes a string.
    #[must_use]
    pub fn scrub_json(&self, value: Value) -> (Value, usize) {
        if self.is_empty() { (value, 0) } else { json::scrub(self, value) }
    }

    /// Where secrets stand, in order and apart from each other.
    fn places(&self, bytes: &[u8]) -> Vec<Place> {
        let mut found = Vec::new();
        let layers = if bytes.len() <= DEEP_BYTES_MAX { 2 } else { 1 };
        layers::search(&self.needles, bytes, layers, &mut |range, label| found.push(Place { range, label }));
        merge(bytes, found)
    }

    /// The label for a derived string: that of the value that is seen in it, or the only one there is.
    fn label_of(&self, text: &str, values: &[(&str, &str)]) -> String {
        let seen =
            self.places(text.as_bytes()).first().map(|place| self.needles.label(place.label).to_owned());
        seen.unwrap_or_else(|| match values {
            [(label, _)] => (*label).to_owned(),
            _ => "derived".to_owned(),
        })
    }
}

/// One place to be replaced.
struct Place {
    range: Range<usize>,
    label: Label,
}

/// Joins what overlaps, and parts of one value that touch; the longest part gives the label. Ends never split a character.
fn merge(bytes: &[u8], mut found: Vec<Place>) -> Vec<Place> {
    let continues = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    for place in &mut found {
        while place.range.start > 0 && continues(place.range.start) {
            place.range.start -= 1;
        }
        while continues(place.range.end) {
            place.range.end += 1;
        }
    }
    found.sort_unstable_by_key(|place| (place.range.start, place.range.end));
    let mut merged: Vec<(Place, usize)> = Vec::new();
    for place in found {
        let length = place.range.len();
        match merged.last_mut() {
            Some((last, longest))
                if place.range.start < last.range.end
                    || (place.range.start == last.range.end && place.label == last.label) =>
            {
                last.range.end = last.range.end.max(place.range.end);
                if length > *longest {
                    (last.label, *longest) = (place.label, length);
                }
            }
            _ => merged.push((place, length)),
        }
    }
    merged.into_iter().map(|(place, _)| place).collect()
}
