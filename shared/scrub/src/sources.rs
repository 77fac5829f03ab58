//! The texts that are searched for: values, their lines, their leaves.

use serde_json::Value;
use zeroize::Zeroize;

use crate::needles::Gathered;

/// The fewest bytes of a single segment or parameter of a URL that is searched for: shorter ones
/// are mostly words (`services`).
const URL_PART_BYTES_MIN: usize = 12;

/// The needles of all values.
pub(crate) fn collect(values: &[(&str, &str)]) -> Gathered {
    let mut needles = Gathered::new();
    for (label, value) in values {
        add_with_lines(&mut needles, label, value);
        if let Ok(json) = serde_json::from_str(value) {
            add_leaves(&mut needles, label, json);
        }
    }
    needles
}

fn add_with_lines(needles: &mut Gathered, label: &str, text: &str) {
    needles.add_in_chunks(text, label);
    // A value may come back in lower case, as a header's name does.
    let mut lower = text.to_lowercase();
    if lower != text {
        needles.add_in_chunks(&lower, label);
    }
    lower.zeroize();
    // Targets often change the whitespace around a line.
    text.lines().for_each(|line| needles.add_in_chunks(line.trim(), label));
    add_url_parts(needles, label, text.trim());
}

/// Adds the parts of a value that is a URL (a hook whose path is the secret), for a target sees
/// them and may repeat them. The host is left out.
fn add_url_parts(needles: &mut Gathered, label: &str, text: &str) {
    let Some((_, rest)) =
        text.split_once("://").filter(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    else {
        return;
    };
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if let Some((user, _)) = authority.rsplit_once('@') {
        needles.add_in_chunks(user, label);
        user.split(':').for_each(|part| needles.add_in_chunks(part, label));
    }
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    for part in [target, path, path.trim_start_matches('/'), query] {
        needles.add_in_chunks(part, label);
    }
    let parameters = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    for part in path.split('/').chain(parameters).filter(|part| part.len() >= URL_PART_BYTES_MIN) {
        needles.add_in_chunks(part, label);
    }
}

/// Adds the leaves of a JSON value and wipes the value, for it is a copy of the secret.
fn add_leaves(needles: &mut Gathered, label: &str, value: Value) {
    match value {
        Value::String(mut text) => {
            add_with_lines(needles, label, &text);
            text.zeroize();
        }
        Value::Number(number) => {
            needles.add_in_chunks(&number.to_string(), label);
            if let Some(float) = number.as_f64() {
                needles.add_in_chunks(&float.to_string(), label);
            }
        }
        Value::Array(items) => items.into_iter().for_each(|item| add_leaves(needles, label, item)),
        Value::Object(map) => map.into_iter().for_each(|(mut key, item)| {
            key.zeroize();
            add_leaves(needles, label, item);
        }),
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::URL_PART_BYTES_MIN;
    use crate::Scrubber;

    #[test]
    fn the_parts_of_a_url_that_a_target_repeats_are_found_i1() {
        let url =
            "https://user:pa55word9@hooks.example.com/services/T0001/qWeRtYuIoP4567?key=AbCdEfGhIjKl&n=1";
        let scrubber = Scrubber::new(&[("chat.url", url)], &[]);
        let check = |text: &str, expected: &str| assert_eq!(scrubber.scrub_text(text).0, expected, "{text}");
        check("got /services/T0001/qWeRtYuIoP4567?key=AbCdEfGhIjKl&n=1", "got [secret:chat.url]");
        check("no route for /services/T0001/qWeRtYuIoP4567.", "no route for [secret:chat.url].");
        check("id=qWeRtYuIoP4567", "id=[secret:chat.url]");
        check("key AbCdEfGhIjKl", "key [secret:chat.url]");
        check("pa55word9", "[secret:chat.url]");
        check("services at hooks.example.com", "services at hooks.example.com");
    }

    #[test]
    fn a_value_in_lower_case_is_found_i1() {
        let scrubber = Scrubber::new(&[("a.b", "aBcDeFgHiJ0123")], &[]);
        assert_eq!(scrubber.scrub_text("x-tok-abcdefghij0123: v").0, "x-tok-[secret:a.b]: v");
    }

    #[test]
    fn a_part_of_a_url_has_a_limit_on_both_sides() {
        let found = |bytes: usize| {
            let part = "p".repeat(bytes);
            let scrubber = Scrubber::new(&[("a.b", &format!("https://h.example/x/{part}/y"))], &[]);
            scrubber.scrub_text(&format!("only {part}")).1
        };
        assert_eq!(found(URL_PART_BYTES_MIN), 1);
        assert_eq!(found(URL_PART_BYTES_MIN - 1), 0);
    }
}
