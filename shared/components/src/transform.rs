//! `transform`: makes its output of what its author says.

use std::borrow::Cow;

use domain::{
    definition::DEFAULT_CHANNEL,
    outcome::{Outcome, Output},
};
use secret_text::FieldKind;
use serde_json::Value;

use crate::{
    component::{Component, FieldSpec, Problem},
    pure::Pure,
    shape::{Reader, Stage},
};

/// The component. Its configuration is `output`, any structure of templates, which becomes the data
/// of its event.
pub(crate) struct Transform;

impl Component for Transform {
    fn name(&self) -> &'static str {
        "transform"
    }

    fn channels(&self) -> &'static [&'static str] {
        &[DEFAULT_CHANNEL]
    }

    fn fields(&self) -> &'static [FieldSpec] {
        const { &[FieldSpec::plain("/output/**", FieldKind::Typed)] }
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        let mut reader = Reader::new(Stage::Template);
        if let Some(map) = reader.object("", configuration, &["output"]) {
            reader.required("", map, "output");
        }
        reader.into_problems()
    }
}

impl Pure for Transform {
    fn run(&self, configuration: &Value, _input: &Value) -> Outcome {
        let data = configuration.get("output").cloned().unwrap_or_default();
        Outcome::Passed(Some(Output { channel: Cow::Borrowed(DEFAULT_CHANNEL), data }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_said_is_its_output() {
        for output in [json!({ "a": [1, "x", null] }), json!(7), json!("text"), json!(null)] {
            let expected =
                Outcome::Passed(Some(Output { channel: Cow::Borrowed("default"), data: output.clone() }));
            assert_eq!(Transform.run(&json!({ "output": output }), &json!({ "in": 1 })), expected);
        }
        assert_eq!(Transform.check(&json!({ "output": { "any": ["thing"] } })), []);
        assert_eq!(Transform.check(&json!({}))[0].message, "`output` is missing");
        assert!(Transform.check(&json!({ "ouput": 1 }))[0].message.contains("did you mean `output`?"));
    }
}
