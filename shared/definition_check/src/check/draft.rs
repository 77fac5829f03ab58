//! From the tree to the parts of a definition, each with its place. Missing and wrong parts are
//! left out and reported.

use domain::{
    definition::{
        CallRate, Concurrency, DEFAULT_CHANNEL, Definition, Edge, KeyedConcurrency, Node, Position as Drawn,
        Unlimited, Uses,
    },
    limits::{
        CALL_RATE_MAX, CALL_RATE_MIN, CONCURRENCY_MAX, DESCRIPTION_CHARS_MAX, EDGES_MAX, KEY_BYTES_MAX,
        KEYS_MAX, NODES_MAX, RUN_TIMEOUT_SECONDS_MAX, VISITS_MAX,
    },
    retry::{Backoff, RetryPolicy},
};

use super::{
    collect::{Collector, Spot},
    interface::{self, Interface},
    read::{list, map, map_of_any, name, node_id, text},
    retry_on,
};
use definition::pointer::key_path;

use crate::source::{Content, Position, Tree};

/// Output paths that one node may blank.
const REDACT_PATHS_MAX: usize = 50;
/// Bytes of one such path.
const REDACT_PATH_BYTES_MAX: usize = 512;

/// A definition as far as it could be read.
pub(super) struct Draft<'t> {
    pub name: Option<Spot<String>>,
    pub description: String,
    pub timeout_seconds: Option<u32>,
    /// The outputs of a workflow.
    pub outputs: Option<&'t Tree>,
    pub nodes: Vec<DraftNode<'t>>,
    pub edges: Vec<DraftEdge>,
    pub position: Position,
    /// The further parts of a blueprint; None for a workflow.
    pub interface: Option<Interface>,
}

/// A node as far as it could be read.
pub(super) struct DraftNode<'t> {
    pub field: String,
    pub position: Position,
    pub id: Option<Spot<String>>,
    pub name: Option<Spot<String>>,
    pub uses: Option<Spot<Uses>>,
    pub configuration: Option<&'t Tree>,
    pub run_name: Option<Spot<&'t str>>,
    pub keys: Vec<(String, Spot<&'t str>)>,
    pub concurrency: Option<Spot<Concurrency>>,
    /// The template in `concurrency`.
    pub concurrency_key: Option<Spot<&'t str>>,
    pub rate: Option<Spot<CallRate>>,
    pub max_visits: Option<Spot<u32>>,
    pub retry: Option<Spot<RetryPolicy>>,
    pub redact: Option<Spot<Vec<String>>>,
    /// The place of `keys`.
    pub keys_position: Option<Position>,
    pub drawn: Option<Drawn>,
}

/// An edge as far as it could be read.
pub(super) struct DraftEdge {
    pub field: String,
    pub position: Position,
    pub from: Option<Spot<String>>,
    pub channel: Spot<String>,
    pub to: Option<Spot<String>>,
}

impl Draft<'_> {
    /// The definition; None while something is missing.
    pub(super) fn into_definition(self) -> Option<Definition> {
        let nodes = self.nodes.into_iter().map(DraftNode::into_node).collect::<Option<Vec<_>>>()?;
        let edges = self
            .edges
            .into_iter()
            .map(|edge| {
                Some(Edge { from: edge.from?.value, channel: edge.channel.value, to: edge.to?.value })
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Definition {
            name: self.name?.value,
            description: self.description,
            timeout_seconds: self.timeout_seconds,
            outputs: match self.outputs.map(Tree::to_value) {
                Some(serde_json::Value::Object(outputs)) => outputs,
                _ => serde_json::Map::new(),
            },
            nodes,
            edges,
            applied_edges: None,
        })
    }
}

impl DraftNode<'_> {
    fn into_node(self) -> Option<Node> {
        Some(Node {
            id: self.id?.value,
            name: self.name?.value,
            uses: self.uses?.value,
            configuration: self
                .configuration
                .map_or_else(|| serde_json::Value::Object(serde_json::Map::new()), Tree::to_value),
            run_name: self.run_name.map(|spot| spot.value.to_owned()),
            keys: self.keys.into_iter().map(|(key, spot)| (key, spot.value.to_owned())).collect(),
            concurrency: self.concurrency.map(|spot| spot.value),
            rate: self.rate.map(|spot| spot.value),
            max_visits: self.max_visits.map(|spot| spot.value),
            retry: self.retry.map(|spot| spot.value),
            redact: self.redact.map(|spot| spot.value).unwrap_or_default(),
            position: self.drawn,
            parent: None,
            defaults: serde_json::Map::new(),
        })
    }
}

