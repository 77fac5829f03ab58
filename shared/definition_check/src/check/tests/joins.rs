//! Joins, and nodes that lack one.

use domain::limits::MERGE_SOURCES_MAX;

use super::*;

/// A definition of `start`, and of these nodes and edges; `m` is a merge with this configuration.
fn definition(configuration: &str, ids: &[&str], edges: &[(&str, &str)]) -> String {
    let node = |id: &&str| match *id {
        "m" => format!("  - {{ id: m, name: M, component: merge{configuration} }}\n"),
        _ => format!("  - {{ id: {id}, name: N{id}, component: noop }}\n"),
    };
    let nodes: String = ids.iter().map(node).collect();
    let edge = |(from, to): &(&str, &str)| {
        let channel = if *from == "m" { ", channel: success" } else { "" };
        format!("  - {{ from: {from}{channel}, to: {to} }}\n")
    };
    workflow(&nodes) + &edges.iter().map(edge).collect::<String>()
}

const BOTH: [(&str, &str); 3] = [("a", "b"), ("a", "m"), ("b", "m")];

#[test]
fn a_merge_of_two_branches_is_taken_and_one_of_one_is_warned_of() {
    let warned = |edges: &[(&str, &str)]| {
        let found = warnings(&definition("", &["a", "b", "m"], edges));
        found.iter().any(|warning| warning.contains("nothing to join"))
    };
    assert!(!warned(&BOTH));
    assert!(warned(&[("a", "b"), ("b", "m")]));
}

#[test]
fn the_sources_of_a_merge_are_names_of_nodes_with_an_edge_to_it() {
    let found = |sources: &str| {
        errors(&definition(
            &format!(", configuration: {{ sources: [{sources}] }}"),
            &["a", "b", "c", "m"],
            &[("a", "b"), ("a", "c"), ("a", "m"), ("b", "m")],
        ))
    };
    assert_eq!(found("Na, Nb"), Vec::<String>::new());
    let error = found("Na, Nc").join("\n");
    assert!(error.contains("no edge leads from a node named `Nc` to `m`"), "{error}");
    assert!(found("b").join("\n").contains("no edge leads from a node named `b`"), "ids are no names");
}

#[test]
fn a_quorum_is_of_the_nodes_that_there_are() {
    let found = |quorum: u32| {
        let configuration = format!(", configuration: {{ mode: quorum, quorum: {quorum} }}");
        errors(&definition(&configuration, &["a", "b", "m"], &BOTH)).join("\n")
    };
    assert_eq!(found(2), "");
    assert!(found(3).contains("is more than the 2 nodes with an edge to this one"), "{}", found(3));
}

#[test]
fn a_merge_on_a_cycle_is_refused() {
    let found = errors(&definition("", &["a", "b", "m"], &[("a", "b"), ("a", "m"), ("b", "m"), ("m", "b")]));
    assert!(
        found.join("\n").contains("`m` is on a cycle: it would wait for what comes after it"),
        "{found:?}"
    );
}

#[test]
fn so_many_nodes_enter_a_merge_and_no_more_i10() {
    let found = |count: usize| {
        let ids: Vec<String> = (0..count).map(|index| format!("s{index}")).collect();
        let mut all: Vec<&str> = vec!["a", "m"];
        all.extend(ids.iter().map(String::as_str));
        let mut edges: Vec<(&str, &str)> = ids.iter().map(|id| ("a", id.as_str())).collect();
        edges.extend(ids.iter().map(|id| (id.as_str(), "m")));
        errors(&definition("", &all, &edges)).len()
    };
    assert_eq!((found(MERGE_SOURCES_MAX), found(MERGE_SOURCES_MAX + 1)), (0, 1));
}

#[test]
fn what_a_merge_has_none_of_is_refused() {
    for field in [
        "concurrency: 2",
        "rate: { per_second: 1 }",
        "max_visits: 3",
        "retry: { max_attempts: 2 }",
        "redact: [/a]",
        "keys: { a: b }",
    ] {
        let found = errors(&definition(&format!(", {field}"), &["a", "b", "m"], &BOTH)).join("\n");
        assert!(found.contains("a run has one open execution of `merge`"), "{field}: {found}");
    }
}

#[test]
fn a_node_that_reads_two_branches_without_a_merge_is_told_to_add_one() {
    let reading = |expression: &str, edges: &[(&str, &str)]| {
        let more = format!(
            "  - {{ id: r, name: R, component: transform, configuration: {{ output: '{expression}' }} }}\n"
        );
        let text = definition("", &["a", "b", "c", "m"], &[]);
        let text = text.replacen("edges:\n", &format!("{more}edges:\n"), 1);
        let edges: String = edges
            .iter()
            .map(|(from, to)| {
                let channel = if *from == "m" { ", channel: success" } else { "" };
                format!("  - {{ from: {from}{channel}, to: {to} }}\n")
            })
            .collect();
        warnings(&(text + &edges))
            .into_iter()
            .filter(|warning| warning.contains("add a `merge`"))
            .collect::<Vec<_>>()
    };
    let both = r#"{{ $["Nb"].data.x + $["Nc"].data.x }}"#;
    let apart = [("a", "b"), ("a", "c"), ("b", "r"), ("c", "r")];
    let found = reading(both, &apart);
    assert!(found.len() == 1 && found[0].contains("reads `Nb` and `Nc`"), "{found:?}");
    assert_eq!(reading(r#"{{ $["Nb"].data.x ?? $["Nc"].data.x }}"#, &apart), Vec::<String>::new());
    assert_eq!(
        reading(both, &[("a", "b"), ("b", "c"), ("c", "r")]),
        Vec::<String>::new(),
        "one after the other"
    );
    let joined = [("a", "b"), ("a", "c"), ("b", "m"), ("c", "m"), ("m", "r")];
    assert_eq!(reading(both, &joined), Vec::<String>::new(), "the merge is there");
}
