//! Joins: they stay open until branches of a run have arrived.

use domain::held::WakeTime;
use domain::outcome::Failure;
use domain::redactions::Redactions;
use jiff::Timestamp;
use serde_json::Value;

use crate::component::Component;
use crate::held::Step;

/// A component that joins branches. A run has one open execution of its node, which takes in each
/// event that arrives there. Its functions are plain ones, which the builder calls within its
/// transactions. No field of the component may hold a secret.
pub trait Join: Component {
    /// Reads the configuration as it was resolved for an event that arrives. The first event's opens
    /// the execution.
    ///
    /// # Errors
    /// [`Failure`] where the configuration is not valid: then the event does not arrive.
    fn arrive(&self, configuration: &Value, now: Timestamp) -> Result<Arrival, Failure>;

    /// Decides, or goes on waiting: something has arrived, a branch has ended, or the time has come.
    fn wake(&self, held: &Value, joined: &Joined<'_>) -> Step;
}

/// The result of a look at an event that arrives.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// The component's state, for the event that opens the execution.
    pub held: Value,
    /// The first wake, for the event that opens the execution.
    pub wake: WakeTime,
    /// Whether this event alone ends the join.
    pub stops: bool,
}

/// The input of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Joined<'a> {
    /// Now.
    pub now: Timestamp,
    /// Whether the requested time has come.
    pub is_time: bool,
    /// The author's configuration as it was applied last.
    pub configuration: &'a Value,
    /// The names of the nodes with an edge to the join, in the order of the edges.
    pub sources: &'a [&'a str],
    /// The last event of each source that has arrived, in the order of the edges.
    pub events: &'a [JoinedEvent],
    /// Whether any event that has arrived ends the join.
    pub is_stopped: bool,
    /// Whether something may still arrive.
    pub is_open: bool,
}

/// An event that has arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinedEvent {
    /// The name of the node that it comes from.
    pub source: String,
    /// Its data; None: the events have more data than one event may.
    pub data: Option<Value>,
    /// The places of its data that were blanked.
    pub redactions: Option<Redactions>,
}
