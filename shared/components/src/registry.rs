//! The list of all components and triggers.

use domain::definition::{Concurrency, KeyedConcurrency, Node, Uses};

use crate::{
    Component, Effect, Held, Join, Owner, Pure, Results, Trigger,
    approval::Approval,
    blueprint::{BLUEPRINT, BlueprintEntry},
    filter::Filter,
    for_each::ForEach,
    http::Http,
    if_::If,
    loop_::Loop,
    merge::Merge,
    noop::Noop,
    on_error::OnError,
    run_workflow::RunWorkflow,
    schedule::ScheduleTrigger,
    start::Start,
    stop::Stop,
    switch::Switch,
    time_gate::TimeGate,
    transform::Transform,
    wait::{PendingWait, Wait},
    wait_for_callback::WaitForCallback,
    webhook::Webhook,
};

const COMPONENTS: &[AnyComponent] = &[
    AnyComponent::Held(&Approval),
    AnyComponent::Pure(&Filter),
    AnyComponent::Owner(&ForEach),
    AnyComponent::Effect(&Http),
    AnyComponent::Pure(&If),
    AnyComponent::Owner(&Loop),
    AnyComponent::Join(&Merge),
    AnyComponent::Pure(&Noop),
    AnyComponent::Owner(&RunWorkflow),
    AnyComponent::Pure(&Stop),
    AnyComponent::Pure(&Switch),
    AnyComponent::Held(&TimeGate),
    AnyComponent::Pure(&Transform),
    AnyComponent::Held(&Wait),
    AnyComponent::Held(&WaitForCallback),
];
/// Effects for pending executions of the previous release. No definition uses them. They are
/// deleted from the code once no such execution is left.
const EFFECTS_OF_BEFORE: &[&dyn Effect] = &[&PendingWait];
const TRIGGERS: &[&dyn Trigger] = &[&OnError, &ScheduleTrigger, &Start, &Webhook];

/// A component, by its kind.
#[derive(Clone, Copy)]
pub enum AnyComponent {
    /// A component that the builder finishes in its own transaction.
    Pure(&'static dyn Pure),
    /// A component that the executor runs.
    Effect(&'static dyn Effect),
    /// A component that stays open across transactions of the builder.
    Held(&'static dyn Held),
    /// A component that stays open until branches of its run have arrived.
    Join(&'static dyn Join),
    /// A component that stays open over sub-runs.
    Owner(&'static dyn Owner),
}

impl AnyComponent {
    /// The base that components of all kinds have.
    #[must_use]
    pub fn base(self) -> &'static dyn Component {
        match self {
            Self::Pure(component) => component,
            Self::Effect(component) => component,
            Self::Held(component) => component,
            Self::Join(component) => component,
            Self::Owner(component) => component,
        }
    }

    /// The component, if it is an effect: the one kind whose fields may hold secrets.
    #[must_use]
    pub fn effect(self) -> Option<&'static dyn Effect> {
        match self {
            Self::Effect(component) => Some(component),
            Self::Pure(_) | Self::Held(_) | Self::Join(_) | Self::Owner(_) => None,
        }
    }

    /// The component, if it is a join.
    #[must_use]
    pub fn join(self) -> Option<&'static dyn Join> {
        match self {
            Self::Join(component) => Some(component),
            Self::Pure(_) | Self::Effect(_) | Self::Held(_) | Self::Owner(_) => None,
        }
    }

    /// The component, if it owns sub-runs.
    #[must_use]
    pub fn owner(self) -> Option<&'static dyn Owner> {
        match self {
            Self::Owner(component) => Some(component),
            Self::Pure(_) | Self::Effect(_) | Self::Held(_) | Self::Join(_) => None,
        }
    }

    /// The number of executions of a node of this kind that may be active at once; None: no limit.
    /// A pure component has none, whatever the author writes, for its executions are never active.
    /// A held component has a limit only if the author sets one: a default of 1 would let a single
    /// open execution block the node. A join has none: a run has one open execution of it. An owner to
    /// which something returns has none: that would wait behind it.
    #[must_use]
    pub fn concurrency_max(self, node: &Node) -> Option<u32> {
        match (self, &node.concurrency) {
            (Self::Owner(owner), _) if owner.inner_channel().is_some() => None,
            (Self::Pure(_) | Self::Join(_), _)
            | (Self::Held(_) | Self::Owner(_), None)
            | (_, Some(Concurrency::Unlimited(_))) => None,
            (Self::Effect(_), None) => Some(1),
            (_, Some(Concurrency::Limited(max) | Concurrency::Keyed(KeyedConcurrency { max, .. }))) => {
                Some(*max)
            }
        }
    }
}

/// The number of executions of the node that may be active at once; None: no limit, or no known
/// component.
#[must_use]
pub fn concurrency_max(node: &Node) -> Option<u32> {
    match &node.uses {
        Uses::Component(name) => component(name)?.concurrency_max(node),
        Uses::Trigger(_) | Uses::Blueprint(_) => None,
    }
}

/// The component of each node with `blueprint: name@version`.
#[must_use]
pub fn blueprint_entry() -> AnyComponent {
    AnyComponent::Pure(&BlueprintEntry)
}

/// The component of that name.
#[must_use]
pub fn component(name: &str) -> Option<AnyComponent> {
    COMPONENTS.iter().copied().find(|component| component.base().name() == name)
}

/// The pure component of that name, or the entry of a blueprint.
#[must_use]
pub fn pure(name: &str) -> Option<&'static dyn Pure> {
    match component(name).or_else(|| (name == BLUEPRINT).then(blueprint_entry)) {
        Some(AnyComponent::Pure(component)) => Some(component),
        Some(
            AnyComponent::Effect(_) | AnyComponent::Held(_) | AnyComponent::Join(_) | AnyComponent::Owner(_),
        )
        | None => None,
    }
}

