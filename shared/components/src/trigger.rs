//! Triggers, as the rest of the system sees them.

use domain::definition::DEFAULT_CHANNEL;
use serde_json::Value;

use crate::component::Problem;
use crate::webhook::WebhookConfiguration;

/// A thing beside the workflow that a trigger needs: apply makes it, changes it and removes it with
/// the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A public address with its credential.
    Webhook(WebhookConfiguration),
}

/// A trigger: it turns the outside world into root events. Its configuration holds no templates but
/// those that it names.
pub trait Trigger: Send + Sync {
    /// The name by which a definition uses it.
    fn name(&self) -> &'static str;

    /// The channels on which it emits.
    fn channels(&self) -> &'static [&'static str] {
        &[DEFAULT_CHANNEL]
    }

    /// JSON pointers of the fields that are templates over the root event: they are resolved when
    /// it has arrived, and hold no secret.
    fn templates(&self) -> &'static [&'static str] {
        &[]
    }

    /// The resource that a node with this configuration needs. A checked configuration that needs
    /// one can be read.
    fn resource(&self, _configuration: &Value) -> Option<Resource> {
        None
    }

    /// Whether people start it by hand or through the API.
    fn is_started_by_hand(&self) -> bool {
        false
    }

    /// Checks the author's configuration.
    fn check(&self, configuration: &Value) -> Vec<Problem>;
}
