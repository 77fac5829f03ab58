//! Repetition: lists with items that fail and are tolerated, a list within each item and a merge
//! of both; loops around lists, and one that gives up.

use super::shapes::{Begin, Shape};

/// Of six items two fail, and half of them may.
pub(super) const REPEATED: Shape = Shape { name: "repeated", begin: Begin::ByHand, definition: LISTS };

/// Three turns, each over a list of which a fifth fails and may; one of another loop ends nowhere.
pub(super) const TURNED: Shape = Shape { name: "turned", begin: Begin::ByHand, definition: TURNS };

const TURNS: &str = r#"
name: NAME
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: turns, name: Turns, component: loop, configuration: { until: '$["Turns"].data.iteration >= 3 && $["Many"].data.count == MANY', delay: 1 } }
  - { id: many, name: Many, component: for_each, configuration: { items: '{{ 1..MANY }}', max_parallel: 5, tolerate: 20% } }
  - { id: call, name: Call, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/call/{{ urlPath($["Many"].data.item % 5 == 0 ? "status/404" : "here") }}' } }
  - { id: once, name: Once, component: loop, configuration: { until: 'false', max_iterations: 1 } }
  - { id: pass, name: Pass, component: noop }
  - { id: told, name: Told, component: noop }
  - { id: end, name: End, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/end/{{ $["Many"].data.failed }}' } }
edges:
  - { from: start, to: turns }
  - { from: turns, channel: next, to: many }
  - { from: many, channel: item, to: call }
  - { from: call, channel: success, to: many }
  - { from: many, channel: done, to: turns }
  - { from: start, to: once }
  - { from: once, channel: next, to: pass }
  - { from: pass, to: once }
  - { from: once, channel: exhausted, to: told }
  - { from: turns, channel: done, to: end }
"#;

const LISTS: &str = r#"
name: NAME
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: each, name: Each, component: for_each, configuration: { items: '{{ 1..6 }}', max_parallel: 3, tolerate: 50% } }
  - { id: call, name: Call, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/call/{{ urlPath($["Each"].data.item % 3 == 0 ? "status/404" : "here") }}' } }
  - { id: inner, name: Inner, component: for_each, configuration: { items: ['{{ $["Each"].data.item }}', 7], max_parallel: 1 } }
  - { id: pass, name: Pass, component: noop }
  - { id: both, name: Both, component: merge }
  - { id: end, name: End, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/end/{{ $["Each"].data.failed }}' } }
edges:
  - { from: start, to: each }
  - { from: each, channel: item, to: call }
  - { from: each, channel: item, to: inner }
  - { from: inner, channel: item, to: pass }
  - { from: pass, to: inner }
  - { from: call, channel: success, to: both }
  - { from: inner, channel: done, to: both }
  - { from: both, channel: success, to: each }
  - { from: each, channel: done, to: end }
"#;
