//! "Did you mean …": the closest of the allowed words.

/// The most characters of a word that gets a suggestion.
const WORD_CHARS_MAX: usize = 128;

/// The candidate that `word` was probably meant to be, if one is near enough. Case does not count.
#[must_use]
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().collect();
    if word.is_empty() || word.len() > WORD_CHARS_MAX {
        return None;
    }
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let letters: Vec<char> = candidate.to_lowercase().chars().take(WORD_CHARS_MAX).collect();
            let distance = distance(&word, &letters);
            let far = (word.len().max(letters.len()) / 3).max(1);
            (distance <= far && distance < letters.len()).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?` to end a message with, or nothing.
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    closest(word, candidates).map_or_else(String::new, |found| format!("; did you mean `{found}`?"))
}

/// Edits (insert, delete, replace, swap of neighbours) from one word to the other.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut rows = vec![vec![0_usize; to.len() + 1]; from.len() + 1];
    for (index, row) in rows.iter_mut().enumerate() {
        row[0] = index;
    }
    for (index, cell) in rows[0].iter_mut().enumerate() {
        *cell = index;
    }
    for i in 1..=from.len() {
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let check = |word: &str, expected: Option<&str>| {
            let words = ["http", "if", "filter", "configuration", "previous"];
            assert_eq!(closest(word, words), expected, "{word}");
        };
        check("htpp", Some("http"));
        check("HTTP", Some("http"));
        check("previuos", Some("previous"));
        check("configuratoin", Some("configuration"));
        check("config", None);
        check("xyz", None);
        check("", None);
        check(&"h".repeat(10_000), None);
    }

    #[test]
    fn without_a_near_word_the_message_ends_plainly() {
        assert_eq!(did_you_mean("htp", ["http"]), "; did you mean `http`?");
        assert_eq!(did_you_mean("zzz", ["http"]), "");
    }

    #[test]
    fn a_word_of_many_letters_gets_no_suggestion_i10() {
        let near = |letters: usize| {
            let word = "a".repeat(letters);
            closest(&word, [format!("{}b", &word[1..]).as_str()]).is_some()
        };
        assert_eq!((near(WORD_CHARS_MAX), near(WORD_CHARS_MAX + 1)), (true, false));
    }
}
