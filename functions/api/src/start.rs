//! Starting a run by hand: a root event of a `start` trigger.

use components::trigger;
use definition::{compile_trigger, plan_root};
use domain::definition::{Definition, Node, Uses};
use domain::ids::{ItemId, RunId};
use domain::json::{JsonError, compact_bytes, parse_strict};
use domain::limits::EVENT_DATA_BYTES_MAX;
use serde_json::{Map, Value};
use store::api::{AuditObject, Audited, load_workflow};
use store::intake::{BeginOutcome, NewRun, start_run};

use crate::Deps;
use crate::auth::Caller;
use crate::error::{ApiError, NotFoundAs as _};

/// The name of the trigger that is started by hand, for messages.
const START: &str = "start";
/// Times that a start is planned: once more when the workflow was applied meanwhile.
const PLANS_MAX: u32 = 2;

/// The request of a caller for a start.
#[derive(Debug, PartialEq)]
struct StartRequest {
    node_id: Option<String>,
    data: Value,
}

/// Starts a run of a workflow and returns the id of its root event. `body` is `{"node_id"?,
/// "data"?}`; `hops` is the number of calls from sealflow to sealflow before this start.
///
/// # Errors
/// [`ApiError::Conflict`] when the workflow is applied faster than it can be read.
pub(crate) async fn start_workflow(
    deps: &Deps,
    caller: &Caller,
    workflow: &str,
    body: &[u8],
    hops: i32,
) -> Result<RunId, ApiError> {
    let request = read_request(body)?;
    let mut is_noted = false;
    let now = deps.clock.now();
    let event_id = deps.ids.next(now);
    for _ in 0..PLANS_MAX {
        let found = load_workflow(&deps.store, caller.organization_id, workflow).await;
        let (row, definition) = found.not_found_as("workflow")?;
        if row.deleted_at.is_some() {
            return Err(ApiError::NotFound("workflow"));
        }
        let node = choose_trigger(&definition, request.node_id.as_deref())?;
        let plan = plan_root(node, compile_trigger(node).as_ref(), &definition.edges, &request.data, now);
        for field in &plan.failed {
            tracing::info!(node_id = node.id, field, "a template of the trigger can't be resolved");
        }
        let item_ids: Vec<ItemId> = plan.root.targets.iter().map(|_| deps.ids.next(now)).collect();
        let run = NewRun {
            event_id,
            organization_id: caller.organization_id,
            workflow_id: row.id,
            version_planned: row.version,
            node_id: &node.id,
            planned: &plan.root,
            data: &request.data,
            item_ids: &item_ids,
            hops,
            delivery: None,
            now,
        };
        if !is_noted {
            let line = caller.line(deps, AuditObject::new("workflow", row.id).named(&row.name));
            Audited::new(&deps.store, &line).note().await?;
            is_noted = true;
        }
        match start_run(&deps.store, caller.person.id, &run).await? {
            BeginOutcome::Begun(due) => {
                tracing::info!(workflow_id = %row.id, run_id = %event_id, organization_id = %caller.organization_id, "run started");
                deps.wake_events(caller.organization_id, &[event_id]).await;
                deps.wake_run_later(caller.organization_id, event_id.into(), due).await;
                return Ok(event_id.into());
            }
            BeginOutcome::Full => return Err(ApiError::QueueFull),
            // This can't happen: a start has no deduplication key.
            BeginOutcome::Duplicate(_) => return Err(ApiError::Internal),
            BeginOutcome::Outdated => {}
        }
    }
    Err(ApiError::Conflict("the workflow is being applied: try again".to_owned()))
}

