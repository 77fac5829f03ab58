//! From the data of any trigger's event to the root event that is stored.

use domain::definition::{DEFAULT_CHANNEL, Edge, Node};
use domain::root::PlannedRoot;
use domain::routing::targets;
use jiff::Timestamp;
use serde_json::Value;

use crate::compile::{CompiledNode, NodeError, Repeated, compile_node};
use crate::names::Names;
use crate::resolve::{resolve_deduplication_key, resolve_response, resolve_run_name, resolve_when};
use crate::root_environment::RootEnvironment;

/// A root event before it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootPlan {
    /// The part that is stored.
    pub root: PlannedRoot,
    /// The deduplication key of the event, by a template of the trigger.
    pub deduplication_key: Option<String>,
    /// Whether the trigger's `when` wants a run of it.
    pub is_wanted: bool,
    /// The trigger's `response`, resolved.
    pub response: Option<Value>,
    /// The fields whose templates failed. They refuse no event: the run has no name, or the event
    /// no deduplication key.
    pub failed: Vec<String>,
}

/// Plans the root event of a trigger. `edges` are those of its definition.
#[must_use]
pub fn plan_root(
    node: &Node,
    compiled: Result<&CompiledNode, &NodeError>,
    edges: &[Edge],
    data: &Value,
    now: Timestamp,
) -> RootPlan {
    let mut root = PlannedRoot {
        channel: DEFAULT_CHANNEL,
        event_type: node.uses.name().to_owned(),
        run_name: None,
        targets: targets(edges, &node.id, DEFAULT_CHANNEL).map(str::to_owned).collect(),
    };
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(error) => {
            let failed = vec![error.field.clone()];
            return RootPlan { root, deduplication_key: None, is_wanted: true, response: None, failed };
        }
    };
    let environment = RootEnvironment { data, event_type: node.uses.name(), created_at: now };
    let mut failed = Vec::new();
    root.run_name = resolve_run_name(compiled, &environment)
        .and_then(|name| name.map_err(|error| failed.push(error.field)).ok());
    let deduplication_key = resolve_deduplication_key(compiled, &environment)
        .map_err(|error| failed.push(error.field))
        .ok()
        .flatten();
    let is_wanted = resolve_when(compiled, &environment).unwrap_or_else(|error| {
        failed.push(error.field);
        true
    });
    let response = resolve_response(compiled, &environment).unwrap_or_else(|error| {
        failed.push(error.field);
        None
    });
    RootPlan { root, deduplication_key, is_wanted, response, failed }
}

