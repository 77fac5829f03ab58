//! Held components: they stay open across transactions, and are woken by a time or by calls.

use domain::held::{Call, WakeTime};
use domain::outcome::Failure;
use jiff::Timestamp;
use serde_json::Value;

use crate::component::Component;

/// A component that stays open. Its two functions are plain ones, called within the builder's
/// transactions: they decide by what they are given, and no field of it takes a secret.
pub trait Held: Component {
    /// Opens an execution at `now`.
    ///
    /// # Errors
    /// [`Failure`] where the configuration came to something that can't be held.
    fn open(&self, configuration: &Value, now: Timestamp) -> Result<Step, Failure>;

    /// The calls that people may make of an open execution.
    fn calls(&self) -> &'static [Call] {
        &[]
    }

    /// Goes on with an execution that is due.
    fn wake(&self, held: &Value, woken: &Woken<'_>) -> Step;
}

/// The input of a wake. One of its parts is due, else there is no wake.
#[derive(Clone, Copy, Debug)]
pub struct Woken<'a> {
    /// Now.
    pub now: Timestamp,
    /// Whether the time has come that it asked for.
    pub is_time: bool,
    /// Calls that were made since, in the order in which they were made.
    pub calls: &'a [HeldCall],
}

/// A call that somebody made of a held execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCall {
    /// The call.
    pub call: Call,
    /// The token or user that made it.
    pub called_by: String,
    /// The time at which it was made.
    pub called_at: Timestamp,
}

/// The result of one call of a held component.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its emissions; each becomes an event of its own.
    pub emissions: Vec<Emission>,
    /// Facts for people, which are put into `metadata`: a map.
    pub facts: Value,
    /// Its state after the step.
    pub then: Then,
}

/// The state of a held execution after a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// It is open.
    Held {
        /// The facts that it keeps until it is woken.
        held: Value,
        /// The time of its next wake; None: calls and causes alone wake it.
        wake: Option<WakeTime>,
    },
    /// It has ended: passed, or as this says.
    Ended(Result<(), Failure>),
}

/// Something that a held execution emits.
#[derive(Clone, Debug, PartialEq)]
pub struct Emission {
    /// The channel; one that the component declares.
    pub channel: &'static str,
    /// The event's data.
    pub data: EmissionData,
}

/// The data of an emission.
#[derive(Clone, Debug, PartialEq)]
pub enum EmissionData {
    /// The data that the execution was opened with, with its marks.
    Input,
}
