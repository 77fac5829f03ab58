//! Checks a definition: every error in one answer.
//!
//! Reading goes on after an error wherever it can. Only a text that is no YAML at all, or exceeds a
//! limit, ends it early.

mod collect;
mod configuration;
mod draft;
mod expanded;
mod graph;
mod interface;
mod joins;
mod node;
mod outputs;
mod read;
mod retry_on;
mod spelling;
mod tokens;

use std::collections::BTreeSet;

use domain::definition::Definition;
use domain::limits::{COMPONENT_SECONDS_MAX, NODES_MAX, WEBHOOK_RATE_PER_SECOND};
use domain::placement::Placement;
use serde::{Deserialize, Serialize};

use self::collect::Collector;
use self::draft::Draft;
use crate::blueprint::{Blueprint, Library, exits, expand};
use crate::problem::Problem;
use crate::source::{self, Content};

/// Problems that one answer lists; the rest are counted.
pub const PROBLEMS_MAX: usize = 200;

/// A definition that may be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The definition; its blueprints are expanded.
    pub definition: Definition,
    /// The warnings for its author, in the order of the lines.
    pub warnings: Vec<Problem>,
    /// Every reference to a secret, in the author's order. A node may open no other secret.
    pub secret_refs: Vec<NodeSecretRef>,
}

/// A reference to a secret in a node's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSecretRef {
    /// The node.
    pub node_id: String,
    /// The secret's name.
    pub name: String,
    /// The key in the secret.
    pub key: String,
    /// Such as `nodes[1].configuration.url`.
    pub field: String,
    /// The same as a JSON pointer into the node's configuration, such as `/url`.
    pub pointer: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The targets that the secret is sent to, as far as the node's URLs name them literally. The
    /// caller compares them with the secret's allowed hosts.
    pub targets: Vec<UrlTarget>,
    /// The secret's place in the request, where no template chooses it. The caller compares it with
    /// the secret's allowed places.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "place_text")]
    pub place: Option<Placement>,
}

impl NodeSecretRef {
    /// A problem at the place of this reference: the secret does not exist yet, or may not go to
    /// this host.
    #[must_use]
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem {
            line: self.line,
            column: self.column,
            field: self.field.clone(),
            message: message.into(),
            expression: None,
            span: None,
        }
    }
}

/// The origin of a URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlTarget {
    /// `http` or `https`.
    pub scheme: String,
    /// The host in the spelling that a connection checks: lower case, punycode, one spelling of
    /// each address.
    pub host: String,
    /// The port, or the scheme's default.
    pub port: u16,
}

/// A definition that can't be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// All problems, in the order of the lines: at most [`PROBLEMS_MAX`], and a last one that
    /// counts the rest.
    pub problems: Vec<Problem>,
    /// The references to secrets that were found all the same: the caller, which can look the
    /// secrets up, may find more problems.
    pub secret_refs: Vec<NodeSecretRef>,
}

impl Refused {
    /// All problems together with `more`, in the order of the lines. `more` is left out where the
    /// problems here exceed the limit already.
    #[must_use]
    pub fn with_found(self, more: Vec<Problem>) -> Vec<Problem> {
        if self.problems.len() > PROBLEMS_MAX {
            return self.problems;
        }
        collect::limited([self.problems, more].concat())
    }
}

/// Reads and checks YAML or JSON, with the widest limits that an operator can set, and takes each
/// blueprint that is named.
///
/// # Errors
/// [`Refused`]: the caller answers with all its problems.
pub fn check(text: &str) -> Result<Checked, Refused> {
    check_within(text, Deployment::default(), &Library::unknown())
}

/// The operator's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Seconds that a component may take.
    pub component_seconds_max: u32,
    /// Deliveries a second of one webhook.
    pub webhook_rate_max: u32,
}

impl Default for Deployment {
    /// The widest limits that there are.
    fn default() -> Self {
        Self { component_seconds_max: COMPONENT_SECONDS_MAX, webhook_rate_max: WEBHOOK_RATE_PER_SECOND }
    }
}

