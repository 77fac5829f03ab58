//! Takes secret values out of what is stored, logged or shown (I1).
//!
//! A [`Scrubber`] is made of the values that an execution used and of codes that were made of them.
//! It searches a text for each value, also in lower case, each of its lines, each of its leaves if
//! it is JSON, and path, query and longer parts if it is a URL, in these forms: as it is;
//! JSON-escaped; URL-encoded (either hex case, `+` for a space); with HTML entities; in hex; in
//! base64 and base64url at any alignment, padded or not, also broken into lines. It does so by
//! undoing the forms in the text and searching for the plain values, so that it does not matter
//! which characters an encoder chose to escape. Texts of up to [`DEEP_BYTES_MAX`] bytes are
//! searched under two such layers (base64 in JSON, JSON in JSON), longer ones under one.
//!
//! Not found is a value that was changed in other ways, or whose encoded form stands right behind a
//! piece of text that takes its first character for the end of an escape (`%4` before `1…`).
//!
//! Scrub before anything is cut: half a value is not found. Strings under eight bytes are not
//! searched for, or `true` and `1` would blank every output.
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

/// Takes the secrets of one execution out of texts. It holds them in its automaton, so it can't be
/// printed; it is made when an answer is whole, and dropped with it.
pub struct Scrubber {
    needles: Needles,
}

impl Scrubber {
    /// A scrubber for `values`, each with its label (`github.token`), and for texts that were made
    /// of them (codes, encodings of encodings), each with the label of a value in it. Values are
    /// cut into lines, leaves and parts; what was made is found as a whole.
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

    /// The value with its strings, keys and numbers scrubbed, and the number of places. A number
    /// that holds a secret becomes a string.
    #[must_use]
    pub fn scrub_json(&self, value: Value) -> (Value, usize) {
        if self.is_empty() { (value, 0) } else { json::scrub(self, value) }
    }

    /// Bytes that are searched in a text and in the texts that undoing encodings makes of it: the
    /// work of scrubbing it. For tests.
    #[doc(hidden)]
    #[must_use]
    pub fn searched_bytes(&self, text: &str) -> usize {
        layers::search(&self.needles, text.as_bytes(), layers_of(text.as_bytes()), &mut |_, _| {})
    }

    /// Where secrets stand, in order and apart from each other.
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

/// Joins what overlaps, and parts of one value that touch; the longest part gives the label. Ends
/// never split a character.
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
