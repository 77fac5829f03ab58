//! What of a record is code of many hands: pure components and the evaluator. A panic in one fails its record alone.

use components::Component;
use definition::{CompiledNode, ResolveError, Resolved};
use expression::{Budget, Environment};

/// The components and the evaluator. [`Parts::default`] are the only ones that a function is started with; tests put others in their
/// place, to see what a bug in one does.
#[derive(Clone, Copy)]
pub struct Parts {
    /// Finds a component by its name.
    pub component: fn(&str) -> Option<&'static dyn Component>,
    /// Resolves a node's templates.
    pub resolve: fn(&CompiledNode, &dyn Environment, &mut Budget) -> Result<Resolved, ResolveError>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { component: components::component, resolve: definition::resolve }
    }
}