/// Reads the body. Its data is checked like a webhook's: data that can't be stored and read back is
/// refused.
fn read_request(body: &[u8]) -> Result<StartRequest, ApiError> {
    let refuse = |error: JsonError| ApiError::Invalid(format!("the body can't be taken: {error}"));
    let Value::Object(mut body) = parse_strict(body).map_err(refuse)? else {
        return Err(ApiError::Invalid(
            "the body must be a map with `data` and, if need be, `node_id`".to_owned(),
        ));
    };
    let data = body.remove("data").unwrap_or_else(|| Value::Object(Map::new()));
    if compact_bytes(&data) > EVENT_DATA_BYTES_MAX {
        return Err(ApiError::Invalid(format!("`data` has more than {EVENT_DATA_BYTES_MAX} bytes")));
    }
    let node_id = match body.remove("node_id") {
        None | Some(Value::Null) => None,
        Some(Value::String(node_id)) => Some(node_id),
        Some(_) => return Err(ApiError::Invalid("`node_id` must be the id of a node".to_owned())),
    };
    if body.is_empty() {
        Ok(StartRequest { node_id, data })
    } else {
        Err(ApiError::Invalid("the body has other fields than `data` and `node_id`".to_owned()))
    }
}

fn is_started_by_hand(node: &Node) -> bool {
    match &node.uses {
        Uses::Trigger(name) => trigger(name).is_some_and(|trigger| trigger.is_started_by_hand()),
        Uses::Component(_) | Uses::Blueprint(_) => false,
    }
}

fn choose_trigger<'a>(definition: &'a Definition, node_id: Option<&str>) -> Result<&'a Node, ApiError> {
    let mut starts = definition.nodes.iter().filter(|node| is_started_by_hand(node));
    match node_id {
        Some(node_id) => starts.find(|node| node.id == node_id).ok_or_else(|| {
            ApiError::Invalid(format!("the workflow has no `{START}` trigger with the id in `node_id`"))
        }),
        None => match (starts.next(), starts.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(ApiError::Invalid(format!("the workflow has no `{START}` trigger"))),
            (Some(_), Some(_)) => Err(ApiError::Invalid(format!(
                "the workflow has several `{START}` triggers: say which in `node_id`"
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(nodes: Value) -> Definition {
        serde_json::from_value(json!({ "name": "w", "nodes": nodes })).unwrap()
    }

    fn trigger(id: &str) -> Value {
        json!({ "id": id, "name": id, "trigger": "start" })
    }

    #[test]
    fn data_is_an_empty_map_unless_given() {
        let check = |body: &str, node_id: Option<&str>, data: Value| {
            let expected = StartRequest { node_id: node_id.map(str::to_owned), data };
            assert_eq!(read_request(body.as_bytes()).unwrap(), expected, "{body}");
        };
        check("{}", None, json!({}));
        check(r#"{"data": null}"#, None, Value::Null);
        check(r#"{"data": [1], "node_id": "a"}"#, Some("a"), json!([1]));
    }

    #[test]
    fn what_can_not_be_stored_is_refused() {
        let check = |body: &str, expected: &str| {
            let error = read_request(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{body}: {error}");
        };
        check("", "not valid JSON");
        check("[]", "must be a map");
        check(r#"{"dat": 1}"#, "other fields");
        check(r#"{"node_id": 1}"#, "`node_id`");
        check(r#"{"data": "\u0000"}"#, "U+0000");
        check(&format!(r#"{{"data": {}{}}}"#, "[".repeat(60), "]".repeat(60)), "deeper");
    }

    #[test]
    fn data_has_a_limit_on_both_sides() {
        let body = |bytes: usize| format!(r#"{{"data": "{}"}}"#, "a".repeat(bytes - 2)).into_bytes();
        assert!(read_request(&body(EVENT_DATA_BYTES_MAX)).is_ok());
        assert!(read_request(&body(EVENT_DATA_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn the_only_start_trigger_needs_no_name() {
        let one = definition(json!([trigger("a"), { "id": "h", "name": "H", "trigger": "webhook" }]));
        assert_eq!(choose_trigger(&one, None).unwrap().id, "a");
        assert!(choose_trigger(&one, Some("h")).is_err());
        let two = definition(json!([trigger("a"), trigger("b")]));
        assert!(choose_trigger(&two, None).unwrap_err().to_string().contains("several"));
        assert_eq!(choose_trigger(&two, Some("b")).unwrap().id, "b");
        assert!(choose_trigger(&definition(json!([])), None).is_err());
    }
}
