//! The rules for one node, by its trigger or component.

use std::collections::BTreeMap;

use components::{
    AnyComponent, Results, Trigger, blueprint_entry, component, component_names, suggest::did_you_mean,
    trigger, trigger_names,
};
use definition::pointer::{field_path, key_path};
use domain::definition::Uses;
use domain::limits::{COMPONENT_SECONDS_MAX, WEBHOOK_RATE_PER_SECOND};
use expression::{FieldKind, Template};

use super::{
    Deployment, NodeSecretRef,
    collect::{Collector, Spot},
    configuration::{self, Names},
    draft::{Draft, DraftNode},
    graph::{self, Ancestry},
    joins, outputs,
};
use crate::blueprint::{Blueprint, Input, Library, Missing};
use crate::source::Content;

/// Checks all nodes, and returns their references to secrets.
pub(super) fn check_all(draft: &Draft<'_>, library: &Library, out: &mut Collector<'_>) -> Vec<NodeSecretRef> {
    let ids_by_name: BTreeMap<&str, Option<&str>> = draft
        .nodes
        .iter()
        .filter_map(|node| {
            Some((node.name.as_ref()?.value.as_str(), node.id.as_ref().map(|id| id.value.as_str())))
        })
        .collect();
    let redacted: BTreeMap<&str, &[String]> = draft
        .nodes
        .iter()
        .filter_map(|node| Some((node.name.as_ref()?.value.as_str(), node.redact.as_ref()?.value.as_slice())))
        .collect();
    let (ancestry, levels) = (Ancestry::new(draft), graph::levels(draft));
    let joins = joins::check(draft, &ancestry, out);
    let mut refs = Vec::new();
    let own_name = draft.name.as_ref().map(|name| name.value.as_str());
    for node in &draft.nodes {
        let inputs = draft.interface.as_ref().map(|interface| &interface.inputs);
        let id = node.id.as_ref().map(|id| id.value.as_str());
        let names = Names::new(id, &ids_by_name, &redacted, inputs, &ancestry, &levels);
        match node.uses.as_ref().map(|uses| (&uses.value, uses)) {
            Some((Uses::Component(name), uses)) => match component(name) {
                Some(component) => {
                    refs.extend(check_component(node, component, own_name, &names, out));
                    if component.join().is_none() {
                        joins::check_siblings(node, &names, &joins, out);
                    }
                }
                None => unknown("component", name, uses, &component_names(), out),
            },
            Some((Uses::Trigger(name), uses)) => match trigger(name) {
                Some(trigger) => check_trigger(node, trigger, out),
                None => unknown("trigger", name, uses, &trigger_names(), out),
            },
            Some((Uses::Blueprint(name), uses)) => {
                check_component(node, blueprint_entry(), own_name, &names, out);
                joins::check_siblings(node, &names, &joins, out);
                refs.extend(check_blueprint(node, library.find(name), uses, out));
            }
            None => {}
        }
    }
    let names = Names::new(None, &ids_by_name, &redacted, None, &ancestry, &levels);
    outputs::check(draft, &names, &levels, out);
    refs
}

fn unknown(what: &str, name: &str, uses: &Spot<Uses>, known: &[&str], out: &mut Collector<'_>) {
    let mut hint = did_you_mean(name, known.iter().copied());
    if hint.is_empty() {
        hint = format!("; there are {}", known.join(", "));
    }
    let other = match what {
        "component" if trigger(name).is_some() => "; it is a trigger",
        "trigger" if component(name).is_some() => "; it is a component",
        _ => hint.as_str(),
    };
    out.error(uses.position, &uses.field, format!("there is no {what} named `{name}`{other}"));
}

