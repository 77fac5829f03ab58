//! Held components: they stay open across transactions until a time or a call wakes them.

use domain::held::{Call, WakeTime};
use domain::ids::ExecutionId;
use domain::outcome::Failure;
use domain::redactions::Redactions;
use jiff::Timestamp;
use serde_json::Value;

use crate::component::Component;

/// A component that stays open. Its functions `open` and `wake` are plain ones, which the builder
/// calls within its transactions: only their arguments decide. No field of the component may hold a
/// secret.
pub trait Held: Component {
    /// Opens an execution.
    ///
    /// # Errors
    /// [`Failure`] where the resolved configuration is not valid.
    fn open(&self, configuration: &Value, opening: Opening<'_>) -> Result<Step, Failure>;

    /// The calls that people may make of an open execution.
    fn calls(&self) -> &'static [Call] {
        &[]
    }

    /// Goes on with an execution that is due.
    fn wake(&self, held: &Value, woken: &Woken<'_>) -> Step;
}

/// The input of an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening<'a> {
    /// The execution that is opened.
    pub execution_id: ExecutionId,
    /// Now.
    pub now: Timestamp,
    /// An address of this execution at the public intake, which nobody can guess.
    pub address: &'a str,
    /// The base URL of links.
    pub public_url: &'a str,
}

/// The input of a wake: the time has come, or there are calls, or both.
#[derive(Clone, Copy, Debug)]
pub struct Woken<'a> {
    /// Now.
    pub now: Timestamp,
    /// Whether the requested time has come.
    pub is_time: bool,
    /// The calls since the last step, in their order.
    pub calls: &'a [HeldCall],
}

/// A call of a held execution, with its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCall {
    /// The call.
    pub call: Call,
    /// The token or user that made the call.
    pub called_by: String,
    /// The time of the call.
    pub called_at: Timestamp,
    /// The caller's words with it; null: none.
    pub data: Value,
}

/// The result of `open` or `wake`.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The emissions; each becomes an event of its own.
    pub emissions: Vec<Emission>,
    /// Facts for people, which are put into `metadata`: a map.
    pub facts: Value,
    /// The state after the step.
    pub then: Then,
}

/// The state of a held execution after a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Then {
    /// The execution stays open.
    Held {
        /// The component's state until the next wake.
        held: Value,
        /// The time of its next wake; None: calls and causes alone wake it.
        wake: Option<WakeTime>,
    },
    /// The execution has ended: it passed, or failed with this failure.
    Ended(Result<(), Failure>),
}

/// An emission of a held execution.
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
    /// The input of the execution, with its marks.
    Input,
    /// Data of the component's own.
    Made(Value),
    /// Data of the component's own, with the places in it that were blanked.
    Marked(Value, Redactions),
}
