//! `filter`: passes its input on if a condition is true, else emits nothing.

use std::borrow::Cow;

use domain::{
    definition::DEFAULT_CHANNEL,
    outcome::{Outcome, Output},
};
use secret_text::FieldKind;
use serde_json::Value;

use crate::{
    component::{Component, FieldSpec, Problem},
    if_::{check_condition, condition},
    pure::Pure,
};

/// The component; its configuration is `expression`, a condition.
pub(crate) struct Filter;

impl Component for Filter {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn channels(&self) -> &'static [&'static str] {
        &[DEFAULT_CHANNEL]
    }

    fn fields(&self) -> &'static [FieldSpec] {
        const { &[FieldSpec::plain("/expression", FieldKind::Expression)] }
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        check_condition(configuration)
    }
}

impl Pure for Filter {
    fn run(&self, configuration: &Value, input: &Value) -> Outcome {
        match condition(configuration) {
            Ok(true) => {
                Outcome::Passed(Some(Output { channel: Cow::Borrowed(DEFAULT_CHANNEL), data: input.clone() }))
            }
            Ok(false) => Outcome::Passed(None),
            Err(failure) => Outcome::Failed(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_fit_is_held_back_and_that_is_passed() {
        let input = json!({ "a": 1 });
        let on = Outcome::Passed(Some(Output { channel: Cow::Borrowed("default"), data: input.clone() }));
        assert_eq!(Filter.run(&json!({ "expression": true }), &input), on);
        assert_eq!(Filter.run(&json!({ "expression": false }), &input), Outcome::Passed(None));
        assert!(matches!(Filter.run(&json!({ "expression": null }), &input), Outcome::Failed(_)));
    }
}
