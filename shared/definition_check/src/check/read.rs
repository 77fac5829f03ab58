//! Reads the values of a tree. Wrong values are reported and left out.

use components::suggest::did_you_mean;
use domain::limits::{NAME_CHARS_MAX, NODE_ID_CHARS_MAX};

use super::collect::{Collector, Spot};
use definition::pointer::key_path;

use crate::source::{Content, Entry, Tree};

/// A map with these fields and no others.
pub(super) fn map<'t>(
    tree: &'t Tree,
    field: &str,
    fields: &[&str],
    out: &mut Collector<'_>,
) -> Option<&'t [Entry]> {
    let entries = map_of_any(tree, field, out)?;
    for entry in entries.iter().filter(|entry| !fields.contains(&entry.key.as_str())) {
        let path = format!("{field}{}", key_path(&entry.key));
        let hint = did_you_mean(&entry.key, fields.iter().copied());
        let shown: String = entry.key.chars().take(NAME_CHARS_MAX).collect();
        out.error(entry.position, path.trim_start_matches('.'), format!("unknown field `{shown}`{hint}"));
    }
    Some(entries)
}

pub(super) fn map_of_any<'t>(tree: &'t Tree, field: &str, out: &mut Collector<'_>) -> Option<&'t [Entry]> {
    match &tree.content {
        Content::Map(entries) => Some(entries),
        Content::Refused => None,
        _ => {
            out.error(tree.position, field, format!("must be a map, not {}", tree.type_name()));
            None
        }
    }
}

pub(super) fn list<'t>(tree: &'t Tree, field: &str, items_max: usize, out: &mut Collector<'_>) -> &'t [Tree] {
    match &tree.content {
        Content::List(items) if items.len() > items_max => {
            out.error(tree.position, field, format!("at most {items_max}, there are {}", items.len()));
            &items[..items_max]
        }
        Content::List(items) => items,
        Content::Refused => &[],
        _ => {
            out.error(tree.position, field, format!("must be a list, not {}", tree.type_name()));
            &[]
        }
    }
}

pub(super) fn text<'t>(tree: &'t Tree, field: &str, out: &mut Collector<'_>) -> Option<Spot<&'t str>> {
    match &tree.content {
        Content::Text(text) => Some(Spot::new(text, tree.position, field)),
        Content::Refused => None,
        _ => {
            out.error(tree.position, field, format!("must be text, not {}", tree.type_name()));
            None
        }
    }
}

pub(super) fn name(tree: &Tree, field: &str, out: &mut Collector<'_>) -> Option<Spot<String>> {
    let spot = text(tree, field, out)?;
    let problem = if spot.value.trim().is_empty() {
        Some("must not be empty".to_owned())
    } else if spot.value.chars().count() > NAME_CHARS_MAX {
        Some(format!("must have at most {NAME_CHARS_MAX} characters"))
    } else if spot.value.chars().any(char::is_control) {
        Some("must not hold control characters".to_owned())
    } else if spot.value.trim() != spot.value {
        Some("must not begin or end with a space".to_owned())
    } else {
        None
    };
    if let Some(problem) = problem {
        out.error(spot.position, field, problem);
    }
    Some(Spot::new(spot.value.to_owned(), spot.position, field))
}

pub(super) fn node_id(tree: &Tree, field: &str, out: &mut Collector<'_>) -> Option<Spot<String>> {
    let spot = text(tree, field, out)?;
    let fits = (1..=NODE_ID_CHARS_MAX).contains(&spot.value.len())
        && spot.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if !fits {
        let message = format!("must be 1 to {NODE_ID_CHARS_MAX} letters, digits, `_` or `-`");
        out.error(spot.position, field, message);
    }
    Some(Spot::new(spot.value.to_owned(), spot.position, field))
}
