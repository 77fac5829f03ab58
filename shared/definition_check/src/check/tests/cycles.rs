//! Cycles of edges, and the limit of visits that ends them.

use domain::limits::VISITS_MAX;

use super::*;

/// A definition of `start`, `a`, `b`, `c` and `d`, where a node's text may say more; with these
/// edges beside the one from `start` to `a`.
fn definition(more: [&str; 4], edges: &[(&str, &str)]) -> String {
    let node = |(id, more): (&str, &str)| format!("  - {{ id: {id}, name: {id}, component: noop{more} }}\n");
    let nodes: String = ["a", "b", "c", "d"].into_iter().zip(more).map(node).collect();
    let edges: String =
        edges.iter().map(|(from, to)| format!("  - {{ from: {from}, to: {to} }}\n")).collect();
    workflow(&nodes) + &edges
}

fn found(more: [&str; 4], edges: &[(&str, &str)]) -> Vec<String> {
    let warnings = warnings(&definition(more, edges)).into_iter();
    let cycles = warnings.filter(|warning| warning.contains("cycle"));
    cycles
        .map(|warning| warning.split_once("end: ").map_or(warning.clone(), |(_, rest)| rest.to_owned()))
        .collect()
}

const ADVICE: &str = "; give one of its nodes `max_visits`, such as `max_visits: 333`";
const NONE: [&str; 4] = [""; 4];

#[test]
fn a_cycle_without_a_limit_of_visits_is_told_once_with_its_nodes() {
    assert_eq!(found(NONE, &[("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")]), Vec::<String>::new());
    assert_eq!(found(NONE, &[("a", "a")]), [format!("`a`{ADVICE}")]);
    assert_eq!(found(NONE, &[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]), [format!("`b`, `c`{ADVICE}")]);
    let two = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "c")];
    assert_eq!(found(NONE, &two), [format!("`a`, `b`{ADVICE}"), format!("`c`, `d`{ADVICE}")]);
}

#[test]
fn a_node_with_a_limit_of_visits_ends_each_cycle_through_it_and_no_other() {
    let at_b = ["", ", max_visits: 5", "", ""];
    let edges = [("a", "b"), ("b", "c"), ("c", "b"), ("b", "a")];
    assert_eq!(found(at_b, &edges), Vec::<String>::new());
    let another = [edges.as_slice(), &[("c", "d"), ("d", "c")]].concat();
    assert_eq!(found(at_b, &another), [format!("`c`, `d`{ADVICE}")]);
}

#[test]
fn a_limit_of_visits_is_a_number_of_components_i10() {
    let said = |value: &str| {
        let at_a = format!(", max_visits: {value}");
        errors(&definition([&at_a, "", "", ""], &[]))
    };
    for value in [1, VISITS_MAX] {
        assert_eq!(said(&value.to_string()), Vec::<String>::new(), "{value}");
    }
    for value in ["0".to_owned(), (VISITS_MAX + 1).to_string(), "-1".into(), "1.5".into(), "many".into()] {
        let [error] = said(&value).try_into().expect("one");
        assert!(error.ends_with("must be a whole number from 1 to 1000"), "{value}: {error}");
    }
    let trigger = "name: w\nnodes:\n  - { id: s, name: S, trigger: start, max_visits: 2 }\n";
    assert!(errors(trigger)[0].contains("no run visits it"), "{:?}", errors(trigger));
}
