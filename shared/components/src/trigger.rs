//! Triggers, as the rest of the system sees them.

use domain::definition::DEFAULT_CHANNEL;
use serde_json::Value;

use secret_text::FieldKind;

use crate::component::{FieldSpec, Problem};
use crate::on_error::ErrorHandler;
use crate::schedule::Schedule;
use crate::webhook::WebhookConfiguration;

/// A resource that a trigger needs outside of the workflow. Apply makes, changes and removes it
/// with the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A public address with its credential.
    Webhook(WebhookConfiguration),
    /// Times at which runs begin by themselves.
    Schedule(Box<Schedule>),
    /// The failed runs of which the trigger is told.
    ErrorHandler(ErrorHandler),
}

/// The kind of the template at a place of a trigger's configuration; None where none may stand.
#[must_use]
pub fn trigger_template_kind(trigger: &dyn Trigger, pointer: &str) -> Option<FieldKind> {
    trigger.templates().iter().find(|spec| spec.matches(pointer)).map(|spec| spec.kind)
}

/// A trigger: it turns the outside world into root events. Its configuration holds templates only
/// in the fields that [`Trigger::templates`] names.
pub trait Trigger: Send + Sync {
    /// The name of the trigger in a definition.
    fn name(&self) -> &'static str;

    /// The channels on which the trigger emits.
    fn channels(&self) -> &'static [&'static str] {
        &[DEFAULT_CHANNEL]
    }

    /// The fields that are templates over the root event. They are resolved once the event has
    /// arrived, and hold no secret.
    fn templates(&self) -> &'static [FieldSpec] {
        &[]
    }

    /// The resource that a node with this configuration needs; None for none. A checked
    /// configuration can always be read.
    fn resource(&self, _configuration: &Value) -> Option<Resource> {
        None
    }

    /// Whether people start runs by hand or through the API.
    fn is_started_by_hand(&self) -> bool {
        false
    }

    /// Checks the author's configuration.
    fn check(&self, configuration: &Value) -> Vec<Problem>;
}
