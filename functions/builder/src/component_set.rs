//! Components and evaluator: a panic in one of them fails that record only.

use components::{Held, Join, Owner, Pure};
use definition::{CompiledNode, ResolveError, Resolved};
use expression::{Budget, Environment};

/// The components and the evaluator. [`ComponentSet::default`] are the only ones that a function is
/// started with; tests put others in their place, to see what a bug in one does.
#[derive(Clone, Copy)]
pub struct ComponentSet {
    /// Finds a pure component by its name.
    pub pure: fn(&str) -> Option<&'static dyn Pure>,
    /// Finds a held component by its name.
    pub held: fn(&str) -> Option<&'static dyn Held>,
    /// Finds a join by its name.
    pub join: fn(&str) -> Option<&'static dyn Join>,
    /// Finds an owner of sub-runs by its name.
    pub owner: fn(&str) -> Option<&'static dyn Owner>,
    /// Resolves a node's templates.
    pub resolve: fn(&CompiledNode, &dyn Environment, &mut Budget) -> Result<Resolved, ResolveError>,
}

impl Default for ComponentSet {
    fn default() -> Self {
        Self {
            pure: components::pure,
            held: components::held,
            join: components::join,
            owner: components::owner,
            resolve: definition::resolve,
        }
    }
}
