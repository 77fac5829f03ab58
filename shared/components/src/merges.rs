//! The joins that are reached from each node: the end of work at a node may decide them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::definition::{Definition, Edge, Uses};

use crate::levels::Levels;
use crate::registry::join;

/// For each node from which a join of its own level is reached, the ids of the joins, in their order.
/// A join is reached from itself. What an owner repeats is another run: edges into its body and back
/// lead to no join.
#[must_use]
pub fn merges_of(definition: &Definition) -> BTreeMap<&str, Vec<&str>> {
    let mut before: HashMap<&str, Vec<&str>> = HashMap::new();
    let levels = Levels::of(definition);
    let crosses =
        |edge: &&Edge| levels.is_inner(&edge.from, &edge.channel) || levels.is_return(&edge.from, &edge.to);
    for edge in definition.edges.iter().filter(|edge| !crosses(edge)) {
        before.entry(&edge.to).or_default().push(&edge.from);
    }
    let is_join = |uses: &Uses| matches!(uses, Uses::Component(name) if join(name).is_some());
    let mut merges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in definition.nodes.iter().filter(|node| is_join(&node.uses)) {
        let mut open = vec![node.id.as_str()];
        while let Some(id) = open.pop() {
            if merges.entry(id).or_default().insert(&node.id) {
                open.extend(before.get(id).into_iter().flatten());
            }
        }
    }
    merges.into_iter().map(|(id, merges)| (id, merges.into_iter().collect())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_join_is_reached_from_all_that_come_before_it() {
        let definition: Definition = serde_json::from_value(json!({
            "name": "n",
            "nodes": [
                { "id": "t", "name": "T", "trigger": "start" },
                { "id": "a", "name": "A", "component": "noop" },
                { "id": "b", "name": "B", "component": "noop" },
                { "id": "m", "name": "M", "component": "merge" },
                { "id": "c", "name": "C", "component": "noop" },
                { "id": "k", "name": "K", "component": "merge" },
                { "id": "d", "name": "D", "component": "noop" },
            ],
            "edges": [
                { "from": "t", "to": "a" }, { "from": "t", "to": "b" }, { "from": "a", "to": "m" },
                { "from": "b", "to": "m" }, { "from": "m", "channel": "success", "to": "c" },
                { "from": "c", "to": "k" }, { "from": "t", "to": "k" }, { "from": "k", "channel": "success", "to": "d" },
            ],
        }))
        .unwrap();
        let merges = merges_of(&definition);
        let of = |id: &str| merges.get(id).cloned().unwrap_or_default();
        assert_eq!((of("t"), of("a"), of("b")), (vec!["k", "m"], vec!["k", "m"], vec!["k", "m"]));
        assert_eq!((of("m"), of("c"), of("k")), (vec!["k", "m"], vec!["k"], vec!["k"]));
        assert!(of("d").is_empty());
    }

    /// ✗✗ Two joins in one body waited for each other, and one before an owner for its body.
    #[test]
    fn joins_of_a_body_are_reached_within_it_alone() {
        let definition: Definition = serde_json::from_value(json!({
            "name": "n",
            "nodes": [
                { "id": "t", "name": "T", "trigger": "start" },
                { "id": "o", "name": "O", "component": "for_each" },
                { "id": "a", "name": "A", "component": "noop" },
                { "id": "m", "name": "M", "component": "merge" },
                { "id": "k", "name": "K", "component": "merge" },
                { "id": "z", "name": "Z", "component": "merge" },
            ],
            "edges": [
                { "from": "t", "to": "o" }, { "from": "t", "to": "z" }, { "from": "o", "channel": "item", "to": "a" },
                { "from": "a", "to": "m" }, { "from": "a", "to": "k" }, { "from": "m", "channel": "success", "to": "o" },
                { "from": "k", "channel": "success", "to": "o" }, { "from": "o", "channel": "done", "to": "z" },
            ],
        }))
        .unwrap();
        let merges = merges_of(&definition);
        let of = |id: &str| merges.get(id).cloned().unwrap_or_default();
        assert_eq!((of("a"), of("m"), of("k")), (vec!["k", "m"], vec!["m"], vec!["k"]));
        assert_eq!((of("t"), of("o")), (vec!["z"], vec!["z"]));
    }
}
