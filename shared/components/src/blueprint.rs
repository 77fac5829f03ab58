//! The entry of a blueprint: the node that stands for it resolves the inputs, and passes its event on
//! to the first nodes inside.

use std::borrow::Cow;

use domain::{
    definition::DEFAULT_CHANNEL,
    outcome::{Outcome, Output},
};
use serde_json::Value;

use crate::{
    component::{Component, Problem},
    pure::Pure,
    shape::{Reader, Stage, type_name},
};

/// The component. No definition names it: a node with `blueprint: name@version` has it.
pub(crate) struct BlueprintEntry;

/// The name of the component.
pub(crate) const BLUEPRINT: &str = "blueprint";

impl Component for BlueprintEntry {
    fn name(&self) -> &'static str {
        BLUEPRINT
    }

    fn channels(&self) -> &'static [&'static str] {
        &[DEFAULT_CHANNEL]
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        let mut reader = Reader::new(Stage::Template);
        let map = reader.object("", configuration, &["inputs"]);
        match map.and_then(|map| map.get("inputs")) {
            None | Some(Value::Object(_)) => {}
            Some(other) => {
                let message = format!(
                    "must be a map from the names of inputs to their values, not {}",
                    type_name(other)
                );
                reader.problem("/inputs", message);
            }
        }
        reader.into_problems()
    }
}

impl Pure for BlueprintEntry {
    fn run(&self, _configuration: &Value, input: &Value) -> Outcome {
        Outcome::Passed(Some(Output { channel: Cow::Borrowed(DEFAULT_CHANNEL), data: input.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn inputs_are_all_that_it_has() {
        let check = |configuration: Value, expected: &[&str]| {
            let problems = BlueprintEntry.check(&configuration);
            let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
            assert_eq!(pointers, expected, "{configuration}");
        };
        check(json!({}), &[]);
        check(json!({ "inputs": { "region": "{{ root().data.region }}", "tags": ["a"] } }), &[]);
        check(json!({ "inputs": ["a"] }), &["/inputs"]);
        check(json!({ "input": {} }), &["/input"]);
    }
}
