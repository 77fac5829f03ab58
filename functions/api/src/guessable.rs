//! Secret values so short that an author could find out whether a guess is right.
//!
//! The scrubber marks a value, each of its lines and each leaf of its JSON wherever a target sends
//! them back. An author who may apply workflows can have a target send guesses back, and sees which
//! of them is scrubbed. That takes too long for anything but a short piece.

use domain::limits::SECRET_VALUE_BYTES_MIN;
use serde_json::Value;
use vault_format::SecretValue;

/// The most bytes of a piece that can still be guessed.
const GUESS_BYTES_MAX: usize = 15;

/// A warning for each key whose value, a line of it or a leaf of its JSON is short enough to be
/// guessed. It repeats no value.
pub(crate) fn guessable<'v>(values: impl Iterator<Item = (&'v str, &'v SecretValue)>) -> Vec<String> {
    let warning = |(key, value): (&str, &SecretValue)| {
        let what = short_piece(value.expose())?;
        let bytes = GUESS_BYTES_MAX + 1;
        Some(format!(
            "{what} of `{key}` has fewer than {bytes} bytes: somebody who may apply workflows can confirm a right guess of it"
        ))
    };
    values.filter_map(warning).collect()
}

/// Bytes from which the scrubber searches for a segment or parameter of a URL.
const URL_PART_BYTES_MIN: usize = 12;

fn short_piece(value: &str) -> Option<&'static str> {
    // The scrubber doesn't search for shorter pieces, so it confirms no guess of them.
    let is_short = |piece: &str| (SECRET_VALUE_BYTES_MIN..=GUESS_BYTES_MAX).contains(&piece.len());
    if is_short(value) {
        return Some("the value");
    }
    if value.lines().any(|line| is_short(line.trim())) {
        return Some("a line");
    }
    if url_parts(value.trim()).into_iter().any(is_short) {
        return Some("a part of the URL");
    }
    let json: Value = serde_json::from_str(value).ok()?;
    has_leaf(&json, &is_short).then_some("a text in the JSON")
}

/// A target that is called by a URL may send these parts of it back: user name and password, path,
/// query. A value that is no URL has none.
fn url_parts(value: &str) -> Vec<&str> {
    let Some((_, rest)) = value.split_once("://") else { return Vec::new() };
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    // Shorter segments and parameters are mostly words. The scrubber doesn't search for them.
    let segments =
        path.split('/').chain(query.split(['&', '='])).filter(|part| part.len() >= URL_PART_BYTES_MIN);
    [user, target, path, path.trim_start_matches('/'), query]
        .into_iter()
        .chain(user.split(':'))
        .chain(segments)
        .collect()
}

// Recursion ends: the parser refuses what is nested deeper than 128 levels.
fn has_leaf(json: &Value, wanted: &impl Fn(&str) -> bool) -> bool {
    match json {
        Value::String(text) => wanted(text),
        Value::Number(number) => wanted(&number.to_string()),
        Value::Array(items) => items.iter().any(|item| has_leaf(item, wanted)),
        Value::Object(map) => map.values().any(|item| has_leaf(item, wanted)),
        Value::Null | Value::Bool(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_lines_and_leaves_are_warned_of_and_not_repeated() {
        let said = |text: &str| guessable([("k", &SecretValue::new(text.to_owned()))].into_iter());
        let long = "x".repeat(GUESS_BYTES_MAX + 1);
        for (text, what) in [
            ("x".repeat(GUESS_BYTES_MAX), "the value of `k`"),
            (format!("{long}\n12345678\n"), "a line of `k`"),
            (format!("https://bob:12345678@hooks.example.com/{long}"), "a part of the URL of `k`"),
            ("https://hooks.example.com/services/123456781234/x".into(), "a part of the URL of `k`"),
            ("https://hooks.example.com/12345678".into(), "a part of the URL of `k`"),
            (format!("{{\"a\":[\"{long}\",\"12345678\"]}}"), "a text in the JSON of `k`"),
        ] {
            let warnings = said(&text);
            assert_eq!(warnings.len(), 1, "{text}");
            assert!(warnings[0].starts_with(what) && !warnings[0].contains("12345678"), "{warnings:?}");
        }
        for text in [
            long.clone(),
            format!("{long}\n}}\n"),
            format!("{{\"a\":\"{long}\",\"b\":\"short\"}}"),
            "short".into(),
            format!("https://hooks.example.com/services/{long}"),
        ] {
            assert_eq!(said(&text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_part_of_a_url_has_a_limit_on_both_sides() {
        let warnings = |bytes: usize| {
            let url = format!(
                "https://hooks.example.com/services/{}/{}",
                "x".repeat(bytes),
                "y".repeat(GUESS_BYTES_MAX + 1)
            );
            guessable([("k", &SecretValue::new(url))].into_iter()).len()
        };
        assert_eq!((warnings(URL_PART_BYTES_MIN), warnings(URL_PART_BYTES_MIN - 1)), (1, 0));
    }
}
