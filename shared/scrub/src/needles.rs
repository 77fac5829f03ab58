//! The strings that are searched for, and the search.
//!
//! No string is shorter than eight bytes, so the first eight of each are its index: the search looks at each window of
//! eight bytes once, and compares the rest where an index has it. Memory grows with the strings alone, however many there are.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::ops::Range;

use zeroize::Zeroizing;

/// Bytes under which a string is not searched for.
pub const BYTES_MIN: usize = model::limits::SECRET_VALUE_BYTES_MIN;

/// Bytes of the parts that a long value is searched by: bounds the comparisons, and finds a value that was cut.
const CHUNK_BYTES: usize = 128;
const WINDOW_BYTES: usize = size_of::<u64>();
const HASHES: usize = 1 << 16;
/// Knuth's multiplicative hash: the high bits depend on all eight bytes.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

const _: () = assert!(BYTES_MIN == WINDOW_BYTES, "the index takes the first eight bytes of every string");

/// Which secret a string belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

struct Needle {
    bytes: Zeroizing<Vec<u8>>,
    label: Label,
}

/// All strings of one scrubber.
pub(crate) struct Needles {
    list: Vec<Needle>,
    labels: Vec<String>,
    /// Keyed hashes of the strings in `list`, so that each is there once.
    known: HashSet<u64>,
    /// By the hash of the first eight bytes; it holds no part of a secret that would have to be wiped.
    by_hash: HashMap<usize, Vec<usize>>,
    /// One bit for each hash: nearly every window of a text ends here.
    filter: Vec<u64>,
}

impl Needles {
    pub(crate) fn new() -> Self {
        Self {
            list: Vec::new(),
            labels: Vec::new(),
            known: HashSet::new(),
            by_hash: HashMap::new(),
            filter: vec![0; HASHES / 64],
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds a string that is found as a whole; one that is too short, or there already, is nothing.
    pub(crate) fn add(&mut self, text: &str, label: impl Into<String>) {
        self.add_bytes(text.as_bytes(), label.into());
    }

    /// Adds a string that is found by its parts where it is long.
    pub(crate) fn add_in_chunks(&mut self, text: &str, label: &str) {
        let bytes = text.as_bytes();
        if bytes.len() <= CHUNK_BYTES {
            return self.add_bytes(bytes, label.to_owned());
        }
        for chunk in bytes.chunks_exact(CHUNK_BYTES) {
            self.add_bytes(chunk, label.to_owned());
        }
        // The rest may be too short to be searched for alone.
        self.add_bytes(&bytes[bytes.len() - CHUNK_BYTES..], label.to_owned());
    }

    fn add_bytes(&mut self, bytes: &[u8], label: String) {
        let Some(first) = bytes.get(..WINDOW_BYTES) else { return };
        let hash = hash(first.iter().fold(0, |window, byte| shift(window, *byte)));
        if !self.known.insert(self.known.hasher().hash_one(bytes)) {
            return;
        }
        self.by_hash.entry(hash).or_default().push(self.list.len());
        self.filter[hash / 64] |= 1 << (hash % 64);
        let label = self.labels.iter().position(|known| *known == label).unwrap_or_else(|| {
            self.labels.push(label);
            self.labels.len() - 1
        });
        self.list.push(Needle { bytes: Zeroizing::new(bytes.to_vec()), label: Label(label) });
    }

    pub(crate) fn label(&self, label: Label) -> &str {
        &self.labels[label.0]
    }

    pub(crate) fn replacement(&self, label: Label) -> String {
        format!("[secret:{}]", self.labels[label.0])
    }

    /// A label that itself holds a secret (a key that is named as its value) is not shown.
    pub(crate) fn hide_labels(&mut self) {
        for at in 0..self.labels.len() {
            let mut seen = false;
            self.find(self.replacement(Label(at)).as_bytes(), &mut |_, _| seen = true);
            if seen {
                self.labels[at] = "hidden".to_owned();
            }
        }
    }

    /// Reports every occurrence of every string, overlapping ones too.
    pub(crate) fn find(&self, bytes: &[u8], report: &mut dyn FnMut(Range<usize>, Label)) {
        let mut window = 0;
        for (at, byte) in bytes.iter().enumerate() {
            window = shift(window, *byte);
            let hash = hash(window);
            if at + 1 < WINDOW_BYTES || self.filter[hash / 64] & (1 << (hash % 64)) == 0 {
                continue;
            }
            let start = at + 1 - WINDOW_BYTES;
            for candidate in self.by_hash.get(&hash).into_iter().flatten() {
                let needle = &self.list[*candidate];
                if bytes[start..].starts_with(&needle.bytes) {
                    report(start..start + needle.bytes.len(), needle.label);
                }
            }
        }
    }
}

fn shift(window: u64, byte: u8) -> u64 {
    window << 8 | u64::from(byte)
}

fn hash(window: u64) -> usize {
    usize::try_from(window.wrapping_mul(MULTIPLIER) >> 48).expect("16 bits fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(needles: &[&str], text: &str) -> Vec<(usize, usize)> {
        let mut all = Needles::new();
        needles.iter().for_each(|needle| all.add_in_chunks(needle, "label"));
        let mut ranges = Vec::new();
        all.find(text.as_bytes(), &mut |range, _| ranges.push((range.start, range.end)));
        ranges
    }

    #[test]
    fn every_occurrence_is_found_where_it_starts_and_ends() {
        assert_eq!(found(&["12345678"], "12345678"), [(0, 8)]);
        assert_eq!(found(&["12345678"], "x12345678"), [(1, 9)]);
        assert_eq!(found(&["123456789"], "12345678"), [(0, 0); 0]);
        assert_eq!(found(&["12345678", "123456789", "456789ab"], "0123456789ab"), [(1, 9), (1, 10), (4, 12)]);
        assert_eq!(found(&["aaaaaaaa"], "aaaaaaaaaa"), [(0, 8), (1, 9), (2, 10)]);
        assert_eq!(found(&["\0\0\0\0\0\0\0\0"], "\0\0\0\0\0\0\0"), [(0, 0); 0]);
    }

    #[test]
    fn strings_under_eight_bytes_are_not_searched_for_i10() {
        assert_eq!(found(&["1234567"], "1234567 1234567"), [(0, 0); 0]);
        assert_eq!(found(&["12345678"], "1234567 12345678"), [(8, 16)]);
    }

    #[test]
    fn a_long_string_is_found_by_parts_that_leave_nothing() {
        let long: String = (0..100).map(|i| format!("<{i:03}>")).collect();
        let mut covered = vec![false; long.len()];
        for (start, end) in found(&[&long], &long) {
            covered[start..end].fill(true);
        }
        assert!(covered.iter().all(|byte| *byte));
    }
}