/// The held component of that name.
#[must_use]
pub fn held(name: &str) -> Option<&'static dyn Held> {
    match component(name) {
        Some(AnyComponent::Held(component)) => Some(component),
        Some(
            AnyComponent::Pure(_) | AnyComponent::Effect(_) | AnyComponent::Join(_) | AnyComponent::Owner(_),
        )
        | None => None,
    }
}

/// The join of that name.
#[must_use]
pub fn join(name: &str) -> Option<&'static dyn Join> {
    component(name)?.join()
}

/// The owner of sub-runs of that name.
#[must_use]
pub fn owner(name: &str) -> Option<&'static dyn Owner> {
    component(name)?.owner()
}

/// The names of the owners of sub-runs that look at their results in this way.
#[must_use]
pub fn owner_names(results: Results) -> Vec<&'static str> {
    let owners = COMPONENTS.iter().filter_map(|component| component.owner());
    owners.filter(|owner| owner.results() == results).map(Component::name).collect()
}

/// The effect of that name, or the stand-in for pending executions that older code made.
#[must_use]
pub fn effect(name: &str) -> Option<&'static dyn Effect> {
    let of_before = || EFFECTS_OF_BEFORE.iter().copied().find(|effect| effect.name() == name);
    component(name)?.effect().or_else(of_before)
}

/// The trigger of that name.
#[must_use]
pub fn trigger(name: &str) -> Option<&'static dyn Trigger> {
    TRIGGERS.iter().copied().find(|trigger| trigger.name() == name)
}

/// The names of all components, in alphabetical order.
#[must_use]
pub fn component_names() -> Vec<&'static str> {
    COMPONENTS.iter().map(|component| component.base().name()).collect()
}

/// The names of all triggers, in alphabetical order.
#[must_use]
pub fn trigger_names() -> Vec<&'static str> {
    TRIGGERS.iter().map(|trigger| trigger.name()).collect()
}

#[cfg(test)]
mod tests {
    use domain::definition::ERROR_CHANNEL;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn all_are_found_by_their_names() {
        assert_eq!(
            component_names(),
            [
                "approval",
                "filter",
                "for_each",
                "http",
                "if",
                "loop",
                "merge",
                "noop",
                "run_workflow",
                "stop",
                "switch",
                "time_gate",
                "transform",
                "wait",
                "wait_for_callback"
            ]
        );
        assert_eq!(trigger_names(), ["on_error", "schedule", "start", "webhook"]);
        let is_found = |name: &&str| component(name).is_some_and(|found| found.base().name() == *name);
        assert!(component_names().iter().all(is_found));
        assert!(trigger_names().iter().all(|name| trigger(name).is_some_and(|found| found.name() == *name)));
        let has_error = |name: &&str| component(name).unwrap().base().channels().contains(&ERROR_CHANNEL);
        assert!(!component_names().iter().any(has_error), "it belongs to all of them");
        assert!(component("htpp").is_none());
        assert!(trigger("http").is_none());
        assert!(pure("noop").is_some() && pure("http").is_none());
        assert!(pure("blueprint").is_some() && component("blueprint").is_none(), "no node names it");
        assert!(effect("http").is_some() && effect("noop").is_none());
        assert!(held("wait").is_some() && held("http").is_none());
        assert_eq!((owner_names(Results::All), owner_names(Results::Last)), (vec!["for_each"], vec!["loop"]));
        assert_eq!(owner_names(Results::Called), ["run_workflow"]);
        assert!(effect("wait").is_some(), "pending ones of before end");
    }

    #[test]
    fn only_effects_may_hold_secrets() {
        for component in COMPONENTS.iter().filter(|component| component.effect().is_none()) {
            let base = component.base();
            assert!(base.fields().iter().all(|field| field.secret.is_none()), "{}", base.name());
        }
    }

    #[test]
    fn a_limit_is_the_authors_or_that_of_the_kind_i4() {
        let check = |component: &str, concurrency: Value, expected: Option<u32>| {
            let node = json!({ "id": "n", "name": "N", "component": component, "concurrency": concurrency });
            let node: Node = serde_json::from_value(node).unwrap();
            assert_eq!(concurrency_max(&node), expected, "{node:?}");
        };
        check("http", Value::Null, Some(1));
        check("http", json!("unlimited"), None);
        check("http", json!(3), Some(3));
        check("http", json!({ "max": 2, "key": "{{ root().data.x }}" }), Some(2));
        check("wait", Value::Null, None);
        // ✗ With a limit of 1, one open approval would keep all others of its node waiting.
        check("approval", Value::Null, None);
        check("wait", json!("unlimited"), None);
        check("wait", json!(3), Some(3));
        check("noop", Value::Null, None);
        check("noop", json!(3), None);
        check("for_each", json!(3), None);
        check("run_workflow", Value::Null, None);
        check("run_workflow", json!(3), Some(3));
        check("htpp", json!(3), None);
    }
}