fn check_component(
    node: &DraftNode<'_>,
    component: AnyComponent,
    own_name: Option<&str>,
    names: &Names<'_>,
    out: &mut Collector<'_>,
) -> Vec<NodeSecretRef> {
    let name = component.base().name();
    if let Some(spot) = &node.run_name {
        out.error(spot.position, &spot.field, "only a trigger names the run");
    }
    if let AnyComponent::Pure(_) = component {
        let pure = format!("`{name}` is finished at once, within the builder");
        refuse(node.concurrency.as_ref(), &format!("{pure}: it has no concurrency"), out);
        refuse(node.rate.as_ref(), &format!("{pure}: it calls nobody"), out);
        refuse(node.retry.as_ref(), &format!("{pure}: there is nothing to try again"), out);
        refuse(node.redact.as_ref(), &format!("{pure}: its output comes from no target"), out);
    }
    if let AnyComponent::Held(_) | AnyComponent::Owner(_) = component {
        let held = format!("`{name}` stays open within the database and calls nobody");
        refuse(node.rate.as_ref(), &format!("{held}: it has no rate"), out);
        refuse(node.retry.as_ref(), &format!("{held}: there is nothing to try again"), out);
        refuse(node.redact.as_ref(), &format!("{held}: its output comes from no target"), out);
    }
    if component.owner().is_some_and(|owner| owner.inner_channel().is_some()) {
        let message =
            format!("what `{name}` repeats returns to it, and would wait for itself: it has no concurrency");
        refuse(node.concurrency.as_ref(), &message, out);
    }
    let workflow = node.configuration.and_then(|tree| tree.get("workflow"));
    if component.owner().is_some_and(|owner| owner.results() == Results::Called)
        && let Some((Content::Text(called), own)) = workflow.map(|tree| &tree.content).zip(own_name)
        && called == own
    {
        let message =
            "a workflow that calls itself can't limit its calls: the inner one would wait for the outer one";
        refuse(node.concurrency.as_ref(), message, out);
    }
    if let AnyComponent::Join(_) = component {
        let join = format!("a run has one open execution of `{name}`, which takes in all that arrives");
        refuse(node.concurrency.as_ref(), &format!("{join}: it has no concurrency"), out);
        refuse(node.rate.as_ref(), &format!("{join}: it has no rate"), out);
        refuse(node.max_visits.as_ref(), &format!("{join}: its visits aren't counted"), out);
        refuse(node.retry.as_ref(), &format!("{join}: there is nothing to try again"), out);
        refuse(node.redact.as_ref(), &format!("{join}: its output comes from no target"), out);
        if let Some(position) = node.keys_position {
            let field = format!("{}.keys", node.field);
            out.error(position, &field, format!("{join}: no event of them gives it a key"));
        }
    }
    let refs = configuration::check(node, component, names, out);
    // The results of these templates are stored in the clear: no secret may stand in them.
    let key = node.concurrency_key.iter().map(|spot| (spot, "a concurrency key"));
    for (spot, place) in node.keys.iter().map(|(_, spot)| (spot, "the value of a key")).chain(key) {
        if let Some(template) = configuration::parse(spot, FieldKind::Text, out) {
            names.check(spot, &template, out);
            refuse_secrets(spot, &template, place, out);
        }
    }
    refs
}

/// Checks the inputs that a node gives to its blueprint. Returns the references to secrets inside.
fn check_blueprint(
    node: &DraftNode<'_>,
    found: Result<&Blueprint, Missing>,
    uses: &Spot<Uses>,
    out: &mut Collector<'_>,
) -> Vec<NodeSecretRef> {
    let blueprint = match found {
        Ok(blueprint) => blueprint,
        Err(Missing::Unknown) => return Vec::new(),
        Err(Missing::Refused(message)) => {
            out.error(uses.position, &uses.field, message);
            return Vec::new();
        }
    };
    let given = node.configuration.and_then(|tree| tree.get("inputs"));
    let is_given = |name: &str| given.is_some_and(|given| given.get(name).is_some());
    let missing = |(name, input): &(&String, &Input)| input.default.is_none() && !is_given(name);
    for (name, _) in blueprint.inputs.iter().filter(missing) {
        let message = format!("`{}` needs the input `{name}`: {}", uses.value.name(), input_hint(name));
        out.error(uses.position, &uses.field, message);
    }
    if let Some(Content::Map(entries)) = given.map(|given| &given.content) {
        let known = || blueprint.inputs.keys().map(String::as_str);
        for entry in entries.iter().filter(|entry| !blueprint.inputs.contains_key(&entry.key)) {
            let field = format!("{}.configuration.inputs{}", node.field, key_path(&entry.key));
            let message = format!(
                "`{}` has no input of that name{}",
                uses.value.name(),
                did_you_mean(&entry.key, known())
            );
            out.error(entry.position, &field, message);
        }
    }
    let Some(id) = &node.id else { return Vec::new() };
    let inner = |secret: &NodeSecretRef| NodeSecretRef {
        node_id: format!("{}/{}", id.value, secret.node_id),
        field: uses.field.clone(),
        line: uses.position.line,
        column: uses.position.column,
        ..secret.clone()
    };
    blueprint.secret_refs.iter().map(inner).collect()
}

