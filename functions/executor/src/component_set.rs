//! Components and the renderer: a panic in one of them fails its execution alone.

use components::Effect;
use jiff::Timestamp;
use secret_text::{Context, Part, Refused, Rendered, Values};

/// Renders the parts of a field.
pub type Render = fn(&[Part], Context, Timestamp, &dyn Values) -> Result<Rendered, Refused>;

/// The components and the renderer. [`ComponentSet::default`] are the only ones that a function is
/// started with; tests put others in their place, to see what a bug in one does.
#[derive(Clone, Copy)]
pub struct ComponentSet {
    /// Finds an effect by its name.
    pub effect: fn(&str) -> Option<&'static dyn Effect>,
    /// Renders the parts of a field.
    pub render: Render,
}

impl Default for ComponentSet {
    fn default() -> Self {
        Self { effect: components::effect, render: secret_text::render }
    }
}
