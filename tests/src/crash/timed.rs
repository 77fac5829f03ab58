//! Runs that begin by themselves: at their times, and for other runs that failed. And a node with as
//! many visits in each run as it may have.

use jiff::{SignedDuration, Timestamp};

use super::shapes::{Begin, Shape};

/// Times of a copy.
const TIMES: i64 = 40;
/// The first time comes so long after the definition is applied.
const BEGIN: SignedDuration = SignedDuration::from_secs(3);
/// The pause between two times.
const PAUSE: SignedDuration = SignedDuration::from_millis(250);

/// A schedule of times that stand close to each other; each is made up for.
pub(super) const TIMED: Shape = Shape { name: "timed", begin: Begin::Itself, definition: CLOCK };

const CLOCK: &str = "
name: NAME
nodes:
  - { id: clock, name: Clock, trigger: schedule, configuration: { at: TIMES, catch_up: all, window: 1h } }
  - { id: tick, name: Tick, component: http, concurrency: 5, configuration: { url: 'TARGET/NAME/tick' } }
  - { id: end, name: End, component: noop }
edges:
  - { from: clock, to: tick }
  - { from: tick, channel: success, to: end }
";

/// A handler of all failed runs of the tenant.
pub(super) const WATCHING: Shape = Shape { name: "watching", begin: Begin::Itself, definition: HANDLER };

const HANDLER: &str = "
name: NAME
nodes:
  - { id: failed, name: Failed, trigger: on_error, configuration: { workflows: all } }
  - { id: hear, name: Hear, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/hear' } }
edges:
  - { from: failed, to: hear }
";

/// Four branches to a node that may be visited four times.
pub(super) const VISITED: Shape = Shape { name: "visited", begin: Begin::ByHand, definition: VISITS };

const VISITS: &str = "
name: NAME
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: a, name: A, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/a' } }
  - { id: b, name: B, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/b' } }
  - { id: c, name: C, component: noop }
  - { id: turn, name: Turn, component: noop, max_visits: 4 }
edges:
  - { from: start, to: a }
  - { from: start, to: b }
  - { from: start, to: c }
  - { from: start, to: turn }
  - { from: a, channel: success, to: turn }
  - { from: b, channel: success, to: turn }
  - { from: c, to: turn }
";

/// The times of a copy, as a list of YAML.
pub(super) fn times(now: Timestamp) -> String {
    let time = |nth: i64| now.saturating_add(BEGIN + PAUSE * i32::try_from(nth).unwrap_or(0));
    let times: Vec<String> = (0..TIMES).filter_map(|nth| Some(format!("\"{}\"", time(nth).ok()?))).collect();
    format!("[{}]", times.join(", "))
}