fn input_hint(name: &str) -> String {
    format!("give it as `configuration: {{ inputs: {{ {name}: … }} }}`")
}

/// Refuses what this deployment would cut: the author would see a time-out or a refusal that nobody
/// wrote.
pub(super) fn check_deployment(draft: &Draft<'_>, deployment: Deployment, out: &mut Collector<'_>) {
    for node in &draft.nodes {
        let (Some(uses), Some(tree)) = (&node.uses, node.configuration) else { continue };
        let (pointer, message) = match &uses.value {
            Uses::Component(name) => {
                let effect = component(name).and_then(AnyComponent::effect);
                let asked = effect.and_then(|effect| effect.seconds_asked(&tree.to_value()));
                let most = deployment.component_seconds_max;
                // A time that no deployment allows is refused by the component itself.
                let cut = (most + 1)..=COMPONENT_SECONDS_MAX;
                let Some((pointer, _)) = asked.filter(|(_, seconds)| cut.contains(seconds)) else { continue };
                let message = format!(
                    "a component may take {most} seconds in this deployment (its parameter ComponentSecondsMax)"
                );
                (pointer, message)
            }
            Uses::Trigger(_) => {
                let asked = tree.get("rate").and_then(|rate| rate.get("per_second"));
                let asked = asked.and_then(|asked| asked.to_value().as_u64());
                let most = deployment.webhook_rate_max;
                let cut = u64::from(most) + 1..=u64::from(WEBHOOK_RATE_PER_SECOND);
                if !asked.is_some_and(|asked| cut.contains(&asked)) {
                    continue;
                }
                let message = format!(
                    "a webhook may have {most} deliveries a second in this deployment (its parameter WebhookDeliveriesPerSecondMax)"
                );
                ("/rate/per_second", message)
            }
            Uses::Blueprint(_) => continue,
        };
        let field = field_path(&format!("{}.configuration", node.field), &tree.to_value(), pointer);
        out.error(tree.locate(pointer), &field, message);
    }
}

fn check_trigger(node: &DraftNode<'_>, trigger: &dyn Trigger, out: &mut Collector<'_>) {
    refuse(node.concurrency.as_ref(), "a trigger has no concurrency", out);
    refuse(
        node.rate.as_ref(),
        "a trigger calls nobody; what a webhook takes is `rate` in its configuration",
        out,
    );
    refuse(node.max_visits.as_ref(), "a trigger begins runs, and no run visits it", out);
    refuse(node.retry.as_ref(), "a trigger has nothing to try again", out);
    refuse(node.redact.as_ref(), "a trigger has no output of a target's", out);
    if let Some(position) = node.keys_position {
        out.error(
            position,
            &format!("{}.keys", node.field),
            "keys belong to executions, and a trigger has none",
        );
    }
    if let Some(spot) = &node.run_name {
        check_root_template(spot, FieldKind::Text, "the name of a run", out);
    }
    configuration::check_trigger(node, trigger, out);
}

fn refuse<T>(spot: Option<&Spot<T>>, message: &str, out: &mut Collector<'_>) {
    if let Some(spot) = spot {
        out.error(spot.position, &spot.field, message);
    }
}

/// Checks a template of a trigger. It is resolved when the root event is made, so it can read that
/// event alone.
pub(super) fn check_root_template(spot: &Spot<&str>, kind: FieldKind, what: &str, out: &mut Collector<'_>) {
    let Some(template) = configuration::parse(spot, kind, out) else { return };
    configuration::check_functions(spot, &template, configuration::Scope::default(), out);
    refuse_secrets(spot, &template, what, out);
    let mentions = template.mentions();
    for (_, span) in &mentions.nodes {
        out.error_in(spot, *span, format!("{what} can use root() only, not other nodes"));
    }
    let others = [
        ("$", mentions.dynamic_nodes),
        ("previous()", mentions.previous_max > 0),
        ("run()", mentions.run),
        ("workflow()", mentions.workflow),
        ("now()", mentions.now),
    ];
    for (name, _) in others.into_iter().filter(|(_, used)| *used) {
        out.error(spot.position, &spot.field, format!("{what} can use root() only, not {name}"));
    }
}

pub(super) fn refuse_secrets(spot: &Spot<&str>, template: &Template, place: &str, out: &mut Collector<'_>) {
    for secret in template.secret_refs() {
        out.error_in(spot, secret.span, format!("a secret can't stand in {place}: it would be stored"));
    }
}
