//! The plan of an apply: a plain function of the current rows and the wanted definition.

use std::collections::BTreeSet;

use components::schedule::Schedule;
use components::webhook::WebhookConfiguration;
use components::{Resource, merges_of, trigger};
use domain::definition::{Definition, Node, Uses};
use domain::ids::WebhookId;
use domain::node_write::{ErrorHandlerWrite, MergesWrite, NodeWrite, SecretRefWrite};
use domain::webhook::Authentication;
use serde_json::{Value, json};
use uuid::Uuid;

/// The workflow as it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Current<'a> {
    /// The definition that was applied last.
    pub definition: &'a Definition,
    /// The live webhooks of the workflow.
    pub webhooks: &'a [CurrentWebhook],
}

/// A live webhook of the workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentWebhook {
    /// `webhooks.id`
    pub id: WebhookId,
    /// The trigger node.
    pub node_id: String,
    /// The proof that a sender must give.
    pub authentication: Authentication,
    /// The header of the signature or token, lower case.
    pub header_name: Option<String>,
    /// The header whose value identifies a repeated delivery, lower case.
    pub deduplication_header: Option<String>,
}

/// The wanted definition.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The definition, checked.
    pub definition: &'a Definition,
    /// The references of its nodes to secrets; the list may have a reference twice.
    pub secret_refs: &'a [SecretRefWrite],
}

/// The changes that an apply writes. Credentials are made afterwards, for the webhooks in
/// `webhooks` and `webhooks_changed`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The nodes that are new or differ.
    pub nodes: Vec<NodeWrite>,
    /// Ids of the nodes that are gone.
    pub nodes_removed: Vec<String>,
    /// The secrets that the nodes in `nodes` may open.
    pub secret_refs: Vec<SecretRefWrite>,
    /// Webhooks that are new.
    pub webhooks: Vec<WebhookWanted>,
    /// Live webhooks whose authentication or headers differ.
    pub webhooks_changed: Vec<WebhookWanted>,
    /// Live webhooks whose node is no longer a webhook trigger.
    pub webhooks_removed: Vec<WebhookId>,
    /// Schedules that are new or differ.
    pub schedules: Vec<ScheduleWanted>,
    /// Ids of the nodes that are no longer a schedule.
    pub schedules_removed: Vec<String>,
    /// All workflows that triggers of the type `on_error` watch, where they differ.
    pub error_handlers: Option<Vec<ErrorHandlerWrite>>,
    /// The joins that are reached from nodes, where they differ.
    pub merges: Vec<MergesWrite>,
    /// Ids of the joins whose edges, or what comes before them, differ.
    pub joins_changed: Vec<String>,
    /// Nodes that the builder must look at: removed nodes, and nodes whose limit rose.
    pub node_ids_to_wake: Vec<String>,
}

/// A webhook as the definition wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookWanted {
    /// `webhooks.id`
    pub id: WebhookId,
    /// The trigger node.
    pub node_id: String,
    /// The webhook's authentication and headers.
    pub configuration: WebhookConfiguration,
    /// Whether the webhook needs a new key or token.
    pub needs_credential: bool,
}

/// A schedule as the definition wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleWanted {
    /// The trigger node.
    pub node_id: String,
    /// The times.
    pub schedule: Box<Schedule>,
}

