//! Components and the renderer: a panic in one of them fails its execution alone.

use components::Component;
use jiff::Timestamp;
use secret_text::{Context, Part, Refused, Rendered, Values};

/// Renders the parts of a field.
pub type Render = fn(&[Part], Context, Timestamp, &dyn Values) -> Result<Rendered, Refused>;

/// The components and the renderer. [`ComponentSet::default`] are the only ones that a function is started with; tests put others in
/// their place, to see what a bug in one does.
#[derive(Clone, Copy)]
pub struct ComponentSet {
    /// Finds a component by its name.
    pub component: fn(&str) -> Option<&'static dyn Component>,
    /// Renders the parts of a field.
    pub render: Render,
}

impl Default for ComponentSet {
    fn default() -> Self {
        Self { component: components::component, render: secret_text::render }
    }
}
