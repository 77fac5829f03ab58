//! Root events: what a trigger decides of one.

/// The part of a root event that its trigger decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRoot {
    /// The channel that it leaves on.
    pub channel: &'static str,
    /// Its type: the name of the trigger.
    pub event_type: String,
    /// The run's name.
    pub run_name: Option<String>,
    /// The nodes that it is routed to.
    pub targets: Vec<String>,
}
