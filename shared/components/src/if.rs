//! `if`: passes its input on, on the channel that a condition chooses.

use std::borrow::Cow;

use domain::execution::ResultReason;
use domain::outcome::{Failure, Outcome, Output};
use secret_text::FieldKind;
use serde_json::Value;

use crate::{
    component::{Component, FieldSpec, Problem},
    pure::Pure,
    shape::{Reader, Stage, type_name},
};

const TRUE: &str = "true";
const FALSE: &str = "false";

/// The component; its configuration is `expression`, a condition.
pub(crate) struct If;

impl Component for If {
    fn name(&self) -> &'static str {
        "if"
    }

    fn channels(&self) -> &'static [&'static str] {
        &[TRUE, FALSE]
    }

    fn fields(&self) -> &'static [FieldSpec] {
        const { &[FieldSpec::plain("/expression", FieldKind::Expression)] }
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        check_condition(configuration)
    }
}

impl Pure for If {
    fn run(&self, configuration: &Value, input: &Value) -> Outcome {
        match condition(configuration) {
            Ok(holds) => {
                let channel = if holds { TRUE } else { FALSE };
                Outcome::Passed(Some(Output { channel: Cow::Borrowed(channel), data: input.clone() }))
            }
            Err(failure) => Outcome::Failed(failure),
        }
    }
}

/// Checks a configuration whose only field is `expression`.
pub(crate) fn check_condition(configuration: &Value) -> Vec<Problem> {
    let mut reader = Reader::new(Stage::Template);
    if let Some(map) = reader.object("", configuration, &["expression"])
        && let Some(expression) = reader.required("", map, "expression")
    {
        match expression {
            Value::String(text) if text.trim().is_empty() => {
                reader.problem("/expression", "must not be empty");
            }
            Value::String(_) | Value::Bool(_) => {}
            other => {
                let message = format!("must be an expression, not {}", type_name(other));
                reader.problem("/expression", message);
            }
        }
    }
    reader.into_problems()
}

/// The result of the condition of a resolved configuration.
pub(crate) fn condition(configuration: &Value) -> Result<bool, Failure> {
    let value = configuration.get("expression").unwrap_or(&Value::Null);
    value.as_bool().ok_or_else(|| {
        Failure::new(
            ResultReason::ComponentError,
            "condition_not_boolean",
            format!("`expression` must come to true or false, it came to {}", type_name(value)),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_condition_chooses_the_channel() {
        let input = json!([1, "x"]);
        let check = |condition: bool, channel| {
            let expected =
                Outcome::Passed(Some(Output { channel: Cow::Borrowed(channel), data: input.clone() }));
            assert_eq!(If.run(&json!({ "expression": condition }), &input), expected);
        };
        check(true, "true");
        check(false, "false");
    }

    #[test]
    fn a_condition_that_is_no_boolean_fails_and_says_what_it_was() {
        let check = |value: Value, expected: &str| {
            let Outcome::Failed(failure) = If.run(&json!({ "expression": value }), &json!({})) else {
                panic!("{value} was taken for a boolean");
            };
            assert_eq!(failure.reason, ResultReason::ComponentError);
            assert_eq!(failure.code, "condition_not_boolean");
            assert_eq!(
                failure.message,
                format!("`expression` must come to true or false, it came to {expected}")
            );
            assert!(!failure.retryable);
        };
        check(json!(null), "nil");
        check(json!("true"), "text");
        check(json!(1), "a number");
        check(json!([]), "a list");
        check(json!({}), "a map");
    }

    #[test]
    fn the_expression_must_be_there() {
        let check = |configuration: Value, expected: &[(&str, &str)]| {
            let problems = If.check(&configuration);
            let found: Vec<_> =
                problems.iter().map(|problem| (problem.pointer.as_str(), problem.message.as_str())).collect();
            assert_eq!(found, expected);
        };
        check(json!({ "expression": "1 == 1" }), &[]);
        check(json!({ "expression": true }), &[]);
        check(json!({}), &[("", "`expression` is missing")]);
        check(json!({ "expression": " " }), &[("/expression", "must not be empty")]);
        check(json!({ "expression": 5 }), &[("/expression", "must be an expression, not a number")]);
        check(
            json!({ "expresion": "a" }),
            &[
                ("/expresion", "unknown field `expresion`; did you mean `expression`?"),
                ("", "`expression` is missing"),
            ],
        );
    }
}
