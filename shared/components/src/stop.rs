//! `stop`: ends its branch, as failed or as passed.

use domain::execution::{ExecutionResult, ResultReason};
use domain::outcome::{Failure, Outcome};
use secret_text::FieldKind;
use serde_json::Value;

use crate::{
    component::{Component, FieldSpec, Problem},
    pure::Pure,
    shape::{Reader, Stage},
};

const FAILED: &str = ExecutionResult::Failed.as_str();
const PASSED: &str = ExecutionResult::Passed.as_str();
/// Characters of the message that are kept.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// The component. Its configuration is `result`, `failed` or `passed`, and `message`, a template.
/// No edge leaves it: what it ends as failed is a failure of its run.
pub(crate) struct Stop;

impl Component for Stop {
    fn name(&self) -> &'static str {
        "stop"
    }

    fn channels(&self) -> &'static [&'static str] {
        &[]
    }

    fn has_error_channel(&self) -> bool {
        false
    }

    fn fields(&self) -> &'static [FieldSpec] {
        const { &[FieldSpec::plain("/result", FieldKind::Text), FieldSpec::plain("/message", FieldKind::Text)] }
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        let mut reader = Reader::new(Stage::Template);
        if let Some(map) = reader.object("", configuration, &["result", "message"]) {
            if let Some(result) = reader.required("", map, "result") {
                if reader.is_open(result) {
                    reader.problem("/result", "must be literal: failed or passed");
                } else {
                    reader.word("/result", result, &[FAILED, PASSED]);
                }
            }
            if let Some(message) = map.get("message") {
                reader.text("/message", message);
            }
        }
        reader.into_problems()
    }
}

impl Pure for Stop {
    fn run(&self, configuration: &Value, _input: &Value) -> Outcome {
        if configuration["result"] == PASSED {
            return Outcome::Passed(None);
        }
        let message = match configuration["message"].as_str() {
            Some(message) if !message.trim().is_empty() => message.chars().take(MESSAGE_CHARS_MAX).collect(),
            _ => "the workflow stops here".to_owned(),
        };
        Outcome::Failed(Failure::new(ResultReason::ComponentError, "stopped", message))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_ends_as_it_is_told_with_its_message_i10() {
        let run = |configuration: Value| match Stop.run(&configuration, &json!({})) {
            Outcome::Passed(None) => "passed".to_owned(),
            Outcome::Failed(failure) => {
                assert_eq!((failure.code.as_str(), failure.retryable), ("stopped", false));
                failure.message
            }
            other @ Outcome::Passed(_) => panic!("it emits nothing: {other:?}"),
        };
        assert_eq!(run(json!({ "result": "passed", "message": "x" })), "passed");
        assert_eq!(run(json!({ "result": "failed", "message": "no stock" })), "no stock");
        assert_eq!(run(json!({ "result": "failed" })), "the workflow stops here");
        let long = |chars: usize| run(json!({ "result": "failed", "message": "x".repeat(chars) })).len();
        assert_eq!(
            (long(MESSAGE_CHARS_MAX), long(MESSAGE_CHARS_MAX + 1)),
            (MESSAGE_CHARS_MAX, MESSAGE_CHARS_MAX)
        );
    }

    #[test]
    fn its_result_is_a_literal_word() {
        let said = |configuration: Value| {
            Stop.check(&configuration).first().map(|problem| problem.message.clone()).unwrap_or_default()
        };
        assert_eq!(said(json!({ "result": "failed", "message": "{{ root().data.x }}" })), "");
        assert_eq!(said(json!({})), "`result` is missing");
        assert!(said(json!({ "result": "{{ root().data.x }}" })).contains("must be literal"));
        assert!(said(json!({ "result": "fail" })).contains("did you mean `failed`?"));
        assert_eq!(said(json!({ "result": "passed", "message": {} })), "must be text, not a map");
    }
}
