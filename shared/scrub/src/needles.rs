//! The strings that are searched for, and the search: one automaton (Aho and Corasick, 1975), whose
//! work depends on the length of the text, not on the number or the content of the strings.

use std::collections::HashSet;
use std::hash::BuildHasher as _;
use std::ops::Range;

use aho_corasick::automaton::Automaton as _;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};
use zeroize::Zeroizing;

/// The fewest bytes of a string that is searched for.
pub const BYTES_MIN: usize = domain::limits::SECRET_VALUE_BYTES_MIN;

/// Bytes of the chunks of a long value. A search for chunks finds a value that was cut.
const CHUNK_BYTES: usize = 128;

/// The secret that a string belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// The strings while they are gathered.
pub(crate) struct Gathered {
    list: Vec<Zeroizing<Vec<u8>>>,
    /// The label of each string.
    owners: Vec<Label>,
    labels: Vec<String>,
    /// Keyed hashes of the strings, so that each string is kept once.
    known: HashSet<u64>,
}

impl Gathered {
    pub(crate) fn new() -> Self {
        Self { list: Vec::new(), owners: Vec::new(), labels: Vec::new(), known: HashSet::new() }
    }

    /// Adds a string that is found as a whole. A string that is too short, or known already, is
    /// skipped.
    pub(crate) fn add(&mut self, text: &str, label: &str) {
        self.add_bytes(text.as_bytes(), label);
    }

    /// Adds a string. A long one is found by its chunks.
    pub(crate) fn add_in_chunks(&mut self, text: &str, label: &str) {
        let bytes = text.as_bytes();
        if bytes.len() <= CHUNK_BYTES {
            return self.add_bytes(bytes, label);
        }
        for chunk in bytes.chunks_exact(CHUNK_BYTES) {
            self.add_bytes(chunk, label);
        }
        // The last chunk is a full one from the end: the rest alone may be too short for a search.
        self.add_bytes(&bytes[bytes.len() - CHUNK_BYTES..], label);
    }

    fn add_bytes(&mut self, bytes: &[u8], label: &str) {
        if bytes.len() < BYTES_MIN || !self.known.insert(self.known.hasher().hash_one(bytes)) {
            return;
        }
        let label = self.labels.iter().position(|known| known == label).unwrap_or_else(|| {
            self.labels.push(label.to_owned());
            self.labels.len() - 1
        });
        self.list.push(Zeroizing::new(bytes.to_vec()));
        self.owners.push(Label(label));
    }

    /// Makes the automaton; the strings are wiped.
    pub(crate) fn into_needles(self) -> Needles {
        let Self { list, owners, labels, .. } = self;
        // A DFA would take a kilobyte for each byte of the strings; standard semantics report every
        // end of a match.
        let automaton = (!list.is_empty()).then(|| {
            let built = NFA::builder()
                .match_kind(MatchKind::Standard)
                .build(list.iter().map(|needle| needle.as_slice()));
            built.expect("the strings of one execution are far from two billion states")
        });
        let lengths = list.iter().map(|needle| needle.len()).collect();
        let mut needles = Needles { automaton, lengths, owners, labels };
        needles.hide_labels();
        needles
    }
}

/// All strings of one scrubber.
pub(crate) struct Needles {
    automaton: Option<NFA>,
    /// The length and the label of each string.
    lengths: Vec<usize>,
    owners: Vec<Label>,
    labels: Vec<String>,
}

impl Needles {
    pub(crate) fn is_empty(&self) -> bool {
        self.automaton.is_none()
    }

    pub(crate) fn replacement(&self, label: Label) -> String {
        format!("[secret:{}]", self.labels[label.0])
    }

    /// Hides labels that hold a secret, as where a key has its value as its name.
    fn hide_labels(&mut self) {
        for at in 0..self.labels.len() {
            let mut seen = false;
            self.find(self.replacement(Label(at)).as_bytes(), &mut |_, _| seen = true);
            if seen {
                self.labels[at] = "hidden".to_owned();
            }
        }
    }

    /// Reports the places of strings. Overlapping strings are reported as one place, with the label
    /// of the longest. Later reports may overlap earlier ones.
    pub(crate) fn find(&self, bytes: &[u8], report: &mut dyn FnMut(Range<usize>, Label)) {
        let Some(automaton) = &self.automaton else { return };
        let mut state = automaton.start_state(Anchored::No).expect("the automaton searches anywhere");
        let mut open: Option<Open> = None;
        for (at, byte) in bytes.iter().enumerate() {
            state = automaton.next_state(Anchored::No, state, *byte);
            if !automaton.is_match(state) {
                continue;
            }
            // The first of the strings that end here is the longest; the others lie within it.
            let pattern = automaton.match_pattern(state, 0).as_usize();
            let (length, label) = (self.lengths[pattern], self.owners[pattern]);
            let range = at + 1 - length..at + 1;
            open = Some(match open {
                Some(open) if range.start < open.range.end => open.joined(range, label),
                before => {
                    before.into_iter().for_each(|open| report(open.range, open.label));
                    Open { range, label, longest: length }
                }
            });
        }
        open.into_iter().for_each(|open| report(open.range, open.label));
    }
}

/// The overlapping strings that were found so far.
struct Open {
    range: Range<usize>,
    label: Label,
    longest: usize,
}

impl Open {
    fn joined(self, range: Range<usize>, label: Label) -> Self {
        let (label, longest) =
            if range.len() > self.longest { (label, range.len()) } else { (self.label, self.longest) };
        Self { range: self.range.start.min(range.start)..range.end, label, longest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(needles: &[&str], text: &str) -> Vec<(usize, usize)> {
        let mut all = Gathered::new();
        needles.iter().for_each(|needle| all.add_in_chunks(needle, "label"));
        let mut ranges = Vec::new();
        all.into_needles().find(text.as_bytes(), &mut |range, _| ranges.push((range.start, range.end)));
        ranges
    }

    #[test]
    fn every_occurrence_is_found_and_what_overlaps_is_one() {
        assert_eq!(found(&["12345678"], "12345678"), [(0, 8)]);
        assert_eq!(found(&["12345678"], "x12345678"), [(1, 9)]);
        assert_eq!(found(&["123456789"], "12345678"), [(0, 0); 0]);
        assert_eq!(found(&["12345678", "123456789", "456789ab"], "0123456789ab"), [(1, 12)]);
        assert_eq!(found(&["aaaaaaaa"], "aaaaaaaaaa"), [(0, 10)]);
        assert_eq!(found(&["12345678"], "1234567812345678"), [(0, 8), (8, 16)]);
        assert_eq!(found(&["12345678", "xx12345678901234yy"], "xx12345678901234yy"), [(0, 18)]);
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