impl Plan {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Plans an apply. `next_id` makes the ids of new webhooks.
#[must_use]
pub fn plan(current: Option<Current<'_>>, wanted: Wanted<'_>, next_id: &mut dyn FnMut() -> Uuid) -> Plan {
    let mut plan = Plan::default();
    let old_nodes = current.map(|current| current.definition.nodes.as_slice()).unwrap_or_default();
    let old_webhooks = current.map(|current| current.webhooks).unwrap_or_default();
    for node in &wanted.definition.nodes {
        let old = old_nodes.iter().find(|old| old.id == node.id);
        let hook = old_webhooks.iter().find(|hook| hook.node_id == node.id);
        let webhook = plan_webhook(&mut plan, node, hook, next_id);
        plan_schedule(&mut plan, node, old);
        if old != Some(node) || webhook.is_new {
            plan.nodes.push(node_write(node, webhook.id));
            if old.is_some_and(|old| needs_wake(old, node)) {
                plan.node_ids_to_wake.push(node.id.clone());
            }
        }
    }
    let stays = |id: &str| wanted.definition.nodes.iter().any(|node| node.id == id);
    plan.nodes_removed = old_nodes.iter().map(|node| node.id.clone()).filter(|id| !stays(id)).collect();
    plan.node_ids_to_wake.extend(plan.nodes_removed.iter().cloned());
    let gone = old_nodes.iter().filter(|node| !stays(&node.id) && schedule(node).is_some());
    plan.schedules_removed.extend(gone.map(|node| node.id.clone()));
    plan.webhooks_removed
        .extend(old_webhooks.iter().filter(|hook| !stays(&hook.node_id)).map(|hook| hook.id));
    let (before, after) =
        (current.map(|current| error_handlers(current.definition)), error_handlers(wanted.definition));
    plan.error_handlers = (before.unwrap_or_default() != after).then_some(after);
    plan_joins(&mut plan, current.map(|current| current.definition), wanted.definition);
    plan.secret_refs = secret_refs(wanted.secret_refs, &plan.nodes);
    plan
}

/// The webhook of a node after planning.
struct PlannedWebhook {
    id: Option<WebhookId>,
    /// Whether the webhook is new, so that the node's row must be written.
    is_new: bool,
}

fn plan_webhook(
    plan: &mut Plan,
    node: &Node,
    hook: Option<&CurrentWebhook>,
    next_id: &mut dyn FnMut() -> Uuid,
) -> PlannedWebhook {
    // A checked definition has no webhook whose configuration can't be read.
    let Some(configuration) = webhook_configuration(node) else {
        plan.webhooks_removed.extend(hook.map(|hook| hook.id));
        return PlannedWebhook { id: None, is_new: false };
    };
    let Some(hook) = hook else {
        let id = WebhookId(next_id());
        let needs_credential = configuration.authentication != Authentication::None;
        plan.webhooks.push(WebhookWanted { id, node_id: node.id.clone(), configuration, needs_credential });
        return PlannedWebhook { id: Some(id), is_new: true };
    };
    let is_same = configuration.authentication == hook.authentication
        && configuration.stored_header() == hook.header_name
        && configuration.deduplication_header == hook.deduplication_header;
    if !is_same {
        // A change between authentications with the same kind of credential keeps the credential.
        let needs_credential =
            configuration.authentication.credential_kind() != hook.authentication.credential_kind();
        let wanted = WebhookWanted { id: hook.id, node_id: node.id.clone(), configuration, needs_credential };
        plan.webhooks_changed.push(wanted);
    }
    PlannedWebhook { id: Some(hook.id), is_new: false }
}

/// A schedule that differs begins anew with the first time after the apply; one that does not keeps
/// its next time.
fn plan_schedule(plan: &mut Plan, node: &Node, old: Option<&Node>) {
    let before = old.and_then(schedule);
    match schedule(node) {
        Some(schedule) if before.as_ref() != Some(&schedule) => {
            plan.schedules.push(ScheduleWanted { node_id: node.id.clone(), schedule });
        }
        None if before.is_some() => plan.schedules_removed.push(node.id.clone()),
        _ => {}
    }
}

/// The joins that are reached from each node, where they differ, and the joins that may decide
/// otherwise by the new definition.
fn plan_joins(plan: &mut Plan, old: Option<&Definition>, new: &Definition) {
    let (before, after) = (old.map(merges_of).unwrap_or_default(), merges_of(new));
    let ids: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let mut changed: BTreeSet<&str> = BTreeSet::new();
    for id in ids {
        let (was, is) =
            (before.get(id).cloned().unwrap_or_default(), after.get(id).cloned().unwrap_or_default());
        if was == is {
            continue;
        }
        changed.extend(was.iter().chain(&is).filter(|join| was.contains(join) != is.contains(join)));
        let merges = is.into_iter().map(str::to_owned).collect();
        plan.merges.push(MergesWrite { node_id: id.to_owned(), merges });
    }
    if let Some(old) = old {
        let entering = |definition: &Definition| -> BTreeSet<(String, String)> {
            definition.edges.iter().map(|edge| (edge.from.clone(), edge.to.clone())).collect()
        };
        let (was, is) = (entering(old), entering(new));
        let joins = after.iter().filter(|(id, merges)| merges.contains(id)).map(|(id, _)| *id);
        changed.extend(joins.filter(|id| was.symmetric_difference(&is).any(|(_, to)| to == id)));
        plan.joins_changed = changed.into_iter().map(str::to_owned).collect();
    }
}

/// The workflows that a definition's triggers watch.
fn error_handlers(definition: &Definition) -> Vec<ErrorHandlerWrite> {
    let of_node = |node: &Node| match resource(node) {
        Some(Resource::ErrorHandler(handler)) => {
            let write = |workflow_name| ErrorHandlerWrite { node_id: node.id.clone(), workflow_name };
            handler.names(&definition.name).into_iter().map(write).collect()
        }
        _ => Vec::new(),
    };
    definition.nodes.iter().flat_map(of_node).collect()
}

fn schedule(node: &Node) -> Option<Box<Schedule>> {
    match resource(node)? {
        Resource::Schedule(schedule) => Some(schedule),
        Resource::Webhook(_) | Resource::ErrorHandler(_) => None,
    }
}

fn webhook_configuration(node: &Node) -> Option<WebhookConfiguration> {
    match resource(node)? {
        Resource::Webhook(configuration) => Some(configuration),
        Resource::Schedule(_) | Resource::ErrorHandler(_) => None,
    }
}

fn resource(node: &Node) -> Option<Resource> {
    match &node.uses {
        Uses::Trigger(name) => trigger(name)?.resource(&node.configuration),
        Uses::Component(_) | Uses::Blueprint(_) => None,
    }
}

fn node_write(node: &Node, webhook_id: Option<WebhookId>) -> NodeWrite {
    NodeWrite {
        node_id: node.id.clone(),
        name: node.name.clone(),
        node_type: node.uses.node_type(),
        reference: reference(&node.uses),
        configuration: node.configuration.clone(),
        parent_node_id: node.parent.clone(),
        concurrency_max: concurrency_max(node),
        concurrency_key: concurrency_max(node).and(node.concurrency_key()).map(str::to_owned),
        rate: node.rate,
        position: node.position.map(|position| json!({ "x": position.x, "y": position.y })),
        webhook_id,
    }
}

fn reference(uses: &Uses) -> Value {
    json!({ uses.node_type().as_str(): uses.name() })
}

/// `workflow_nodes.concurrency_max`.
fn concurrency_max(node: &Node) -> Option<i32> {
    components::concurrency_max(node).map(|limit| i32::try_from(limit).unwrap_or(i32::MAX))
}

/// Whether items may wait at the node for which only this apply can wake the builder.
fn needs_wake(old: &Node, new: &Node) -> bool {
    let limit_rose = match (concurrency_max(old), concurrency_max(new)) {
        (Some(before), Some(after)) => after > before,
        // A new limit needs a wake too: a builder that runs at this moment still uses the old node
        // and leaves its items alone.
        (Some(_), None) | (None, Some(_)) => true,
        (None, None) => false,
    };
    // With another concurrency key the limit holds for other groups of executions.
    let limit_rose =
        limit_rose || (concurrency_max(old).is_some() && old.concurrency_key() != new.concurrency_key());
    // A node of another type starts a new generation: items of the old one end like those of a
    // removed node.
    limit_rose || old.uses.node_type() != new.uses.node_type()
}

/// The references of the written nodes, each once.
fn secret_refs(wanted: &[SecretRefWrite], nodes: &[NodeWrite]) -> Vec<SecretRefWrite> {
    let written: BTreeSet<&str> = nodes.iter().map(|node| node.node_id.as_str()).collect();
    let refs: BTreeSet<&SecretRefWrite> =
        wanted.iter().filter(|secret| written.contains(secret.node_id.as_str())).collect();
    refs.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(nodes: Value) -> Definition {
        serde_json::from_value(json!({ "name": "w", "nodes": nodes })).unwrap()
    }

    fn hook(id: u128, node_id: &str, authentication: &str, header_name: Option<&str>) -> CurrentWebhook {
        CurrentWebhook {
            id: WebhookId::from_u128(id),
            node_id: node_id.into(),
            authentication: authentication.parse().unwrap(),
            header_name: header_name.map(str::to_owned),
            deduplication_header: None,
        }
    }

    struct There {
        definition: Definition,
        webhooks: Vec<CurrentWebhook>,
    }

    fn current(nodes: Value, webhooks: Vec<CurrentWebhook>) -> There {
        There { definition: definition(nodes), webhooks }
    }

    fn planned_with(there: Option<&There>, nodes: Value, secret_refs: &[SecretRefWrite]) -> Plan {
        let current = there.map(|there| Current { definition: &there.definition, webhooks: &there.webhooks });
        let mut next = 100;
        plan(current, Wanted { definition: &definition(nodes), secret_refs }, &mut || {
            next += 1;
            Uuid::from_u128(next)
        })
    }

    fn planned(there: Option<&There>, nodes: Value) -> Plan {
        planned_with(there, nodes, &[])
    }

    fn http(id: &str, concurrency: Value) -> Value {
        let mut node = json!({ "id": id, "name": id, "component": "http", "configuration": { "url": "https://x.example" } });
        if !concurrency.is_null() {
            node["concurrency"] = concurrency;
        }
        node
    }

    fn webhook(id: &str, configuration: Value) -> Value {
        json!({ "id": id, "name": id, "trigger": "webhook", "configuration": configuration })
    }

    #[test]
    fn only_effects_have_a_limit() {
        let check = |node: Value, expected| {
            let plan = planned(None, json!([node]));
            assert_eq!(plan.nodes[0].concurrency_max, expected, "{node}");
        };
        check(http("a", Value::Null), Some(1));
        check(http("a", json!(7)), Some(7));
        check(http("a", json!("unlimited")), None);
        check(json!({ "id": "a", "name": "A", "component": "noop" }), None);
        check(json!({ "id": "a", "name": "A", "trigger": "start" }), None);
    }

    #[test]
    fn applying_the_same_again_writes_nothing() {
        let nodes =
            json!([webhook("push", json!({ "authentication": "signature" })), http("call", Value::Null)]);
        let there = current(nodes.clone(), vec![hook(9, "push", "signature", Some("x-hub-signature-256"))]);
        assert!(planned(Some(&there), nodes).is_empty());
    }

    #[test]
    fn only_what_differs_is_written() {
        let there =
            current(json!([http("a", Value::Null), http("b", Value::Null), http("c", Value::Null)]), vec![]);
        let plan = planned(
            Some(&there),
            json!([http("a", Value::Null), http("b", json!(3)), http("d", Value::Null)]),
        );
        let written: Vec<_> = plan.nodes.iter().map(|node| node.node_id.as_str()).collect();
        assert_eq!(written, ["b", "d"]);
        assert_eq!(plan.nodes_removed, ["c"]);
        assert_eq!(plan.node_ids_to_wake, ["b", "c"]);
    }

    #[test]
    fn a_node_is_woken_when_its_limit_rises_and_not_when_it_falls_i4() {
        let check = |before: Value, after: Value, expected: bool| {
            let there = current(json!([http("a", before.clone())]), vec![]);
            let plan = planned(Some(&there), json!([http("a", after.clone())]));
            assert_eq!(!plan.node_ids_to_wake.is_empty(), expected, "{before} to {after}");
        };
        check(Value::Null, json!(2), true);
        check(json!(2), json!("unlimited"), true);
        check(json!(2), Value::Null, false);
        check(json!("unlimited"), json!(2), true);
    }

    #[test]
    fn a_node_of_another_type_is_woken_for_it_starts_a_new_generation() {
        let there = current(json!([http("a", json!("unlimited"))]), vec![]);
        let plan = planned(Some(&there), json!([{ "id": "a", "name": "a", "trigger": "start" }]));
        assert_eq!(plan.node_ids_to_wake, ["a"]);
    }

    #[test]
    fn a_webhook_is_made_once_and_keeps_its_address() {
        let node = webhook("push", json!({ "authentication": "signature" }));
        let plan = planned(None, json!([node]));
        assert_eq!(plan.webhooks.len(), 1);
        assert!(plan.webhooks[0].needs_credential);
        assert_eq!(plan.nodes[0].webhook_id, Some(plan.webhooks[0].id));

        let there = current(json!([node]), vec![hook(9, "push", "signature", Some("x-hub-signature-256"))]);
        let renamed = json!([{ "id": "push", "name": "Other", "trigger": "webhook",
            "configuration": { "authentication": "signature" } }]);
        let plan = planned(Some(&there), renamed);
        assert!(plan.webhooks.is_empty() && plan.webhooks_changed.is_empty());
        assert_eq!(plan.nodes[0].webhook_id, Some(WebhookId::from_u128(9)));
    }

    #[test]
    fn a_credential_is_made_anew_only_for_another_kind() {
        let check = |authentication: &str, expected: Option<bool>| {
            let there = current(
                json!([webhook("push", json!({ "authentication": "bearer" }))]),
                vec![hook(9, "push", "bearer", None)],
            );
            let plan =
                planned(Some(&there), json!([webhook("push", json!({ "authentication": authentication }))]));
            let made = plan.webhooks_changed.first().map(|wanted| wanted.needs_credential);
            assert_eq!(made, expected, "{authentication}");
        };
        check("bearer", None);
        check("header_token", Some(false));
        check("signature", Some(true));
        check("none", Some(true));
    }

    #[test]
    fn a_webhook_ends_with_its_node_and_with_its_trigger() {
        let there = || {
            current(
                json!([webhook("push", json!({ "authentication": "none" }))]),
                vec![hook(9, "push", "none", None)],
            )
        };
        let gone = planned(Some(&there()), json!([http("other", Value::Null)]));
        assert_eq!(gone.webhooks_removed, [WebhookId::from_u128(9)]);
        let other = planned(Some(&there()), json!([{ "id": "push", "name": "push", "trigger": "start" }]));
        assert_eq!(other.webhooks_removed, [WebhookId::from_u128(9)]);
        assert_eq!(other.nodes[0].webhook_id, None);
    }

    #[test]
    fn secret_references_are_those_of_the_nodes_that_are_written_each_once() {
        let secret = |node_id: &str, key: &str| SecretRefWrite {
            node_id: node_id.into(),
            secret_name: "github".into(),
            secret_key: key.into(),
            field: "/url".into(),
        };
        let there = current(json!([http("a", Value::Null)]), vec![]);
        let refs = [secret("a", "token"), secret("b", "token"), secret("b", "token"), secret("b", "key")];
        let plan = planned_with(Some(&there), json!([http("a", Value::Null), http("b", Value::Null)]), &refs);
        assert_eq!(plan.secret_refs, [secret("b", "key"), secret("b", "token")]);
    }
}
