//! Removes secret values from texts before they are stored, logged or shown (I1).
//!
//! A [`Scrubber`] has the values that an execution used, and texts that were made of them, such as
//! MACs. It searches a text for each value, its lower-case form and its lines. Of a JSON value it
//! also searches for the leaves; of a URL, for path, query and longer parts. It finds all of these
//! in these forms: plain; JSON-escaped; URL-encoded (either hex case, `+` for a space); with HTML
//! entities; in hex; in base64 and base64url at any alignment, padded or not, also broken into
//! lines. The scrubber decodes the text and searches for the plain values, so an encoder's choice
//! of characters to escape does not matter. Texts of up to [`DEEP_BYTES_MAX`] bytes are searched
//! under two layers of encoding (base64 in JSON, JSON in JSON), longer ones under one.
//!
//! A value that was changed in other ways is not found. Nor is an encoded value right after the
//! beginning of an escape, which takes the value's first character as its end (`%4` before `1…`).
//!
//! Callers scrub before they cut a text, for half a value is not found. Strings under eight bytes
//! are not searched for: `true` and `1` would blank every output.
//!
//! ```
//! let scrubber = scrub::Scrubber::new(&[("github.token", "s3cr\"t-value")], &[]);
//! let (text, places) = scrubber.scrub_text(r#"{"got": "Bearer s3cr\"t-value"}"#);
//! assert_eq!((text.as_str(), places), (r#"{"got": "Bearer [secret:github.token]"}"#, 1));
//! ```

mod entities;
mod escape;
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

/// Removes the secrets of one execution from texts. Its automaton holds them, so it can't be
/// printed. It is made when an answer is whole, and dropped with the answer.
pub struct Scrubber {
    needles: Needles,
}

impl Scrubber {
    /// A scrubber for `values`, each with its label (`github.token`), and for texts that were made
    /// of them (MACs, encodings of encodings), each with the label of a value in it. Values are
    /// also searched for by lines, leaves and parts; made texts only as a whole.
    #[must_use]
    pub fn new(values: &[(&str, &str)], made: &[(&str, &str)]) -> Self {
        let mut gathered = sources::collect(values);
        for (label, text) in made {
            gathered.add(text, label);
        }
        Self { needles: gathered.into_needles() }
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

    /// [`Scrubber::scrub_text`] for bytes that may be no text.
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

    /// The value with its strings, keys and numbers scrubbed, and the number of places. A number
    /// that holds a secret becomes a string.
    #[must_use]
    pub fn scrub_json(&self, value: Value) -> (Value, usize) {
        if self.is_empty() { (value, 0) } else { json::scrub(self, value) }
    }

    /// Bytes of a text and of its decoded forms that are searched: the work of scrubbing the text.
    /// For tests.
    #[doc(hidden)]
    #[must_use]
    pub fn searched_bytes(&self, text: &str) -> usize {
        layers::search(&self.needles, text.as_bytes(), layers_of(text.as_bytes()), &mut |_, _| {})
    }

    /// The places of secrets, in order and apart from each other.
    fn places(&self, bytes: &[u8]) -> Vec<Place> {
        let mut found = Vec::new();
        let layers = layers_of(bytes);
        layers::search(&self.needles, bytes, layers, &mut |range, label| found.push(Place { range, label }));
        merge(bytes, found)
    }
}

fn layers_of(bytes: &[u8]) -> usize {
    if bytes.len() <= DEEP_BYTES_MAX { 2 } else { 1 }
}

/// One place to be replaced.
struct Place {
    range: Range<usize>,
    label: Label,
}

/// Joins places that overlap, and parts of one value that touch. The longest part gives the label.
/// No place begins or ends within a character.
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
