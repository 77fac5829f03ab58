//! Components and evaluators with a bug: they panic where a test asks for it, and quote all that
//! they hold.
//!
//! Only `panicking-executor` and `panicking-builder` are started with these, in the place of the
//! functions' own binaries; what is delivered can't be.

use components::{
    BoxFuture, Call, Capability, Component, Effect, FieldSpec, Held, Host, Opening, Problem, Pure, Step,
    Woken,
};
use definition::{CompiledNode, ResolveError, Resolved};
use domain::outcome::{Failure, Outcome};
use domain::placement::Placement;
use expression::{Budget, Environment};
use jiff::Timestamp;
use secret_text::{Context, Part, Refused, Rendered, Values};
use serde_json::Value;

/// The text in a configuration or in an input of which the component panics.
pub const COMPONENT_PANICS: &str = "panic-in-the-component";
/// The text in a field of which the evaluator panics.
pub const EVALUATOR_PANICS: &str = "panic-in-the-evaluator";

/// The executor's components: `http` and the renderer.
#[must_use]
pub fn executor_components() -> executor::ComponentSet {
    executor::ComponentSet { effect, render }
}

/// The builder's components: `noop` and the resolving of templates.
#[must_use]
pub fn builder_components() -> builder::ComponentSet {
    builder::ComponentSet { pure, resolve, ..builder::ComponentSet::default() }
}

fn effect(name: &str) -> Option<&'static dyn Effect> {
    match name {
        "http" => Some(&PanickingHttp),
        _ => components::effect(name),
    }
}

fn pure(name: &str) -> Option<&'static dyn Pure> {
    match name {
        "noop" => Some(&PanickingNoop),
        _ => components::pure(name),
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

/// `http` with a bug.
struct PanickingHttp;

impl PanickingHttp {
    fn real() -> &'static dyn Effect {
        components::effect("http").expect("it is an effect's name")
    }
}

impl Component for PanickingHttp {
    fn name(&self) -> &'static str {
        "http"
    }

    fn channels(&self) -> &'static [&'static str] {
        Self::real().channels()
    }

    fn fields(&self) -> &'static [FieldSpec] {
        Self::real().fields()
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        Self::real().check(configuration)
    }
}

impl Effect for PanickingHttp {
    fn needs(&self) -> &'static [Capability] {
        Self::real().needs()
    }

    fn placement(&self, configuration: &Value, pointer: &str, part: &Part) -> Placement {
        Self::real().placement(configuration, pointer, part)
    }

    fn execute<'a>(
        &'a self,
        host: &'a Host<'a>,
        configuration: Value,
        call: &'a Call<'a>,
    ) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let text = configuration.to_string();
            assert!(!text.contains(COMPONENT_PANICS), "the component holds {text}");
            Self::real().execute(host, configuration, call).await
        })
    }
}

/// Held components: `wait` with a bug.
#[must_use]
pub fn held(name: &str) -> Option<&'static dyn Held> {
    (name == "wait").then_some(&PanickingWait as &'static dyn Held)
}

/// `wait` with a bug: it panics when it is woken with `panic` in what it keeps.
struct PanickingWait;

impl PanickingWait {
    fn real() -> &'static dyn Held {
        components::held("wait").expect("it is a held component's name")
    }
}

impl Component for PanickingWait {
    fn name(&self) -> &'static str {
        "wait"
    }

    fn channels(&self) -> &'static [&'static str] {
        Self::real().channels()
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        Self::real().check(configuration)
    }
}

impl Held for PanickingWait {
    fn open(&self, configuration: &Value, opening: Opening) -> Result<Step, Failure> {
        Self::real().open(configuration, opening)
    }

    fn wake(&self, held: &Value, woken: &Woken<'_>) -> Step {
        assert!(held.get("panic").is_none(), "the component keeps {held}");
        Self::real().wake(held, woken)
    }
}

/// `noop` with a bug.
struct PanickingNoop;

impl PanickingNoop {
    fn real() -> &'static dyn Pure {
        components::pure("noop").expect("it is a pure component's name")
    }
}

impl Component for PanickingNoop {
    fn name(&self) -> &'static str {
        "noop"
    }

    fn channels(&self) -> &'static [&'static str] {
        Self::real().channels()
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        Self::real().check(configuration)
    }
}

impl Pure for PanickingNoop {
    fn run(&self, configuration: &Value, input: &Value) -> Outcome {
        assert!(!input.to_string().contains(COMPONENT_PANICS), "the component holds {input}");
        Self::real().run(configuration, input)
    }
}
