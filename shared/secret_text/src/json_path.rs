//! A place in a secret's JSON. Numbers keep their spelling.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::part::Step;

/// The text, number or boolean at the end of `path`; None where the text is no JSON or has no such
/// place.
pub(crate) fn follow(text: &str, path: &[Step]) -> Option<Zeroizing<String>> {
    let mut at: &RawValue = serde_json::from_str(text).ok()?;
    for step in path {
        at = match step {
            Step::Key(key) => {
                let map: BTreeMap<String, &RawValue> = serde_json::from_str(at.get()).ok()?;
                *map.get(key)?
            }
            Step::Index(index) => {
                let list: Vec<&RawValue> = serde_json::from_str(at.get()).ok()?;
                let from_end = || {
                    usize::try_from(index.unsigned_abs()).ok().and_then(|back| list.len().checked_sub(back))
                };
                let index = usize::try_from(*index).ok().or_else(from_end)?;
                *list.get(index)?
            }
        };
    }
    let leaf = at.get();
    match leaf.as_bytes().first()? {
        b'"' => serde_json::from_str(leaf).ok().map(Zeroizing::new),
        b't' | b'f' | b'-' | b'0'..=b'9' => Some(Zeroizing::new(leaf.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, path: &[Step], expected: Option<&str>) {
        assert_eq!(follow(text, path).as_ref().map(|found| found.as_str()), expected, "{text} {path:?}");
    }

    #[test]
    fn a_path_ends_at_a_text_a_number_or_a_boolean() {
        let key = |key: &str| Step::Key(key.to_owned());
        let text = r#" {"a": {"b c": ["x", "y\n\u0041"]}, "n": 1.50, "big": 12345678901234567890, "t": true, "z": null, "l": []} "#;
        check(text, &[key("a"), key("b c"), Step::Index(1)], Some("y\nA"));
        check(text, &[key("a"), key("b c"), Step::Index(-2)], Some("x"));
        check(text, &[key("n")], Some("1.50"));
        check(text, &[key("big")], Some("12345678901234567890"));
        check(text, &[key("t")], Some("true"));
        for path in [
            vec![],
            vec![key("z")],
            vec![key("l")],
            vec![key("a")],
            vec![key("none")],
            vec![key("n"), key("x")],
            vec![Step::Index(0)],
            vec![key("l"), Step::Index(0)],
            vec![key("a"), key("b c"), Step::Index(-3)],
            vec![key("a"), key("b c"), Step::Index(i64::MIN)],
        ] {
            check(text, &path, None);
        }
        check("no json", &[key("a")], None);
        check(r#"{"a": 1} trailing"#, &[key("a")], None);
        check("\"whole\"", &[], Some("whole"));
    }

    #[test]
    fn deep_json_is_followed_without_recursion_i10() {
        let deep = format!("{{\"a\": {}, \"b\": 1}}", "[".repeat(30_000));
        check(&deep, &[Step::Key("b".to_owned())], None);
        let closed = format!("{{\"a\": {}{}, \"b\": 1}}", "[".repeat(30_000), "]".repeat(30_000));
        check(&closed, &[Step::Key("b".to_owned())], Some("1"));
    }
}