/// Reads the whole definition of a workflow.
pub(super) fn read<'t>(tree: &'t Tree, out: &mut Collector<'_>) -> Draft<'t> {
    let fields = ["name", "description", "timeout", "outputs", "nodes", "edges"];
    let draft = read_parts(tree, &fields, &["name", "nodes"], out);
    Draft { outputs: tree.get("outputs"), ..draft }
}

/// Reads the whole definition of a blueprint.
pub(super) fn read_blueprint<'t>(tree: &'t Tree, out: &mut Collector<'_>) -> Draft<'t> {
    let fields = ["name", "description", "inputs", "nodes", "edges", "outputs"];
    let draft = read_parts(tree, &fields, &["name", "nodes", "outputs"], out);
    Draft { interface: Some(interface::read(tree, out)), ..draft }
}

fn read_parts<'t>(tree: &'t Tree, fields: &[&str], required: &[&str], out: &mut Collector<'_>) -> Draft<'t> {
    let known = map(tree, "", fields, out).is_some();
    if known {
        for required in required.iter().filter(|field| tree.get(field).is_none()) {
            out.error(tree.position, "", format!("`{required}` is missing"));
        }
    }
    let nodes = tree.get("nodes").map_or(&[][..], |nodes| list(nodes, "nodes", NODES_MAX, out));
    let edges = tree.get("edges").map_or(&[][..], |edges| list(edges, "edges", EDGES_MAX, out));
    if let Some(tree) =
        tree.get("nodes").filter(|tree| matches!(&tree.content, Content::List(items) if items.is_empty()))
    {
        out.error(tree.position, "nodes", "must have at least one node");
    }
    let description = tree.get("description").and_then(|tree| text(tree, "description", out));
    if let Some(spot) = description.as_ref().filter(|spot| spot.value.chars().count() > DESCRIPTION_CHARS_MAX)
    {
        let message = format!("must have at most {DESCRIPTION_CHARS_MAX} characters");
        out.error(spot.position, "description", message);
    }
    Draft {
        name: tree.get("name").and_then(|tree| name(tree, "name", out)),
        description: description.map(|spot| spot.value.to_owned()).unwrap_or_default(),
        timeout_seconds: tree.get("timeout").and_then(|tree| read_timeout(tree, out)),
        nodes: nodes.iter().enumerate().filter_map(|(index, tree)| read_node(index, tree, out)).collect(),
        edges: edges.iter().enumerate().filter_map(|(index, tree)| read_edge(index, tree, out)).collect(),
        position: tree.position,
        outputs: None,
        interface: None,
    }
}

/// The time-out of runs, seconds.
fn read_timeout(tree: &Tree, out: &mut Collector<'_>) -> Option<u32> {
    let seconds = match &tree.content {
        Content::Integer(seconds) => Some(*seconds),
        Content::Text(text) => text
            .trim()
            .parse::<jiff::Span>()
            .and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()))
            .map(|duration| duration.as_secs())
            .ok(),
        Content::Refused => return None,
        Content::Null | Content::Bool(_) | Content::Float(_) | Content::List(_) | Content::Map(_) => None,
    };
    let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
    let allowed = seconds.filter(|seconds| (1..=RUN_TIMEOUT_SECONDS_MAX).contains(seconds));
    if allowed.is_none() {
        let message =
            "must be whole seconds, or a text such as `90s`, `1h30m` or `2 days`; from a second to 366 days";
        out.error(tree.position, "timeout", message);
    }
    allowed
}