/// [`check`] for a deployment with these limits and blueprints.
///
/// # Errors
/// As [`check`].
pub fn check_within(text: &str, deployment: Deployment, library: &Library) -> Result<Checked, Refused> {
    let (tree, problems) = source::read(text);
    let mut collector = Collector::new(text, problems);
    let Some(mut tree) = tree else {
        return Err(Refused { problems: collector.into_errors(), secret_refs: Vec::new() });
    };
    spelling::keep(&mut tree);
    let draft = draft::read(&tree, &mut collector);
    if !expanded::fits(&draft, library, &mut collector) {
        return Err(Refused { problems: collector.into_errors(), secret_refs: Vec::new() });
    }
    let secret_refs = check_draft(&draft, deployment, library, &mut collector);
    let places = expanded::places_of(&draft);
    let definition = draft.into_definition().map(|definition| expand(definition, library));
    if let Some(definition) = &definition {
        expanded::check(definition, &places, &mut collector);
    }
    match definition {
        Some(definition) if collector.is_clean() => {
            Ok(Checked { definition, warnings: collector.into_warnings(), secret_refs })
        }
        _ => Err(Refused { problems: collector.into_errors(), secret_refs }),
    }
}

/// A blueprint that may be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedBlueprint {
    /// The blueprint; those inside it are expanded.
    pub blueprint: Blueprint,
    /// The warnings for its author, in the order of the lines.
    pub warnings: Vec<Problem>,
}

/// Reads and checks a blueprint as YAML or JSON.
///
/// # Errors
/// As [`check`].
pub fn check_blueprint(
    text: &str,
    deployment: Deployment,
    library: &Library,
) -> Result<CheckedBlueprint, Refused> {
    let (tree, problems) = source::read(text);
    let mut collector = Collector::new(text, problems);
    let Some(mut tree) = tree else {
        return Err(Refused { problems: collector.into_errors(), secret_refs: Vec::new() });
    };
    spelling::keep(&mut tree);
    let mut draft = draft::read_blueprint(&tree, &mut collector);
    if !expanded::fits(&draft, library, &mut collector) {
        return Err(Refused { problems: collector.into_errors(), secret_refs: Vec::new() });
    }
    let secret_refs = check_draft(&draft, deployment, library, &mut collector);
    let places = expanded::places_of(&draft);
    let interface = draft.interface.take().unwrap_or_default();
    interface::check(&draft, &interface, library, &mut collector);
    let Some(authored) = draft.into_definition() else {
        return Err(Refused { problems: collector.into_errors(), secret_refs });
    };
    let outputs = interface.outputs();
    let exits = exits(&outputs, &authored.nodes, library);
    let definition = expand(authored, library);
    expanded::check(&definition, &places, &mut collector);
    if !collector.is_clean() {
        return Err(Refused { problems: collector.into_errors(), secret_refs });
    }
    let Definition { name, description, timeout_seconds: _, outputs: _, nodes, edges, applied_edges } =
        definition;
    let inputs = interface.inputs;
    let blueprint =
        Blueprint { name, description, inputs, nodes, edges, applied_edges, outputs, exits, secret_refs };
    Ok(CheckedBlueprint { blueprint, warnings: collector.into_warnings() })
}

/// The blueprints that a definition names, as far as it can be read: those that a check needs.
#[must_use]
pub fn blueprints_in(text: &str) -> BTreeSet<String> {
    let (tree, _) = source::read(text);
    let nodes = tree.as_ref().and_then(|tree| tree.get("nodes"));
    let Some(Content::List(nodes)) = nodes.map(|nodes| &nodes.content) else { return BTreeSet::new() };
    let named = nodes.iter().filter_map(|node| match &node.get("blueprint")?.content {
        Content::Text(name) => Some(name.clone()),
        _ => None,
    });
    named.take(NODES_MAX).collect()
}

fn check_draft(
    draft: &Draft<'_>,
    deployment: Deployment,
    library: &Library,
    collector: &mut Collector<'_>,
) -> Vec<NodeSecretRef> {
    graph::check(draft, library, collector);
    let secret_refs = node::check_all(draft, library, collector);
    node::check_deployment(draft, deployment, collector);
    secret_refs
}

/// A placement as it is written.
mod place_text {
    use domain::placement::Placement;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        place: &Option<Placement>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match place {
            Some(place) => serializer.collect_str(place),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Placement>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests;
