//! Suggestions of the name that was perhaps meant.

use crate::{
    SEALFLOW_NAMES,
    builtins::{Builtin, Loop},
    error::ErrorKind,
    eval::Fault,
};

/// The builtin or registered name nearest to `name`, if one is near.
pub(crate) fn name(name: &str) -> Option<&'static str> {
    let builtins = Builtin::ALL.iter().map(|builtin| builtin.name());
    let loops = Loop::ALL.iter().map(|which| which.name());
    among(name, SEALFLOW_NAMES.iter().copied().chain(builtins).chain(loops))
}

/// The fault for a `name` or `function` that does not exist, with the one that was perhaps meant.
pub(crate) fn unknown(what: &str, unknown: &str) -> Fault {
    let call = if what == "function" { "()" } else { "" };
    let meant = match name(unknown) {
        Some(meant) => format!("; did you mean `{meant}{call}`?"),
        None => String::new(),
    };
    Fault::new(ErrorKind::Name, format!("unknown {what} `{unknown}{call}`{meant}"))
}

/// The candidate nearest to `name`: at most a third of its letters may differ.
pub(crate) fn among<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let letters: Vec<char> = name.chars().take(LETTERS_MAX + 1).collect();
    if letters.len() > LETTERS_MAX {
        return None;
    }
    let most = (letters.len() / 3).max(1);
    let near = candidates.map(|candidate| (distance(&letters, candidate), candidate));
    near.filter(|(distance, _)| (1..=most).contains(distance))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// The most letters of a name that gets a suggestion.
const LETTERS_MAX: usize = 32;

/// The edits from one name to the other: letters to add, drop, change or swap with their neighbour.
/// Another case of a letter is no edit, but names that differ only in case have the distance 1.
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let same = a[i - 1].eq_ignore_ascii_case(&b[j - 1]);
            let mut best =
                (rows[i - 1][j - 1] + usize::from(!same)).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    // Names that differ in capitals only are near, not the same.
    rows[a.len()][b.len()].max(usize::from(*a != b[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_recognised() {
        for (wrong, right) in [
            ("previuos", "previous"),
            ("secret", "secrets"),
            ("toJson", "toJSON"),
            ("lenght", "len"),
            ("rooot", "root"),
        ] {
            let found = name(wrong);
            assert_eq!(found, if wrong == "lenght" { None } else { Some(right) }, "{wrong}");
        }
        assert_eq!(name("frobnicate"), None);
    }

    #[test]
    fn a_name_of_many_letters_gets_no_suggestion_i10() {
        let near = |letters: usize| {
            let candidate = "a".repeat(letters);
            among(&format!("{}b", &candidate[1..]), std::iter::once(candidate.as_str())).is_some()
        };
        assert_eq!((near(LETTERS_MAX), near(LETTERS_MAX + 1)), (true, false));
    }
}
