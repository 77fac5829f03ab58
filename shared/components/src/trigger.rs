//! What a trigger is to the rest of the system.

use domain::definition::DEFAULT_CHANNEL;
use serde_json::Value;

use crate::component::Problem;

/// A trigger: it turns the outside world into root events. Its configuration holds no templates but those
/// that it names.
pub trait Trigger: Send + Sync {
    /// The name by which a definition uses it.
    fn name(&self) -> &'static str;

    /// The channels on which it emits.
    fn channels(&self) -> &'static [&'static str] {
        &[DEFAULT_CHANNEL]
    }

    /// JSON pointers of the fields that are templates over the root event: they are resolved when it has arrived, and hold no secret.
    fn templates(&self) -> &'static [&'static str] {
        &[]
    }

    /// Checks the author's configuration.
    fn check(&self, configuration: &Value) -> Vec<Problem>;
}
