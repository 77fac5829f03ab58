//! Draws workflows, and counts what each of their nodes emits in a run.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// The most events of one node in a run: more of them show nothing else.
const EVENTS_MAX: usize = 3;
/// The deepest owner in an owner, and the deepest call of a call.
const NESTED_MAX: usize = 2;

/// A channel of a node, by the node's place in its level.
type Way = (usize, &'static str);
/// The number of events on each channel of a node.
type Emitted = BTreeMap<&'static str, usize>;
/// The number of events on each channel of each node of a workflow in one run.
pub type Expected = BTreeMap<(String, &'static str), usize>;

/// The beginning of a workflow's runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// A start.
    Start,
    /// A schedule with three times.
    Schedule,
}

impl Begin {
    pub fn runs(self) -> usize {
        match self {
            Self::Start => 1,
            Self::Schedule => 3,
        }
    }
}

/// A workflow.
pub struct Drawn {
    pub begin: Begin,
    /// The first time of a schedule.
    begins_at: Timestamp,
    level: Level,
    /// The depth of its calls.
    depth: usize,
    /// The node that fails until it is mended.
    pub broken: Option<String>,
}

/// The outcome of a run.
#[derive(Default)]
pub struct Outcome {
    pub emitted: Expected,
    /// The workflows that it calls, each with the number of calls.
    pub calls: Vec<(usize, usize)>,
    pub fails: bool,
}

/// The nodes of a workflow, or of an owner's body. The first one is the trigger, or the owner.
struct Level {
    nodes: Vec<Node>,
    entry: &'static str,
    returns: Vec<Way>,
}

struct Node {
    id: String,
    kind: Kind,
    before: Vec<Way>,
}

enum Kind {
    Entry,
    Noop,
    Filter(bool),
    Wait { limit: Option<usize> },
    Merge { mode: Mode, is_strict: bool },
    Approval(&'static str),
    ForEach { items: usize, max_parallel: usize, body: Level },
    Loop { until: usize, max_iterations: usize, body: Level },
    Call(usize),
    Broken,
}

#[derive(Clone, Copy)]
enum Mode {
    All,
    Any,
    Quorum(usize),
}

/// The first run, or its going on after the broken node was mended.
#[derive(Clone, Copy)]
enum Phase<'a> {
    First,
    Mended(&'a [Emitted]),
}

fn count(emitted: &[Emitted], way: &Way) -> usize {
    emitted[way.0].get(way.1).copied().unwrap_or(0)
}

impl Mode {
    fn passes(self, alive: usize, sources: usize, is_strict: bool) -> bool {
        match self {
            Self::All if is_strict => alive == sources,
            Self::All | Self::Any => alive > 0,
            Self::Quorum(least) => alive >= least,
        }
    }
}

impl Level {
    fn emitted(&self, workflows: &[Drawn], phase: Phase<'_>) -> Vec<Emitted> {
        let begun = usize::from(matches!(phase, Phase::First));
        let mut emitted = vec![Emitted::from([(self.entry, begun)])];
        for node in &self.nodes[1..] {
            let of_node = node.emits(&emitted, workflows, phase);
            emitted.push(of_node);
        }
        emitted
    }

    fn is_routed(&self, way: Way) -> bool {
        self.returns.contains(&way) || self.nodes.iter().any(|node| node.before.contains(&way))
    }

    /// Whether a failure goes nowhere.
    fn fails(&self, emitted: &[Emitted]) -> bool {
        self.nodes.iter().enumerate().any(|(place, node)| {
            let lost = |channel| count(emitted, &(place, channel)) > 0 && !self.is_routed((place, channel));
            match node.kind {
                Kind::Merge { .. } => lost("fail"),
                Kind::Loop { .. } => lost("exhausted"),
                Kind::Call(_) => lost("failed"),
                Kind::Broken => count(emitted, &(place, "default")) == 0,
                _ => false,
            }
        })
    }

    fn returns(&self, emitted: &[Emitted]) -> bool {
        self.returns.iter().any(|way| count(emitted, way) > 0)
    }

    /// Adds what the nodes emit in `times` runs of this level.
    fn add(&self, workflows: &[Drawn], emitted: &[Emitted], times: usize, to: &mut Outcome) {
        for (place, (node, of_node)) in self.nodes.iter().zip(emitted).enumerate() {
            // The owner's own events come into a body.
            if place > 0 || self.entry == "default" {
                for (channel, count) in of_node {
                    *to.emitted.entry((node.id.clone(), channel)).or_default() += count * times;
                }
            }
            let own = |channel| of_node.get(channel).copied().unwrap_or(0) * times;
            match &node.kind {
                Kind::ForEach { body, .. } => body.add_body(workflows, own("item"), to),
                Kind::Loop { body, .. } => body.add_body(workflows, own("next"), to),
                Kind::Call(callee) => to.calls.push((*callee, own("passed") + own("failed"))),
                _ => {}
            }
        }
    }

    fn add_body(&self, workflows: &[Drawn], times: usize, to: &mut Outcome) {
        self.add(workflows, &self.emitted(workflows, Phase::First), times, to);
    }

    fn write(&self, mended: bool, workflow_names: &[String], nodes: &mut Vec<Value>, edges: &mut Vec<Value>) {
        let mut edge = |way: &Way, to: &str| {
            let from = &self.nodes[way.0].id;
            // However an approval ends, it goes on.
            let channels = if way.1 == "ended" { &["approved", "rejected", "expired"][..] } else { &[way.1] };
            edges
                .extend(channels.iter().map(|channel| json!({ "from": from, "channel": channel, "to": to })));
        };
        for node in &self.nodes[1..] {
            node.before.iter().for_each(|way| edge(way, &node.id));
        }
        self.returns.iter().for_each(|way| edge(way, &self.nodes[0].id));
        for node in &self.nodes[1..] {
            nodes.push(node.write(mended, workflow_names));
            if let Kind::ForEach { body, .. } | Kind::Loop { body, .. } = &node.kind {
                body.write(mended, workflow_names, nodes, edges);
            }
        }
    }
}

impl Node {
    fn emits(&self, emitted: &[Emitted], workflows: &[Drawn], phase: Phase<'_>) -> Emitted {
        let events: usize = self.before.iter().map(|way| count(emitted, way)).sum();
        match &self.kind {
            Kind::Entry => Emitted::new(),
            Kind::Noop | Kind::Wait { .. } => Emitted::from([("default", events)]),
            Kind::Filter(passes) => Emitted::from([("default", if *passes { events } else { 0 })]),
            Kind::Approval(_) => Emitted::from([("requested", events), ("ended", events)]),
            Kind::Merge { mode, is_strict } => {
                let mut sources: BTreeMap<usize, usize> = BTreeMap::new();
                for way in &self.before {
                    let earlier = match phase {
                        Phase::First => 0,
                        Phase::Mended(first) => count(first, way),
                    };
                    *sources.entry(way.0).or_default() += count(emitted, way) + earlier;
                }
                let alive = sources.values().filter(|count| **count > 0).count();
                let passes = mode.passes(alive, sources.len(), *is_strict);
                let decides = usize::from(events > 0);
                Emitted::from([
                    ("success", if passes { decides } else { 0 }),
                    ("fail", if passes { 0 } else { decides }),
                ])
            }
            Kind::ForEach { items, .. } => Emitted::from([("item", events * items), ("done", events)]),
            Kind::Loop { until, max_iterations, body } => {
                let of_body = body.emitted(workflows, Phase::First);
                let goes_on = body.returns(&of_body) && !body.fails(&of_body);
                let turns = if goes_on { *until.min(max_iterations) } else { 1 };
                let channel = if goes_on && until <= max_iterations { "done" } else { "exhausted" };
                Emitted::from([("next", events * turns), (channel, events)])
            }
            Kind::Call(callee) => {
                let channel = if workflows[*callee].first(workflows).fails { "failed" } else { "passed" };
                Emitted::from([(channel, events)])
            }
            Kind::Broken => match phase {
                Phase::First => Emitted::new(),
                Phase::Mended(first) => {
                    Emitted::from([("default", self.before.iter().map(|way| count(first, way)).sum())])
                }
            },
        }
    }

    fn write(&self, mended: bool, workflow_names: &[String]) -> Value {
        let mut concurrency = Value::Null;
        let (component, configuration) = match &self.kind {
            Kind::Entry | Kind::Noop => ("noop", json!({})),
            Kind::Filter(passes) => ("filter", json!({ "expression": passes.to_string() })),
            Kind::Wait { limit } => {
                concurrency = json!(limit);
                ("wait", json!({ "for": 1 }))
            }
            Kind::Merge { mode: Mode::All, is_strict: true } => ("merge", json!({ "dead_sources": "fail" })),
            Kind::Merge { mode: Mode::All, .. } => ("merge", json!({})),
            Kind::Merge { mode: Mode::Any, .. } => ("merge", json!({ "mode": "any" })),
            Kind::Merge { mode: Mode::Quorum(least), .. } => {
                ("merge", json!({ "mode": "quorum", "quorum": least }))
            }
            Kind::Approval(message) => (
                "approval",
                json!({ "approvers": [{ "anyone": true }], "self": "allow", "message": message }),
            ),
            Kind::ForEach { items, max_parallel, .. } => {
                let items: Vec<usize> = (0..*items).collect();
                ("for_each", json!({ "items": items, "max_parallel": max_parallel, "tolerate": "100%" }))
            }
            Kind::Loop { until, max_iterations, .. } => {
                let until = format!("$[\"{}\"].data.iteration >= {until}", self.id.to_uppercase());
                ("loop", json!({ "until": until, "max_iterations": max_iterations }))
            }
            Kind::Call(callee) => ("run_workflow", json!({ "workflow": workflow_names[*callee] })),
            Kind::Broken if mended => ("transform", json!({ "output": 1 })),
            Kind::Broken => ("transform", json!({ "output": "{{ root().data.no.such }}" })),
        };
        let mut node = json!({ "id": self.id, "name": self.id.to_uppercase(), "component": component, "configuration": configuration });
        if !concurrency.is_null() {
            node["concurrency"] = concurrency;
        }
        node
    }
}

impl Drawn {
    /// Draws a workflow, which may call those that were drawn before it.
    pub fn draw(dice: &mut fastrand::Rng, workflows: &[Self], now: Timestamp) -> Self {
        let begin = if dice.u8(..6) == 0 { Begin::Schedule } else { Begin::Start };
        let is_mended = begin == Begin::Start && dice.bool();
        let mut drawing = Drawing { dice, workflows, nodes: 0, depth: 0, may_break: is_mended, broken: None };
        let size = drawing.dice.usize(5..12);
        let level = drawing.level("n0".to_owned(), "default", size, 0);
        let begins_at = now.saturating_add(SignedDuration::from_secs(1)).expect("it is no span");
        Self { begin, begins_at, level, depth: drawing.depth, broken: drawing.broken }
    }

    /// A run without mending.
    pub fn first(&self, workflows: &[Self]) -> Outcome {
        let emitted = self.level.emitted(workflows, Phase::First);
        let mut outcome = Outcome { fails: self.level.fails(&emitted), ..Outcome::default() };
        self.level.add(workflows, &emitted, 1, &mut outcome);
        outcome
    }

    /// The rest of the run, once the broken node is mended and redriven.
    pub fn rest(&self, workflows: &[Self]) -> Outcome {
        let first = self.level.emitted(workflows, Phase::First);
        let emitted = self.level.emitted(workflows, Phase::Mended(&first));
        let mut outcome = Outcome::default();
        self.level.add(workflows, &emitted, 1, &mut outcome);
        // The last decision of a merge counts; of all others each failure does.
        let mut last = Vec::new();
        for (node, (now, before)) in self.level.nodes.iter().zip(emitted.iter().zip(&first)) {
            let mut all = before.clone();
            if matches!(node.kind, Kind::Merge { .. }) && now.values().sum::<usize>() > 0 {
                all.clear();
            }
            now.iter().for_each(|(channel, count)| *all.entry(channel).or_default() += count);
            last.push(all);
        }
        outcome.fails = self.level.fails(&last);
        outcome
    }

    /// Its nodes and edges.
    pub fn write(&self, mended: bool, workflow_names: &[String]) -> (Value, Value) {
        let trigger = match self.begin {
            Begin::Start => json!({ "id": "n0", "name": "N0", "trigger": "start" }),
            Begin::Schedule => {
                let time = |nth: i64| self.begins_at.saturating_add(SignedDuration::from_millis(300 * nth));
                let times: Vec<String> =
                    (0..3).map(|nth| time(nth).expect("it is no span").to_string()).collect();
                let configuration = json!({ "at": times, "catch_up": "all", "window": "1h" });
                json!({ "id": "n0", "name": "N0", "trigger": "schedule", "configuration": configuration })
            }
        };
        let (mut nodes, mut edges) = (vec![trigger], Vec::new());
        self.level.write(mended, workflow_names, &mut nodes, &mut edges);
        (json!(nodes), json!(edges))
    }
}

struct Drawing<'a> {
    dice: &'a mut fastrand::Rng,
    workflows: &'a [Drawn],
    nodes: usize,
    depth: usize,
    may_break: bool,
    broken: Option<String>,
}

impl Drawing<'_> {
    fn id(&mut self) -> String {
        self.nodes += 1;
        format!("n{}", self.nodes)
    }

    /// Draws a level node by node. A node has one or two ways before it, a merge two or three.
    fn level(&mut self, id: String, entry: &'static str, size: usize, nested: usize) -> Level {
        let first = Node { id, kind: Kind::Entry, before: Vec::new() };
        let mut level = Level { nodes: vec![first], entry, returns: Vec::new() };
        let mut emitted = vec![Emitted::from([(entry, 1)])];
        let mut ways: Vec<Way> = vec![(0, entry)];
        for _ in 0..size {
            let is_merge = ways.len() > 2 && self.dice.u8(..100) < 40;
            let before = self.before(&ways, is_merge);
            let events: usize = before.iter().map(|way| count(&emitted, way)).sum();
            let kind = if is_merge { self.merge(&before) } else { self.kind(events, nested) };
            let mut node = Node { id: self.id(), kind, before };
            if let Kind::ForEach { body, .. } | Kind::Loop { body, .. } = &mut node.kind {
                body.nodes[0].id.clone_from(&node.id);
            }
            if matches!(node.kind, Kind::Broken) {
                self.broken = Some(node.id.clone());
            }
            let of_node = node.emits(&emitted, self.workflows, Phase::First);
            let place = level.nodes.len();
            let known: &[&'static str] = match node.kind {
                Kind::Merge { .. } => &["success", "fail"],
                Kind::Approval(_) => &["requested", "ended"],
                Kind::ForEach { .. } => &["done"],
                Kind::Loop { .. } => &["done", "exhausted"],
                Kind::Call(_) => &["passed", "failed"],
                _ => &["default"],
            };
            ways.extend(known.iter().map(|channel| (place, *channel)));
            emitted.push(of_node);
            level.nodes.push(node);
        }
        if nested > 0 {
            let inner: Vec<Way> = ways[1..].to_vec();
            level.returns = self.before(&inner, false);
        }
        level
    }

    fn before(&mut self, ways: &[Way], is_merge: bool) -> Vec<Way> {
        let mut before: Vec<Way> = Vec::new();
        for _ in 0..self.dice.usize(if is_merge { 2..=3 } else { 1..=2 }) {
            let way = ways[self.dice.usize(..ways.len())];
            if !before.contains(&way) {
                before.push(way);
            }
        }
        before
    }

    fn merge(&mut self, before: &[Way]) -> Kind {
        let sources: std::collections::BTreeSet<usize> = before.iter().map(|way| way.0).collect();
        let (mode, is_strict) = match self.dice.u8(..4) {
            0 => (Mode::All, false),
            1 => (Mode::All, true),
            2 => (Mode::Any, false),
            _ => (Mode::Quorum(self.dice.usize(1..=sources.len())), false),
        };
        Kind::Merge { mode, is_strict }
    }

    fn kind(&mut self, events: usize, nested: usize) -> Kind {
        let callee = match self.workflows.len() {
            0 => None,
            known => Some(self.dice.usize(..known)),
        };
        let callee = callee.filter(|callee| {
            let callee = &self.workflows[*callee];
            callee.depth < NESTED_MAX && callee.begin == Begin::Start && callee.broken.is_none()
        });
        let is_small = events <= EVENTS_MAX;
        match self.dice.u8(..12) {
            0 => Kind::Filter(false),
            1 => Kind::Filter(true),
            2 | 3 => Kind::Wait { limit: self.dice.bool().then(|| self.dice.usize(1..=2)) },
            4 if is_small => Kind::Approval(["approve", "reject", "expire", "race"][self.dice.usize(..4)]),
            5 | 6 if is_small && nested < NESTED_MAX => {
                let (items, max_parallel, size) =
                    (self.dice.usize(..4), self.dice.usize(1..4), self.dice.usize(1..5));
                Kind::ForEach { items, max_parallel, body: self.body("item", size, nested) }
            }
            7 | 8 if is_small && nested < NESTED_MAX => {
                let (until, max_iterations, size) =
                    (self.dice.usize(1..4), self.dice.usize(1..4), self.dice.usize(1..5));
                Kind::Loop { until, max_iterations, body: self.body("next", size, nested) }
            }
            9 if is_small => match callee {
                Some(callee) => {
                    self.depth = self.depth.max(self.workflows[callee].depth + 1);
                    Kind::Call(callee)
                }
                None => Kind::Noop,
            },
            10 | 11 if self.may_break && nested == 0 && events == 1 && self.broken.is_none() => Kind::Broken,
            _ => Kind::Noop,
        }
    }

    /// The body of the owner that is drawn next.
    fn body(&mut self, entry: &'static str, size: usize, nested: usize) -> Level {
        self.level(String::new(), entry, size, nested + 1)
    }
}
