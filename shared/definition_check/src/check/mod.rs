//! Checks a definition: every error in one answer.
//!
//! Reading goes on after an error wherever it can. Only text that is no YAML at all, or is past a
//! limit, ends it early.

mod collect;
mod configuration;
mod draft;
mod graph;
mod node;
mod read;
mod tokens;

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
    /// The key in it.
    pub key: String,
    /// Such as `nodes[1].configuration.url`.
    pub field: String,
    /// The same as a JSON pointer into the node's configuration, such as `/url`.
    pub pointer: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The targets that it is sent to, as far as they stand literally in the node's URLs: to be
    /// held against the secret's allowed hosts.
    pub targets: Vec<UrlTarget>,
    /// Its place in the request, where that doesn't depend on a template: to be held against
    /// the secret's places.
    #[serde(skip)]
    pub place: Option<Placement>,
}

impl NodeSecretRef {
    /// A problem at the place of this reference: a secret that isn't there yet, or may not go to
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
    /// The host as a connection to it is checked: in lower case, punycode, one spelling of each
    /// address.
    pub host: String,
    /// The port, or what the scheme says.
    pub port: u16,
}

/// A definition that can't be applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// All that is wrong, in the order of the lines; at most [`PROBLEMS_MAX`] and a last one that
    /// counts the others.
    pub problems: Vec<Problem>,
    /// The references to secrets that were found all the same: whoever knows the secrets may find
    /// more that is wrong.
    pub secret_refs: Vec<NodeSecretRef>,
}

impl Refused {
    /// All problems with those that somebody else found, in the order of the lines; only these
    /// where they are too many already.
    #[must_use]
    pub fn with_found(self, more: Vec<Problem>) -> Vec<Problem> {
        if self.problems.len() > PROBLEMS_MAX {
            return self.problems;
        }
        collect::limited([self.problems, more].concat())
    }
}

/// Reads and checks YAML or JSON.
///
/// # Errors
/// [`Refused`]; the caller answers with all of it.
pub fn check(text: &str) -> Result<Checked, Refused> {
    let (tree, problems) = source::read(text);
    let mut collector = Collector::new(text, problems);
    let Some(tree) = tree else {
        return Err(Refused { problems: collector.into_errors(), secret_refs: Vec::new() });
    };
    let draft = draft::read(&tree, &mut collector);
    graph::check(&draft, &mut collector);
    let secret_refs = node::check_all(&draft, &mut collector);
    match draft.into_definition() {
        Some(definition) if collector.is_clean() => {
            Ok(Checked { definition, warnings: collector.into_warnings(), secret_refs })
        }
        _ => Err(Refused { problems: collector.into_errors(), secret_refs }),
    }
}

#[cfg(test)]
mod tests;
