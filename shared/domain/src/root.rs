//! Root events, as far as their triggers decide them.

/// The part of a root event that its trigger decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRoot {
    /// The channel on which the event leaves.
    pub channel: &'static str,
    /// The event's type: the name of the trigger.
    pub event_type: String,
    /// The run's name.
    pub run_name: Option<String>,
    /// The ids of the nodes that the event is routed to.
    pub targets: Vec<String>,
}
