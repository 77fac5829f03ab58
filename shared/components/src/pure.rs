//! Pure components: plain functions, which the builder finishes in its own transaction.

use domain::outcome::Outcome;
use serde_json::Value;

use crate::component::Component;

/// A component without effects. It is never active outside of a transaction, so it has no limit and
/// no retry. No field of it may hold a secret.
pub trait Pure: Component {
    /// Does the work of one execution. `input` is the data of the event that arrived.
    fn run(&self, configuration: &Value, input: &Value) -> Outcome;
}
