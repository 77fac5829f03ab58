//! Places of an event's data that were blanked before it was stored.

use serde::{Deserialize, Serialize};

/// The most places that one event names. With more, the whole of its data counts as one place.
pub const REDACTIONS_MAX: usize = 200;

/// The most bytes of all these places' pointers together. With more, the whole of the data counts
/// as one place.
pub const REDACTIONS_BYTES_MAX: usize = 16 * 1024;

/// Places of an event's data that hold no data, as JSON pointers. Stored in
/// `workflow_events.redactions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redactions {
    /// Places that the node's `redact` named. They were blanked, and no template reads or copies
    /// one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
    /// Texts in which a secret was replaced by its name. No field that may hold a secret accepts
    /// one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scrubbed: Vec<String>,
}

impl Redactions {
    /// Adds the places of data that stands at `at`, a JSON pointer, in this data.
    pub fn add_moved(&mut self, at: &str, of: &Self) {
        let moved = |places: &[String]| -> Vec<String> {
            places.iter().map(|place| format!("{at}{place}")).collect()
        };
        self.redacted.extend(moved(&of.redacted));
        self.scrubbed.extend(moved(&of.scrubbed));
    }

    /// The redactions within the limits; None where there are none.
    #[must_use]
    pub fn stored(self) -> Option<Self> {
        let within = |places: Vec<String>| {
            let bytes: usize = places.iter().map(String::len).sum();
            let is_within = places.len() <= REDACTIONS_MAX && bytes <= REDACTIONS_BYTES_MAX;
            if is_within { places } else { vec![String::new()] }
        };
        let all = Self { redacted: within(self.redacted), scrubbed: within(self.scrubbed) };
        (all != Self::default()).then_some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_move_with_the_data() {
        let of = Redactions { redacted: vec!["/a".into()], scrubbed: vec![String::new()] };
        let mut all = Redactions::default();
        all.add_moved("/last", &of);
        assert_eq!(all, Redactions { redacted: vec!["/last/a".into()], scrubbed: vec!["/last".into()] });
    }

    #[test]
    fn places_are_named_up_to_a_number_i10() {
        let stored = |count: usize| {
            let places = (0..count).map(|at| format!("/{at}")).collect();
            Redactions { redacted: Vec::new(), scrubbed: places }.stored().map(|all| all.scrubbed.len())
        };
        assert_eq!((stored(0), stored(1), stored(REDACTIONS_MAX)), (None, Some(1), Some(REDACTIONS_MAX)));
        assert_eq!(stored(REDACTIONS_MAX + 1), Some(1), "all of it");
        let long = |bytes: usize| {
            let all = Redactions { redacted: vec!["x".repeat(bytes)], scrubbed: Vec::new() };
            all.stored().unwrap().redacted[0].len()
        };
        assert_eq!((long(REDACTIONS_BYTES_MAX), long(REDACTIONS_BYTES_MAX + 1)), (REDACTIONS_BYTES_MAX, 0));
    }
}
