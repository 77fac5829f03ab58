//! Components and evaluators with a bug: they panic where a test asks for it, and quote all that they hold.
//!
//! Only `panicking-executor` and `panicking-builder` are started with these, in the place of the functions' own binaries; what is
//! delivered can't be.

use components::{BoxFuture, Call, Component, FieldSpec, Host, Kind, Problem};
use definition::{CompiledNode, ResolveError, Resolved};
use domain::outcome::Outcome;
use domain::placement::Placement;
use expression::{Budget, Environment};
use jiff::Timestamp;
use secret_text::{Context, Part, Refused, Rendered, Values};
use serde_json::Value;

/// What stands in a configuration or in an input of which the component panics.
pub const COMPONENT_PANICS: &str = "panic-in-the-component";
/// What stands in a field of which the evaluator panics.
pub const EVALUATOR_PANICS: &str = "panic-in-the-evaluator";

/// The executor's components: `http` and the renderer.
#[must_use]
pub fn executor_components() -> executor::ComponentSet {
    executor::ComponentSet { component, render }
}

/// The builder's parts: `noop` and the resolving of templates.
#[must_use]
pub fn builder_parts() -> builder::Parts {
    builder::Parts { component, resolve }
}

fn component(name: &str) -> Option<&'static dyn Component> {
    match name {
        "http" => Some(&Panicking("http")),
        "noop" => Some(&Panicking("noop")),
        _ => components::component(name),
    }
}

fn render(
    parts: &[Part],
    context: Context,
    sent_at: Timestamp,
    values: &dyn Values,
) -> Result<Rendered, Refused> {
    let rendered = secret_text::render(parts, context, sent_at, values)?;
    let text = rendered.text.as_str();
    assert!(!text.contains(EVALUATOR_PANICS), "the renderer holds {text}");
    Ok(rendered)
}

fn resolve(
    node: &CompiledNode,
    environment: &dyn Environment,
    budget: &mut Budget,
) -> Result<Resolved, ResolveError> {
    let resolved = definition::resolve(node, environment, budget)?;
    let text = resolved.display.to_string();
    assert!(!text.contains(EVALUATOR_PANICS), "the evaluator holds {text}");
    Ok(resolved)
}

/// The component of that name with a bug.
struct Panicking(&'static str);

impl Panicking {
    fn real(&self) -> &'static dyn Component {
        components::component(self.0).expect("it is a component's name")
    }
}

impl Component for Panicking {
    fn name(&self) -> &'static str {
        self.0
    }

    fn kind(&self) -> Kind {
        self.real().kind()
    }

    fn channels(&self) -> &'static [&'static str] {
        self.real().channels()
    }

    fn fields(&self) -> &'static [FieldSpec] {
        self.real().fields()
    }

    fn placement(&self, configuration: &Value, pointer: &str, part: &Part) -> Placement {
        self.real().placement(configuration, pointer, part)
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        self.real().check(configuration)
    }

    fn run(&self, configuration: &Value, input: &Value) -> Outcome {
        assert!(!input.to_string().contains(COMPONENT_PANICS), "the component holds {input}");
        self.real().run(configuration, input)
    }

    fn execute<'a>(
        &'a self,
        host: &'a dyn Host,
        configuration: &'a Value,
        call: &'a Call<'a>,
    ) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let text = configuration.to_string();
            assert!(!text.contains(COMPONENT_PANICS), "the component holds {text}");
            self.real().execute(host, configuration, call).await
        })
    }
}
