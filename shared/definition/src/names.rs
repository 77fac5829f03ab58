//! The names that templates see. A template sees the nodes of its own level: outside of blueprints
//! those that the author wrote, inside of one the nodes of that blueprint.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::definition::Definition;

/// The nodes of a definition by their names, level by level.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// By level and name, the ids of the nodes whose events the name stands for. A blueprint's name
    /// stands for the nodes from which edges leave it, and for its own node.
    ids: HashMap<Option<String>, BTreeMap<String, Vec<String>>>,
    /// The blueprint's node around each node that has one.
    parents: HashMap<String, String>,
}

/// Between the names of a blueprint's node and of a node inside.
const BETWEEN: &str = " / ";

impl Names {
    pub(crate) fn of(definition: &Definition) -> Self {
        let parents: HashMap<String, String> = definition
            .nodes
            .iter()
            .filter_map(|node| Some((node.id.clone(), node.parent.clone()?)))
            .collect();
        let full: HashMap<&str, &str> =
            definition.nodes.iter().map(|node| (node.id.as_str(), node.name.as_str())).collect();
        let mut names = Self { ids: HashMap::new(), parents };
        let mut leaving: HashMap<&str, BTreeSet<&str>> = HashMap::new();
        for edge in &definition.edges {
            let around: BTreeSet<&str> = names.around(&edge.to).collect();
            for blueprint in names.around(&edge.from).filter(|id| !around.contains(id)) {
                leaving.entry(blueprint).or_default().insert(&edge.from);
            }
        }
        let mut ids: HashMap<Option<String>, BTreeMap<String, Vec<String>>> = HashMap::new();
        for node in &definition.nodes {
            let outer = node.parent.as_ref().and_then(|parent| full.get(parent.as_str()));
            let own = outer.and_then(|outer| node.name.strip_prefix(*outer)?.strip_prefix(BETWEEN));
            let of_name = ids.entry(node.parent.clone()).or_default();
            let of_name = of_name.entry(own.unwrap_or(&node.name).to_owned()).or_default();
            of_name.push(node.id.clone());
            let exits = leaving.get(node.id.as_str()).into_iter().flatten();
            of_name.extend(exits.map(|id| (*id).to_owned()));
        }
        names.ids = ids;
        names
    }

    /// The ids of the nodes that `name` stands for in a template of the level: of the blueprint's
    /// node `parent`, or of none. Empty where there is no such name.
    #[must_use]
    pub fn ids(&self, parent: Option<&str>, name: &str) -> &[String] {
        let level = self.ids.get(&parent.map(str::to_owned));
        level.and_then(|level| level.get(name)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The names of a level in alphabetical order, each with the ids that it stands for.
    pub fn of_level(&self, parent: Option<&str>) -> impl Iterator<Item = (&str, &[String])> {
        let level = self.ids.get(&parent.map(str::to_owned)).into_iter().flatten();
        level.map(|(name, ids)| (name.as_str(), ids.as_slice()))
    }

    /// The name of a node at its own level; its id where there is no such node.
    #[must_use]
    pub fn own<'n>(&'n self, id: &'n str) -> &'n str {
        let parent = self.parents.get(id).map(String::as_str);
        let mut level = self.of_level(parent);
        level.find(|(_, ids)| ids.first().is_some_and(|first| first == id)).map_or(id, |(name, _)| name)
    }

    /// The id of a node as the node `id` sees it: for a node inside of a blueprint that `id` is
    /// outside of, the blueprint's node.
    #[must_use]
    pub fn seen_from<'n>(&'n self, id: &str, other: &'n str) -> &'n str {
        let around: BTreeSet<&str> = self.around(id).collect();
        let outermost = self.around(other).filter(|blueprint| !around.contains(blueprint)).last();
        outermost.unwrap_or(other)
    }

    /// The blueprints' nodes around a node, the nearest first.
    fn around(&self, id: &str) -> impl Iterator<Item = &str> {
        let parent = |id: &str| self.parents.get(id).map(String::as_str);
        std::iter::successors(parent(id), move |id| parent(id))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `a` → blueprint `p` (`p/x`, inner blueprint `p/q` with `p/q/y`) → `b`.
    fn names() -> Names {
        let definition = serde_json::from_value(json!({
            "name": "n",
            "nodes": [
                { "id": "a", "name": "A", "component": "noop" },
                { "id": "p", "name": "P", "blueprint": "one@1" },
                { "id": "p/x", "name": "P / A", "component": "noop", "parent": "p" },
                { "id": "p/q", "name": "P / Q", "blueprint": "two@1", "parent": "p" },
                { "id": "p/q/y", "name": "P / Q / Y", "component": "noop", "parent": "p/q" },
                { "id": "b", "name": "B", "component": "noop" },
            ],
            "edges": [
                { "from": "a", "to": "p" }, { "from": "p", "to": "p/x" }, { "from": "p/x", "to": "p/q" },
                { "from": "p/q", "to": "p/q/y" }, { "from": "p/q/y", "to": "b" },
                { "from": "p", "channel": "error", "to": "b" },
            ],
        }))
        .unwrap();
        Names::of(&definition)
    }

    #[test]
    fn a_name_is_that_of_the_own_level() {
        let names = names();
        assert_eq!(names.ids(None, "A"), ["a"]);
        assert_eq!(names.ids(Some("p"), "A"), ["p/x"]);
        assert_eq!(names.ids(Some("p/q"), "Y"), ["p/q/y"]);
        for (level, name) in
            [(None, "P / A"), (None, "Y"), (Some("p"), "B"), (Some("p/q"), "A"), (Some("x"), "A")]
        {
            assert_eq!(names.ids(level, name), [""; 0], "{name}");
        }
    }

    #[test]
    fn a_blueprint_stands_for_the_nodes_that_leave_it_and_for_its_own() {
        let names = names();
        assert_eq!(names.ids(None, "P"), ["p", "p/q/y"]);
        assert_eq!(names.ids(Some("p"), "Q"), ["p/q", "p/q/y"]);
    }

    #[test]
    fn from_outside_a_node_of_a_blueprint_is_the_blueprint() {
        let names = names();
        let check = |id: &str, other: &str, expected: &str| {
            assert_eq!(names.seen_from(id, other), expected, "{other} from {id}");
        };
        check("b", "p/q/y", "p");
        check("b", "a", "a");
        check("p/x", "p/q/y", "p/q");
        check("p/q/y", "p/x", "p/x");
        check("p/q", "p", "p");
        assert_eq!((names.own("p/q/y"), names.own("p"), names.own("none")), ("Y", "P", "none"));
    }
}
