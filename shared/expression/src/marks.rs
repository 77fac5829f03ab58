//! Marks: places of data that hold no data, because they were blanked before storage.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Places of one JSON value that were redacted, or in which a secret was scrubbed. A template can
/// neither read nor copy one.
#[derive(Debug, Default)]
pub struct Marks {
    /// The name of the place in messages, if the place itself is marked.
    label: Option<Arc<str>>,
    /// The marks below, by key or index.
    children: BTreeMap<String, Marks>,
}

/// Weight of one place: a map with its first entry, and a name.
const PLACE_WEIGHT: usize = 1024;

impl Marks {
    /// Marks the places that `pointers` (JSON pointers) name. Messages name a place by `what` and
    /// its pointer.
    pub fn of<'p>(what: &str, pointers: impl IntoIterator<Item = &'p str>) -> Marks {
        let mut marks = Marks::default();
        for pointer in pointers {
            let mut place = &mut marks;
            for key in pointer.split('/').skip(1) {
                place = place.children.entry(key.replace("~1", "/").replace("~0", "~")).or_default();
            }
            place.label = Some(format!("{what}{pointer}").into());
        }
        marks
    }

    /// Whether nothing is marked.
    pub fn is_empty(&self) -> bool {
        self.label.is_none() && self.children.is_empty()
    }

    /// Bytes of memory that the marks count for.
    pub fn weight(&self) -> usize {
        PLACE_WEIGHT + self.children.values().map(Marks::weight).sum::<usize>()
    }

    pub(crate) fn label(&self) -> Option<&Arc<str>> {
        self.label.as_ref()
    }

    /// The marks below a key.
    pub(crate) fn below(&self, key: &str) -> Option<&Marks> {
        self.children.get(key)
    }
}