fn read_node<'t>(index: usize, tree: &'t Tree, out: &mut Collector<'_>) -> Option<DraftNode<'t>> {
    let field = format!("nodes[{index}]");
    let fields = [
        "id",
        "name",
        "trigger",
        "component",
        "blueprint",
        "configuration",
        "run_name",
        "keys",
        "concurrency",
        "rate",
        "max_visits",
        "retry",
        "redact",
        "position",
    ];
    map(tree, &field, &fields, out)?;
    for required in ["id", "name"].into_iter().filter(|required| tree.get(required).is_none()) {
        out.error(tree.position, &field, format!("`{required}` is missing"));
    }
    let at = |name: &str| format!("{field}.{name}");
    let configuration = tree.get("configuration");
    if let Some(configuration) = configuration {
        map_of_any(configuration, &at("configuration"), out);
    }
    let keys = tree.get("keys");
    let (concurrency, concurrency_key) =
        tree.get("concurrency").map_or((None, None), |tree| read_concurrency(tree, &at("concurrency"), out));
    Some(DraftNode {
        position: tree.position,
        id: tree.get("id").and_then(|tree| node_id(tree, &at("id"), out)),
        name: tree.get("name").and_then(|tree| name(tree, &at("name"), out)),
        uses: read_uses(tree, &field, out),
        configuration: configuration.filter(|tree| matches!(tree.content, Content::Map(_))),
        run_name: tree.get("run_name").and_then(|tree| text(tree, &at("run_name"), out)),
        keys: keys.map(|tree| read_keys(tree, &at("keys"), out)).unwrap_or_default(),
        concurrency,
        concurrency_key,
        rate: tree.get("rate").and_then(|tree| read_rate(tree, &at("rate"), out)),
        max_visits: tree.get("max_visits").and_then(|tree| read_max_visits(tree, &at("max_visits"), out)),
        retry: tree.get("retry").and_then(|tree| read_retry(tree, &at("retry"), out)),
        redact: tree.get("redact").and_then(|tree| read_redact(tree, &at("redact"), out)),
        keys_position: keys.map(|tree| tree.position),
        drawn: tree.get("position").and_then(|tree| read_drawn(tree, &at("position"), out)),
        field,
    })
}

fn read_edge(index: usize, tree: &Tree, out: &mut Collector<'_>) -> Option<DraftEdge> {
    let field = format!("edges[{index}]");
    map(tree, &field, &["from", "channel", "to"], out)?;
    for required in ["from", "to"].into_iter().filter(|required| tree.get(required).is_none()) {
        out.error(tree.position, &field, format!("`{required}` is missing"));
    }
    let mut end = |name: &str| {
        let spot = text(tree.get(name)?, &format!("{field}.{name}"), out)?;
        Some(Spot::new(spot.value.to_owned(), spot.position, spot.field))
    };
    let (from, to) = (end("from"), end("to"));
    let channel = match tree.get("channel").map(|tree| (&tree.content, tree.position)) {
        None => Spot::new(DEFAULT_CHANNEL.to_owned(), tree.position, field.clone()),
        // `true` and `false` are channels of `if`; an author need not quote them.
        Some((Content::Bool(flag), position)) => {
            Spot::new(flag.to_string(), position, format!("{field}.channel"))
        }
        Some((_, position)) => end("channel")
            .unwrap_or_else(|| Spot::new(DEFAULT_CHANNEL.to_owned(), position, format!("{field}.channel"))),
    };
    Some(DraftEdge { position: tree.position, from, channel, to, field })
}

fn read_uses(tree: &Tree, field: &str, out: &mut Collector<'_>) -> Option<Spot<Uses>> {
    type Make = fn(String) -> Uses;
    let kinds: [(&str, Make); 3] =
        [("trigger", Uses::Trigger), ("component", Uses::Component), ("blueprint", Uses::Blueprint)];
    let given: Vec<_> =
        kinds.into_iter().filter_map(|(name, make)| Some((name, make, tree.get(name)?))).collect();
    match given.as_slice() {
        [(name, make, value)] => {
            let spot = text(value, &format!("{field}.{name}"), out)?;
            Some(Spot::new(make(spot.value.to_owned()), spot.position, spot.field))
        }
        [] => {
            out.error(tree.position, field, "must say what it is: `trigger`, `component` or `blueprint`");
            None
        }
        _ => {
            out.error(tree.position, field, "must be one of trigger, component and blueprint, not several");
            None
        }
    }
}

fn read_keys<'t>(tree: &'t Tree, field: &str, out: &mut Collector<'_>) -> Vec<(String, Spot<&'t str>)> {
    let Some(entries) = map_of_any(tree, field, out) else {
        return Vec::new();
    };
    if entries.len() > KEYS_MAX {
        out.error(tree.position, field, format!("at most {KEYS_MAX} keys"));
    }
    let mut keys = Vec::new();
    for entry in entries {
        let field = format!("{field}{}", key_path(&entry.key));
        if entry.key.is_empty() || entry.key.len() > KEY_BYTES_MAX {
            out.error(entry.position, &field, format!("a key must have 1 to {KEY_BYTES_MAX} bytes"));
        }
        if entry.key.contains("{{") {
            out.error(entry.position, &field, "a key can't hold a template, only its value can");
        }
        if let Some(spot) = text(&entry.value, &field, out) {
            keys.push((entry.key.clone(), spot));
        }
    }
    keys
}

