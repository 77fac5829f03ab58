//! `noop`: passes its input on.

use std::borrow::Cow;

use domain::{
    definition::DEFAULT_CHANNEL,
    outcome::{Outcome, Output},
};
use serde_json::Value;

use crate::{
    component::{Component, Problem},
    pure::Pure,
    shape::{Reader, Stage},
};

/// The component; its configuration is empty.
pub(crate) struct Noop;

impl Component for Noop {
    fn name(&self) -> &'static str {
        "noop"
    }

    fn channels(&self) -> &'static [&'static str] {
        &[DEFAULT_CHANNEL]
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        let mut reader = Reader::new(Stage::Template);
        reader.object("", configuration, &[]);
        reader.into_problems()
    }
}

impl Pure for Noop {
    fn run(&self, _configuration: &Value, input: &Value) -> Outcome {
        Outcome::Passed(Some(Output { channel: Cow::Borrowed(DEFAULT_CHANNEL), data: input.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_input_goes_on_as_it_came() {
        let input = json!({ "a": ["{{ secrets(\"x\").y }}", null] });
        let expected =
            Outcome::Passed(Some(Output { channel: Cow::Borrowed("default"), data: input.clone() }));
        assert_eq!(Noop.run(&json!({}), &input), expected);
    }

    #[test]
    fn there_is_nothing_to_configure() {
        assert!(Noop.check(&json!({})).is_empty());
        assert_eq!(Noop.check(&json!({ "x": 1 }))[0].pointer, "/x");
    }
}
