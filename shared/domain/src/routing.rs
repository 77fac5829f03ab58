//! The routing of events by the edges that leave a node on a channel.

use crate::definition::Edge;

/// The ids of the nodes that an event of `node_id` on `channel` is routed to, in the order of the
/// edges.
pub fn targets<'a, 'c>(
    edges: &'a [Edge],
    node_id: &'c str,
    channel: &'c str,
) -> impl Iterator<Item = &'a str> + use<'a, 'c> {
    edges
        .iter()
        .filter(move |edge| edge.from == node_id && edge.channel == channel)
        .map(|edge| edge.to.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_follows_the_edges_of_its_node_and_channel() {
        let edge = |from: &str, channel: &str, to: &str| Edge {
            from: from.into(),
            channel: channel.into(),
            to: to.into(),
        };
        let edges = [
            edge("a", "default", "b"),
            edge("a", "other", "c"),
            edge("a", "default", "d"),
            edge("b", "default", "a"),
        ];
        let check = |node, channel, expected: &[&str]| {
            assert_eq!(targets(&edges, node, channel).collect::<Vec<_>>(), expected);
        };
        check("a", "default", &["b", "d"]);
        check("a", "other", &["c"]);
        check("a", "none", &[]);
        check("c", "default", &[]);
    }
}