/// The value of `concurrency`, and the key's template where it has one.
fn read_concurrency<'t>(
    tree: &'t Tree,
    field: &str,
    out: &mut Collector<'_>,
) -> (Option<Spot<Concurrency>>, Option<Spot<&'t str>>) {
    if matches!(tree.content, Content::Map(_)) {
        return read_keyed_concurrency(tree, field, out);
    }
    let value = match &tree.content {
        Content::Text(text) if text == "unlimited" => Some(Concurrency::Unlimited(Unlimited::Unlimited)),
        Content::Refused => return (None, None),
        _ => concurrency_number(tree).map(Concurrency::Limited),
    };
    if value.is_none() {
        let message = format!("must be a number from 1 to {CONCURRENCY_MAX}, `unlimited`, or {{ max, key }}");
        out.error(tree.position, field, message);
    }
    (value.map(|value| Spot::new(value, tree.position, field)), None)
}

fn read_keyed_concurrency<'t>(
    tree: &'t Tree,
    field: &str,
    out: &mut Collector<'_>,
) -> (Option<Spot<Concurrency>>, Option<Spot<&'t str>>) {
    map(tree, field, &["max", "key"], out);
    for required in ["max", "key"].into_iter().filter(|required| tree.get(required).is_none()) {
        out.error(tree.position, field, format!("`{required}` is missing"));
    }
    let max = tree.get("max").and_then(|value| {
        let number = concurrency_number(value);
        if number.is_none() && !matches!(value.content, Content::Refused) {
            let message = format!("must be a number from 1 to {CONCURRENCY_MAX}");
            out.error(value.position, &format!("{field}.max"), message);
        }
        number
    });
    let key = tree.get("key").and_then(|tree| text(tree, &format!("{field}.key"), out));
    let keyed = max.zip(key.as_ref()).map(|(max, key)| {
        let keyed = KeyedConcurrency { max, key: key.value.to_owned() };
        Spot::new(Concurrency::Keyed(keyed), tree.position, field)
    });
    (keyed, key)
}

fn concurrency_number(tree: &Tree) -> Option<u32> {
    let Content::Integer(number) = &tree.content else { return None };
    u32::try_from(*number).ok().filter(|number| (1..=CONCURRENCY_MAX).contains(number))
}

/// The visits that a node may have in a run.
fn read_max_visits(tree: &Tree, field: &str, out: &mut Collector<'_>) -> Option<Spot<u32>> {
    let number = match &tree.content {
        Content::Refused => return None,
        Content::Integer(number) => {
            u32::try_from(*number).ok().filter(|number| (1..=VISITS_MAX).contains(number))
        }
        _ => None,
    };
    if number.is_none() {
        out.error(tree.position, field, format!("must be a whole number from 1 to {VISITS_MAX}"));
    }
    number.map(|number| Spot::new(number, tree.position, field))
}

/// The calls that a node may make in a second.
fn read_rate(tree: &Tree, field: &str, out: &mut Collector<'_>) -> Option<Spot<CallRate>> {
    map(tree, field, &["per_second", "burst"], out)?;
    let burst = match tree.get("burst").map(|value| (&value.content, value.position)) {
        None => Some(1),
        Some((Content::Integer(number), _))
            if u32::try_from(*number).is_ok_and(|number| (1..=CALL_RATE_MAX).contains(&number)) =>
        {
            u32::try_from(*number).ok()
        }
        Some((_, position)) => {
            let message = format!("must be a whole number from 1 to {CALL_RATE_MAX}");
            out.error(position, &format!("{field}.burst"), message);
            None
        }
    };
    let per_second = match tree.get("per_second").map(|value| (number(value), value.position)) {
        None => {
            out.error(tree.position, field, "`per_second` is missing");
            None
        }
        Some((Some(number), _)) if (CALL_RATE_MIN..=f64::from(CALL_RATE_MAX)).contains(&number) => {
            Some(number)
        }
        // Already reported.
        Some(_) if matches!(tree.get("per_second").map(|value| &value.content), Some(Content::Refused)) => {
            None
        }
        Some((_, position)) => {
            let message = format!("must be a number from {CALL_RATE_MIN} to {CALL_RATE_MAX}");
            out.error(position, &format!("{field}.per_second"), message);
            None
        }
    };
    let rate = CallRate { per_second: per_second?, burst: burst? };
    Some(Spot::new(rate, tree.position, field))
}

