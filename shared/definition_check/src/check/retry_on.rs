//! `retry.on`: the failures that are tried again.

use components::suggest::did_you_mean;
use domain::retry::RetryOn;

use super::collect::Collector;
use super::read::list;
use crate::source::{Content, Tree};

/// Entries of the list.
const ENTRIES_MAX: usize = 50;
/// The codes of failures that another attempt may mend, or that the author may know better.
const CODES: [&str; 10] = [
    "timeout",
    "dns",
    "connect",
    "tls",
    "connection_lost",
    "unreachable",
    "response_invalid",
    "response_too_large",
    "credential_unavailable",
    "nothing_to_select",
];

/// Statuses (`409`), ranges of them (`"500-599"`) and codes (`timeout`).
pub(super) fn read(tree: &Tree, field: &str, out: &mut Collector<'_>) -> Option<Vec<RetryOn>> {
    if !matches!(tree.content, Content::List(_)) {
        list(tree, field, ENTRIES_MAX, out);
        return None;
    }
    let mut entries = Vec::new();
    let items = list(tree, field, ENTRIES_MAX, out);
    for (index, item) in items.iter().enumerate() {
        let entry = match &item.content {
            Content::Integer(status) => statuses(&status.to_string()),
            Content::Text(text) if CODES.contains(&text.as_str()) => Some(RetryOn::Code(text.clone())),
            Content::Text(text) => statuses(text),
            _ => None,
        };
        match entry {
            Some(entry) => entries.push(entry),
            None => {
                let given = if let Content::Text(text) = &item.content { text.as_str() } else { "" };
                let hint = did_you_mean(given, CODES.iter().copied());
                let message = format!(
                    "must be a status code from 100 to 599, a range such as \"500-599\", or one of {}{hint}",
                    CODES.join(", ")
                );
                out.error(item.position, &format!("{field}[{index}]"), message);
            }
        }
    }
    (entries.len() == items.len()).then_some(entries)
}

fn statuses(text: &str) -> Option<RetryOn> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let read = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..=599).contains(status));
    let (first, last) = (read(first)?, read(last)?);
    (first <= last).then_some(RetryOn::Statuses(first, last))
}

#[cfg(test)]
mod tests {
    use domain::retry::RetryOn;

    use crate::check;

    fn policy(on: &str) -> Result<Option<Vec<RetryOn>>, Vec<String>> {
        let text = format!(
            "name: w\nnodes:\n  - {{ id: s, name: S, trigger: start }}\n  - {{ id: a, name: A, component: http, configuration: {{ url: 'https://a.example/' }}, \
             retry: {{ max_attempts: 3, max_elapsed: 60, on: {on} }} }}\nedges: [{{ from: s, to: a }}]\n"
        );
        match check(&text) {
            Ok(checked) => {
                let retry = checked.definition.nodes[1].retry.clone().unwrap();
                assert_eq!(retry.max_elapsed, Some(60));
                Ok(retry.on)
            }
            Err(refused) => Err(refused.problems.into_iter().map(|problem| problem.field).collect()),
        }
    }

    #[test]
    fn statuses_ranges_and_codes_are_read() {
        let expected = vec![
            RetryOn::Statuses(409, 409),
            RetryOn::Statuses(500, 599),
            RetryOn::Code("timeout".to_owned()),
        ];
        assert_eq!(policy("[409, \"500-599\", timeout]"), Ok(Some(expected)));
    }

    #[test]
    fn what_is_no_failure_is_refused_at_its_place() {
        for wrong in ["[99]", "[600]", "[\"599-500\"]", "[timout]", "[{}]", "[secret_denied]"] {
            assert_eq!(policy(wrong), Err(vec!["nodes[1].retry.on[0]".to_owned()]), "{wrong}");
        }
        assert_eq!(policy("409"), Err(vec!["nodes[1].retry.on".to_owned()]));
        assert_eq!(policy("[]"), Err(vec!["nodes[1].retry.on".to_owned()]));
    }

    #[test]
    fn the_list_has_a_limit_on_both_sides() {
        let many = |count: usize| policy(&format!("[{}]", vec!["409"; count].join(", "))).is_ok();
        assert!(many(super::ENTRIES_MAX) && !many(super::ENTRIES_MAX + 1));
    }
}