/// Compiles a trigger alone: its templates mention no other node.
///
/// # Errors
/// [`NodeError`] as in [`crate::compile()`].
pub fn compile_trigger(node: &Node) -> Result<CompiledNode, NodeError> {
    compile_node(node, &Names::default(), Repeated::default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn planned(node: Value, data: &Value) -> RootPlan {
        let node: Node = serde_json::from_value(node).unwrap();
        let edge =
            |channel: &str, to: &str| Edge { from: "a".into(), channel: channel.into(), to: to.into() };
        let edges = [edge("default", "b"), edge("other", "c"), edge("default", "d")];
        plan_root(&node, compile_trigger(&node).as_ref(), &edges, data, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_root_event_has_the_type_of_its_trigger_and_goes_where_its_edges_lead() {
        for trigger in ["start", "webhook"] {
            let plan = planned(json!({ "id": "a", "name": "A", "trigger": trigger }), &json!({}));
            assert_eq!((plan.root.event_type.as_str(), plan.root.channel), (trigger, "default"));
            assert_eq!(plan.root.targets, ["b", "d"]);
            assert_eq!(plan.failed, [""; 0]);
        }
    }

    #[test]
    fn a_name_that_fails_leaves_the_run_without_one() {
        let named = |run_name: &str| {
            let node = json!({ "id": "a", "name": "A", "trigger": "start", "run_name": run_name });
            let plan = planned(node, &json!({ "who": "Ada" }));
            (plan.root.run_name, plan.failed)
        };
        let failed = || (None, vec!["run_name".to_owned()]);
        assert_eq!(named("plain"), (Some("plain".into()), vec![]));
        assert_eq!(named("for {{ root().data.who }}"), (Some("for Ada".into()), vec![]));
        assert_eq!(named("{{ root().data.who.x.y }}"), failed());
        assert_eq!(named("{{ previous() }}"), failed());
        assert_eq!(named("{{"), failed());
    }

    #[test]
    fn a_key_that_fails_leaves_the_event_known_by_none() {
        let key = |template: &str| {
            let configuration = json!({ "authentication": "none", "deduplication_key": template });
            let node =
                json!({ "id": "a", "name": "A", "trigger": "webhook", "configuration": configuration });
            let plan = planned(node, &json!({ "body": { "id": 7 } }));
            (plan.deduplication_key, plan.failed.len())
        };
        assert_eq!(key("{{ root().data.body.id }}"), (Some("7".into()), 0));
        assert_eq!(key("{{ root().data.body.other }}"), (None, 0));
        assert_eq!(key("{{ root().data.body }}"), (None, 1));
    }

    #[test]
    fn only_what_is_wanted_makes_a_run_and_a_filter_that_fails_refuses_nothing() {
        let wanted = |when: &str| {
            let configuration = json!({ "authentication": "none", "when": when });
            let node =
                json!({ "id": "a", "name": "A", "trigger": "webhook", "configuration": configuration });
            let plan = planned(node, &json!({ "body": { "action": "opened", "n": 7 } }));
            (plan.is_wanted, plan.failed.len())
        };
        assert_eq!(wanted("root().data.body.action == \"opened\""), (true, 0));
        assert_eq!(wanted("root().data.body.action in [\"closed\"]"), (false, 0));
        assert_eq!(wanted("root().data.body.n"), (true, 1));
        assert_eq!(wanted("root().data.body.x.y.z"), (true, 1));
    }

    #[test]
    fn an_answer_is_rendered_of_the_delivery() {
        let response = |body: Value, data: &Value| {
            let response =
                json!({ "status": 201, "body": body, "headers": { "X-Id": "{{ root().data.body.id }}" } });
            let configuration = json!({ "authentication": "none", "response": response });
            let node =
                json!({ "id": "a", "name": "A", "trigger": "webhook", "configuration": configuration });
            planned(node, data).response
        };
        let data = json!({ "body": { "id": 7, "text": "{{ root() }}" } });
        let found =
            response(json!({ "text": "got {{ root().data.body.text }}", "plain": "x" }), &data).unwrap();
        assert_eq!(found["body"], json!({ "text": "got {{ root() }}", "plain": "x" }), "data is no template");
        assert_eq!((&found["status"], &found["headers"]["X-Id"]), (&json!(201), &json!("7")));
        assert_eq!(response(json!("{{ root().data.body.id.x.y }}"), &data), None, "it fails");
    }

    #[test]
    fn a_header_is_found_in_any_spelling() {
        let data = json!({ "headers": { "X-Github-Event": ["push"], "Etag": ["e"] }, "other": { "X-Github-Event": 1 } });
        let name = |template: &str| {
            let node = json!({ "id": "a", "name": "A", "trigger": "start", "run_name": template });
            planned(node, &data).root.run_name.unwrap()
        };
        for spelling in ["X-GitHub-Event", "x-github-event", "X-Github-Event"] {
            assert_eq!(name(&format!("{{{{ root().data.headers[\"{spelling}\"][0] }}}}")), "push");
            assert_eq!(name(&format!("{{{{ root().data?.headers?.[\"{spelling}\"]?.[0] }}}}")), "push");
            assert_eq!(name(&format!("{{{{ root().data.headers[\"{spelling}\" + \"\"][0] }}}}")), "push");
        }
        assert_eq!(name("{{ root().data.headers.ETag[0] }}"), "e");
        assert_eq!(name("{{ root().data.headers[\"X-Other\"] ?? \"none\" }}"), "none");
        assert_eq!(name("{{ root().data.other[\"x-github-event\"] ?? \"none\" }}"), "none", "only headers");
    }
}