fn number(tree: &Tree) -> Option<f64> {
    match tree.content {
        #[expect(clippy::cast_precision_loss, reason = "far below the limit of exact integers, or refused")]
        Content::Integer(number) => Some(number as f64),
        Content::Float(number) => Some(number),
        _ => None,
    }
}

fn read_retry(tree: &Tree, field: &str, out: &mut Collector<'_>) -> Option<Spot<RetryPolicy>> {
    let fields = ["max_attempts", "initial_interval", "backoff", "max_interval", "on", "max_elapsed"];
    map(tree, field, &fields, out)?;
    let mut number = |name: &str, default: Option<u32>| -> Option<u32> {
        match tree.get(name).map(|value| (&value.content, value.position)) {
            None if default.is_none() => {
                out.error(tree.position, field, format!("`{name}` is missing"));
                None
            }
            None => default,
            Some((Content::Integer(number), _)) if u32::try_from(*number).is_ok() => {
                u32::try_from(*number).ok()
            }
            Some((_, position)) => {
                out.error(position, &format!("{field}.{name}"), "must be a whole number");
                None
            }
        }
    };
    let max_attempts = number("max_attempts", None);
    let initial_interval = number("initial_interval", Some(5));
    let max_interval = number("max_interval", initial_interval.map(|initial| initial.max(300)));
    let max_elapsed = match tree.get("max_elapsed") {
        None => Some(None),
        Some(_) => number("max_elapsed", None).map(Some),
    };
    let backoff = match tree.get("backoff") {
        None => Some(Backoff::default()),
        Some(value) => match &value.content {
            Content::Text(word) if word == "fixed" => Some(Backoff::Fixed),
            Content::Text(word) if word == "exponential" => Some(Backoff::Exponential),
            _ => {
                out.error(value.position, &format!("{field}.backoff"), "must be fixed or exponential");
                None
            }
        },
    };
    let on = match tree.get("on") {
        None => Some(None),
        Some(tree) => retry_on::read(tree, &format!("{field}.on"), out).map(Some),
    };
    let policy = RetryPolicy {
        on: on?,
        max_elapsed: max_elapsed?,
        max_attempts: max_attempts?,
        initial_interval: initial_interval?,
        backoff: backoff?,
        max_interval: max_interval?,
    };
    for (name, message) in policy.problems() {
        out.error(tree.locate(&format!("/{name}")), &format!("{field}.{name}"), message);
    }
    Some(Spot::new(policy, tree.position, field))
}

fn read_redact(tree: &Tree, field: &str, out: &mut Collector<'_>) -> Option<Spot<Vec<String>>> {
    let mut paths = Vec::new();
    if !matches!(tree.content, Content::List(_)) {
        list(tree, field, REDACT_PATHS_MAX, out);
        return None;
    }
    for (index, item) in list(tree, field, REDACT_PATHS_MAX, out).iter().enumerate() {
        let field = format!("{field}[{index}]");
        let Some(path) = text(item, &field, out) else { continue };
        if !path.value.starts_with('/')
            || path.value.len() > REDACT_PATH_BYTES_MAX
            || path.value.contains("{{")
        {
            let message = "must be a JSON pointer into the output, such as /body/access_token";
            out.error(path.position, &field, message);
        }
        paths.push(path.value.to_owned());
    }
    Some(Spot::new(paths, tree.position, field))
}

fn read_drawn(tree: &Tree, field: &str, out: &mut Collector<'_>) -> Option<Drawn> {
    map(tree, field, &["x", "y"], out)?;
    let mut pixels = |name: &str| {
        let found = tree.get(name).and_then(number);
        if found.is_none() {
            out.error(tree.position, field, format!("`{name}` must be a number"));
        }
        found
    };
    let (x, y) = (pixels("x"), pixels("y"));
    Some(Drawn { x: x?, y: y? })
}
