//! Branches that come together: all of them, one, two of three, and merges behind merges, where
//! branches fail and end.

use super::shapes::{Begin, Shape};

/// Every second run ends a branch in a filter, every third one in a failure.
pub(super) const MERGED: Shape = Shape { name: "merged", begin: Begin::ByHand, definition: MERGES };

const MERGES: &str = r#"
name: NAME
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: a, name: A, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/a' } }
  - { id: b, name: B, component: filter, configuration: { expression: root().data.n % 2 == 0 } }
  - { id: c, name: C, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/c/{{ urlPath(root().data.n % 3 == 0 ? "status/404" : "here") }}' } }
  - { id: d, name: D, component: noop }
  - { id: all, name: All, component: merge }
  - { id: any, name: Any, component: merge, configuration: { mode: any } }
  - { id: two, name: Two, component: merge, configuration: { mode: quorum, quorum: 2 } }
  - { id: strict, name: Strict, component: merge, configuration: { dead_sources: fail } }
  - { id: told, name: Told, component: noop }
  - { id: after, name: After, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/after/{{ $["A"].data.status }}' } }
  - { id: last, name: Last, component: merge }
  - { id: end, name: End, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/end' } }
edges:
  - { from: start, to: a }
  - { from: start, to: b }
  - { from: start, to: c }
  - { from: start, to: d }
  - { from: a, channel: success, to: all }
  - { from: b, to: all }
  - { from: c, channel: success, to: all }
  - { from: a, channel: success, to: any }
  - { from: c, channel: success, to: any }
  - { from: d, to: any }
  - { from: a, channel: success, to: two }
  - { from: b, to: two }
  - { from: c, channel: success, to: two }
  - { from: b, to: strict }
  - { from: d, to: strict }
  - { from: strict, channel: fail, to: told }
  - { from: all, channel: success, to: after }
  - { from: after, channel: success, to: last }
  - { from: any, channel: success, to: last }
  - { from: two, channel: success, to: last }
  - { from: strict, channel: success, to: last }
  - { from: last, channel: success, to: end }
"#;
