//! Places of an event's data that were blanked before it was stored.

use serde::{Deserialize, Serialize};

/// Places that one event names; where there are more, the whole of its data counts as one.
pub const REDACTIONS_MAX: usize = 200;

/// Places of an event's data that hold no data, as JSON pointers. Stored in `workflow_events.redactions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redactions {
    /// What the node's `redact` named: blanked whole. No template reads or copies it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<String>,
    /// Texts in which a secret was replaced by its name. No field that may hold a secret takes one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scrubbed: Vec<String>,
}

impl Redactions {
    /// Within the limit; None where there are none.
    #[must_use]
    pub fn stored(self) -> Option<Self> {
        let within =
            |places: Vec<String>| if places.len() > REDACTIONS_MAX { vec![String::new()] } else { places };
        let all = Self { redacted: within(self.redacted), scrubbed: within(self.scrubbed) };
        (all != Self::default()).then_some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_up_to_a_number_i10() {
        let stored = |count: usize| {
            let places = (0..count).map(|at| format!("/{at}")).collect();
            Redactions { redacted: Vec::new(), scrubbed: places }.stored().map(|all| all.scrubbed.len())
        };
        assert_eq!((stored(0), stored(1), stored(REDACTIONS_MAX)), (None, Some(1), Some(REDACTIONS_MAX)));
        assert_eq!(stored(REDACTIONS_MAX + 1), Some(1), "all of it");
    }
}
