//! Nodes of a blueprint, which has two outputs.

use super::shapes::{Begin, Shape};

/// The blueprint, which is applied before the workflows, with TARGET in it.
pub(super) const PART: &str = r"
name: part
inputs:
  workflow: {}
  n: {}
nodes:
  - { id: send, name: Send, component: http, concurrency: 10, configuration: { url: 'TARGET/{{ urlPath(inputs.workflow) }}/part/send/{{ inputs.n }}' } }
  - { id: even, name: Even, component: if, configuration: { expression: 'inputs.n % 2 == 0' } }
edges:
  - { from: send, channel: success, to: even }
outputs:
  - { channel: even, node: even, from_channel: true }
  - { channel: odd, node: even, from_channel: false }
";

/// Each run leaves the blueprint on one of its outputs.
pub(super) const ASSEMBLED: Shape = Shape { name: "assembled", begin: Begin::ByHand, definition: PARTS };

const PARTS: &str = r"
name: NAME
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: part, name: Part, blueprint: part@1, configuration: { inputs: { workflow: NAME, n: '{{ root().data.n }}' } } }
  - { id: on_even, name: On even, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/on_even' } }
  - { id: on_odd, name: On odd, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/on_odd' } }
edges:
  - { from: start, to: part }
  - { from: part, channel: even, to: on_even }
  - { from: part, channel: odd, to: on_odd }
";
