//! The workflows of the suite: shapes in which work can be lost, doubled or come in the wrong
//! order.

use jiff::Timestamp;

use super::timed;

/// A workflow of the suite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// The workflow's name begins with it.
    pub name: &'static str,
    /// The beginning of its runs.
    pub begin: Begin,
    /// The definition, with NAME, TARGET, TIMES and MANY in it.
    pub definition: &'static str,
}

/// The beginning of a workflow's runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// The suite starts them.
    ByHand,
    /// A webhook takes deliveries, each with a key of its own.
    Webhook,
    /// They begin by themselves.
    Itself,
}

impl Shape {
    /// The definition of the `copy`-th workflow of this shape, with the target in its place, times
    /// after `now`, and so many items in its longest list.
    pub fn definition(&self, copy: usize, target: &str, now: Timestamp, items: usize) -> String {
        let named = self.definition.replace("NAME", &format!("{}-{copy}", self.name));
        let named = named.replace("TARGET", target).replace("TIMES", &timed::times(now));
        named.replace("MANY", &items.to_string())
    }
}

/// All shapes.
pub(super) const SHAPES: [Shape; 5] = [
    Shape { name: "chain", begin: Begin::ByHand, definition: CHAIN },
    Shape { name: "fan", begin: Begin::Webhook, definition: FAN },
    Shape { name: "loop", begin: Begin::ByHand, definition: LOOP },
    Shape { name: "failing", begin: Begin::ByHand, definition: FAILING },
    Shape { name: "join", begin: Begin::ByHand, definition: JOIN },
];

/// One node after the other: one at a time, ten at a time, as many as there are; pure nodes and a
/// wait between them; a secret.
const CHAIN: &str = r#"
name: NAME
nodes:
  - { id: start, name: Start, trigger: start }
  - id: one
    name: One
    component: http
    configuration:
      method: POST
      url: 'TARGET/NAME/one'
      headers: [ { name: Authorization, value: 'Bearer {{ secrets("crash").token }}' } ]
      body: { json: { n: '{{ root().data.n }}' } }
  - { id: pass, name: Pass, component: noop }
  - { id: pause, name: Pause, component: wait, configuration: { for: 1 } }
  - { id: two, name: Two, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/two/{{ root().data.n }}' } }
  - { id: check, name: Check, component: if, configuration: { expression: '$["Two"].data.status == 200 && $["One"].data.body.body.n == root().data.n' } }
  - { id: three, name: Three, component: http, concurrency: unlimited, configuration: { url: 'TARGET/NAME/three' } }
  - { id: last, name: Last, component: http, configuration: { url: 'TARGET/NAME/last' } }
edges:
  - { from: start, to: one }
  - { from: one, channel: success, to: pass }
  - { from: pass, to: pause }
  - { from: pause, to: two }
  - { from: two, channel: success, to: check }
  - { from: check, channel: "true", to: three }
  - { from: three, channel: success, to: last }
"#;

/// One event to many nodes, and all their events to one: fan-out, and fan-in through many items; a
/// limit for each of three keys.
const FAN: &str = r#"
name: NAME
nodes:
  - { id: hook, name: Hook, trigger: webhook, configuration: { authentication: signature, deduplication_header: X-Delivery } }
  - { id: split, name: Split, component: noop }
  - { id: a, name: A, component: http, concurrency: unlimited, configuration: { url: 'TARGET/NAME/a' } }
  - { id: b, name: B, component: http, concurrency: unlimited, configuration: { url: 'TARGET/NAME/b' } }
  - { id: c, name: C, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/c' } }
  - { id: d, name: D, component: noop }
  - { id: e, name: E, component: noop }
  - { id: all, name: All, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/all/{{ previous().type }}' } }
  - { id: odd, name: Odd, component: filter, configuration: { expression: 'root().data.body.n % 2 == 1' } }
  - { id: late, name: Late, component: http, concurrency: { max: 2, key: 'k{{ root().data.body.n % 3 }}' }, configuration: { url: 'TARGET/NAME/late' } }
edges:
  - { from: hook, to: split }
  - { from: split, to: a }
  - { from: split, to: b }
  - { from: split, to: c }
  - { from: split, to: d }
  - { from: split, to: e }
  - { from: split, to: odd }
  - { from: a, channel: success, to: all }
  - { from: b, channel: success, to: all }
  - { from: c, channel: success, to: all }
  - { from: d, to: all }
  - { from: e, to: all }
  - { from: odd, to: late }
  - { from: b, channel: success, to: late }
"#;

/// A loop that ends: each turn sends a smaller number, which comes back in the echo.
const LOOP: &str = r#"
name: NAME
nodes:
  - { id: start, name: Start, trigger: start }
  - id: body
    name: Body
    component: http
    concurrency: 10
    configuration:
      method: POST
      url: 'TARGET/NAME/body'
      body: { json: { left: '{{ previous().type == "start" ? 3 : previous().data.body.body.left - 1 }}' } }
  - { id: again, name: Again, component: if, configuration: { expression: '$["Body"].data.body.body.left > 0' } }
edges:
  - { from: start, to: body }
  - { from: body, channel: success, to: again }
  - { from: again, channel: "true", to: body }
"#;

/// Nodes that fail: tried again and then routed, failing as dead letters, unresolvable.
const FAILING: &str = r#"
name: NAME
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: bad, name: Bad, component: http, concurrency: 10, retry: { max_attempts: 2, initial_interval: 1, backoff: fixed }, configuration: { url: 'TARGET/NAME/bad/status/500' } }
  - { id: after, name: After, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/after/{{ $["Bad"].data.error.code }}' } }
  - { id: gone, name: Gone, component: http, configuration: { url: 'TARGET/NAME/gone/status/404' } }
  - { id: broken, name: Broken, component: http, configuration: { url: 'TARGET/NAME/broken/{{ root().data.n.nothing.there }}' } }
  - { id: denied, name: Denied, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/denied', headers: [ { name: A, value: '{{ secrets("nobody").here }}' } ] } }
  - { id: held, name: Held, component: filter, configuration: { expression: 'root().data.n < 0' } }
edges:
  - { from: start, to: bad }
  - { from: start, to: gone }
  - { from: start, to: broken }
  - { from: start, to: denied }
  - { from: start, to: held }
  - { from: bad, channel: failure, to: after }
"#;

/// Two ways through pure nodes into one node that takes one item at a time: an event that goes on
/// must not pass a waiting item.
const JOIN: &str = r#"
name: NAME
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: left, name: Left, component: noop }
  - { id: right, name: Right, component: noop }
  - { id: one, name: One, component: http, configuration: { url: 'TARGET/NAME/one/{{ root().data.n }}' } }
  - { id: end, name: End, component: noop }
edges:
  - { from: start, to: left }
  - { from: start, to: right }
  - { from: left, to: one }
  - { from: right, to: one }
  - { from: one, channel: success, to: end }
"#;
