//! The one list of what there is.

use crate::{
    Component, Trigger, filter::Filter, http::Http, if_::If, noop::Noop, start::Start, wait::Wait,
    webhook::Webhook,
};

const COMPONENTS: &[&dyn Component] = &[&Filter, &Http, &If, &Noop, &Wait];
const TRIGGERS: &[&dyn Trigger] = &[&Start, &Webhook];

/// The component of that name.
#[must_use]
pub fn component(name: &str) -> Option<&'static dyn Component> {
    COMPONENTS.iter().copied().find(|component| component.name() == name)
}

/// The trigger of that name.
#[must_use]
pub fn trigger(name: &str) -> Option<&'static dyn Trigger> {
    TRIGGERS.iter().copied().find(|trigger| trigger.name() == name)
}

/// The names of all components, in alphabetical order.
#[must_use]
pub fn component_names() -> Vec<&'static str> {
    COMPONENTS.iter().map(|component| component.name()).collect()
}

/// The names of all triggers, in alphabetical order.
#[must_use]
pub fn trigger_names() -> Vec<&'static str> {
    TRIGGERS.iter().map(|trigger| trigger.name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn all_are_found_by_their_names() {
        assert_eq!(component_names(), ["filter", "http", "if", "noop", "wait"]);
        assert_eq!(trigger_names(), ["start", "webhook"]);
        assert!(
            component_names().iter().all(|name| component(name).is_some_and(|found| found.name() == *name))
        );
        assert!(trigger_names().iter().all(|name| trigger(name).is_some_and(|found| found.name() == *name)));
        assert!(component("htpp").is_none());
        assert!(trigger("http").is_none());
    }

    #[test]
    fn only_effects_may_hold_secrets() {
        for component in COMPONENTS.iter().filter(|component| component.kind() == Kind::Pure) {
            assert!(component.fields().iter().all(|field| field.secret.is_none()), "{}", component.name());
        }
    }
}
