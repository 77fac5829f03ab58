//! Runs that call each other: one that passes, and one that fails.

use super::shapes::{Begin, Shape};

/// Each run that the suite starts calls another of the same workflow; every third of those fails.
pub(super) const CALLED: Shape = Shape { name: "called", begin: Begin::ByHand, definition: CALLS };

const CALLS: &str = r#"
name: NAME
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: inner, name: Inner, component: if, configuration: { expression: 'root().data.inner ?? false' } }
  - { id: call, name: Call, component: run_workflow, configuration: { workflow: NAME, data: { inner: true, n: '{{ root().data.n }}' } } }
  - { id: work, name: Work, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/work/{{ urlPath(root().data.n % 3 == 0 ? "status/404" : "here") }}' } }
  - { id: told, name: Told, component: noop }
  - { id: end, name: End, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/end/{{ $["Call"].data.output.status }}' } }
edges:
  - { from: start, to: inner }
  - { from: inner, channel: "true", to: work }
  - { from: inner, channel: "false", to: call }
  - { from: call, channel: passed, to: end }
  - { from: call, channel: failed, to: told }
outputs: { status: '{{ $["Work"].data.status }}' }
"#;
