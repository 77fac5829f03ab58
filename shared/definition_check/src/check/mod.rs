//! Checks a definition: every error in one answer.
//!
//! Reading goes on after an error wherever it can. Only a text that is no YAML at all, or exceeds a
//! limit, ends it early.

mod collect;
mod configuration;
mod draft;
mod graph;
mod joins;
mod node;
mod read;
mod retry_on;
mod spelling;
mod tokens;

use domain::limits::{COMPONENT_SECONDS_MAX, WEBHOOK_RATE_PER_SECOND};
use domain::{definition::Definition, placement::Placement};
use serde::Serialize;

use self::collect::Collector;
use crate::{problem::Problem, source};

/// Problems that one answer lists; the rest are counted.
pub const PROBLEMS_MAX: usize = 200;

/// A definition that may be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The definition.
    pub definition: Definition,
    /// The warnings for its author, in the order of the lines.
    pub warnings: Vec<Problem>,
    /// Every reference to a secret, in the author's order. A node may open no other secret.
    pub secret_refs: Vec<NodeSecretRef>,
}

/// A reference to a secret in a node's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    #[serde(skip)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

/// Reads and checks YAML or JSON, with the widest limits that an operator can set.
///
/// # Errors
/// [`Refused`]: the caller answers with all its problems.
pub fn check(text: &str) -> Result<Checked, Refused> {
    check_within(text, Deployment::default())
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

/// [`check`] for a deployment with these limits.
///
/// # Errors
/// As [`check`].
pub fn check_within(text: &str, deployment: Deployment) -> Result<Checked, Refused> {
    let (tree, problems) = source::read(text);
    let mut collector = Collector::new(text, problems);
    let Some(mut tree) = tree else {
        return Err(Refused { problems: collector.into_errors(), secret_refs: Vec::new() });
    };
    spelling::keep(&mut tree);
    let draft = draft::read(&tree, &mut collector);
    graph::check(&draft, &mut collector);
    let secret_refs = node::check_all(&draft, &mut collector);
    node::check_deployment(&draft, deployment, &mut collector);
    match draft.into_definition() {
        Some(definition) if collector.is_clean() => {
            Ok(Checked { definition, warnings: collector.into_warnings(), secret_refs })
        }
        _ => Err(Refused { problems: collector.into_errors(), secret_refs }),
    }
}

#[cfg(test)]
mod tests;
