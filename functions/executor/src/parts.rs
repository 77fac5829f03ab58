//! What of an execution is code of many hands: components and the evaluator. A panic in one fails its execution alone.

use components::Component;
use expression::{Evaluated, Residual, Secrets};

/// The components and the evaluator. [`Parts::default`] are the only ones that a function is started with; tests put others in their
/// place, to see what a bug in one does.
#[derive(Clone, Copy)]
pub struct Parts {
    /// Finds a component by its name.
    pub component: fn(&str) -> Option<&'static dyn Component>,
    /// Evaluates what is left of a template.
    pub evaluate: fn(&Residual, &dyn Secrets) -> Result<Evaluated, expression::Error>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { component: components::component, evaluate: Residual::eval }
    }
}
