//! The workloads.

/// A workflow that is called from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its short name.
    pub name: &'static str,
    /// A description for people.
    pub title: &'static str,
    /// Node executions of one delivery.
    pub nodes: usize,
    nodes_yaml: &'static str,
}

/// Copies of each workflow: a webhook takes 100 deliveries at once and 50 a second after that.
pub const COPIES: usize = 40;

/// All workloads.
pub const WORKLOADS: [Workload; 3] = [
    Workload {
        name: "w1",
        title: "webhook → 5 noop",
        nodes: 5,
        nodes_yaml: r#"  - { id: n1, name: N1, component: noop }
  - { id: n2, name: N2, component: noop }
  - { id: n3, name: N3, component: noop }
  - { id: n4, name: N4, component: noop }
  - { id: n5, name: N5, component: noop }
edges:
  - { from: hook, to: n1 }
  - { from: n1, to: n2 }
  - { from: n2, to: n3 }
  - { from: n3, to: n4 }
  - { from: n4, to: n5 }
"#,
    },
    Workload {
        name: "w2",
        title: "webhook → http with a secret → if → http",
        nodes: 3,
        nodes_yaml: r#"  - id: first
    name: First
    component: http
    concurrency: unlimited
    configuration: { url: 'TARGET/first', headers: [ { name: Authorization, value: 'Bearer {{ secrets("bench").token }}' } ] }
  - { id: check, name: Check, component: if, configuration: { expression: '$["First"].data.status == 200' } }
  - { id: second, name: Second, component: http, concurrency: unlimited, configuration: { url: 'TARGET/second/{{ root().data.body.n }}' } }
edges:
  - { from: hook, to: first }
  - { from: first, channel: success, to: check }
  - { from: check, channel: 'true', to: second }
"#,
    },
    Workload { name: "w3", title: "webhook → 20 http side by side", nodes: 20, nodes_yaml: "" },
];

/// Branches of the workload that fans out.
const BRANCHES: usize = 20;

impl Workload {
    /// The workload of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        WORKLOADS.into_iter().find(|workload| workload.name == name)
    }

    /// The definition of one copy, whose `http` nodes call `target`.
    #[must_use]
    pub fn definition(&self, copy: usize, target: &str) -> String {
        let nodes = if self.nodes_yaml.is_empty() { fan_out() } else { self.nodes_yaml.to_owned() };
        format!(
            "name: {}-{copy}\nnodes:\n  - {{ id: hook, name: Hook, trigger: webhook, configuration: {{ authentication: none }} }}\n{}",
            self.name,
            nodes.replace("TARGET", target)
        )
    }
}

fn fan_out() -> String {
    let ids = || (0..BRANCHES).map(|branch| format!("n{branch}"));
    let node = |id: String| {
        format!(
            "  - {{ id: {id}, name: {id}, component: http, concurrency: unlimited, configuration: {{ url: 'TARGET/{id}' }} }}\n"
        )
    };
    let edge = |id: String| format!("  - {{ from: hook, to: {id} }}\n");
    format!("{}edges:\n{}", ids().map(node).collect::<String>(), ids().map(edge).collect::<String>())
}
