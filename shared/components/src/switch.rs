//! `switch`: passes its input on, on the channel of the first case that holds.

use std::borrow::Cow;

use domain::execution::ResultReason;
use domain::outcome::{Failure, Outcome, Output};
use secret_text::FieldKind;
use serde_json::Value;

use crate::{
    component::{Component, FieldSpec, Problem},
    pure::Pure,
    shape::{Reader, Stage, child, item, type_name},
};

const OTHERWISE: &str = "otherwise";
/// Cases of one switch.
const CASES_MAX: usize = 50;
/// Characters of a channel's name.
const CHANNEL_CHARS_MAX: usize = 64;

/// The component. Its configuration is `cases`, a list of `{when, channel}` in their order, and
/// `otherwise`, the channel where none holds. Each condition is evaluated, whichever holds first.
pub(crate) struct Switch;

impl Component for Switch {
    fn name(&self) -> &'static str {
        "switch"
    }

    /// Its own channels are those of its configuration.
    fn channels(&self) -> &'static [&'static str] {
        &[]
    }

    fn channels_of(&self, configuration: &Value) -> Vec<String> {
        let cases = configuration["cases"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut channels: Vec<String> = Vec::new();
        let named = cases.iter().filter_map(|case| case["channel"].as_str());
        for channel in named.chain([otherwise(configuration)]) {
            if !channels.iter().any(|known| known == channel) {
                channels.push(channel.to_owned());
            }
        }
        channels
    }

    fn fields(&self) -> &'static [FieldSpec] {
        const {
            &[
                FieldSpec::plain("/cases/*/when", FieldKind::Expression),
                FieldSpec::plain("/cases/*/channel", FieldKind::Text),
                FieldSpec::plain("/otherwise", FieldKind::Text),
            ]
        }
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        let mut reader = Reader::new(Stage::Template);
        if let Some(map) = reader.object("", configuration, &["cases", "otherwise"]) {
            if let Some(otherwise) = map.get("otherwise") {
                check_channel(&mut reader, "/otherwise", otherwise);
            }
            let cases = reader.required("", map, "cases");
            match cases {
                Some(cases) if reader.is_open(cases) => reader.problem("/cases", LITERAL),
                Some(cases) => {
                    if let Some(cases) = reader.list("/cases", cases) {
                        check_cases(&mut reader, cases);
                    }
                }
                None => {}
            }
        }
        reader.into_problems()
    }
}

fn check_cases(reader: &mut Reader, cases: &[Value]) {
    if cases.is_empty() || cases.len() > CASES_MAX {
        return reader.problem("/cases", format!("must have 1 to {CASES_MAX} cases"));
    }
    for (index, case) in cases.iter().enumerate() {
        let at = item("/cases", index);
        if reader.is_open(case) {
            reader.problem(&at, LITERAL);
        }
        let Some(map) = reader.object(&at, case, &["when", "channel"]) else { continue };
        match reader.required(&at, map, "when") {
            Some(Value::String(text)) if text.trim().is_empty() => {
                reader.problem(&child(&at, "when"), "must not be empty");
            }
            None | Some(Value::String(_) | Value::Bool(_)) => {}
            Some(other) => {
                let message = format!("must be an expression, not {}", type_name(other));
                reader.problem(&child(&at, "when"), message);
            }
        }
        if let Some(channel) = reader.required(&at, map, "channel") {
            check_channel(reader, &child(&at, "channel"), channel);
        }
    }
}

/// Cases that a template made would have channels that run data chose.
const LITERAL: &str = "must be written out: only `when` is a template";

fn is_name(channel: &str) -> bool {
    let is_plain = channel.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    !channel.is_empty() && channel.len() <= CHANNEL_CHARS_MAX && is_plain
}

/// A channel is literal: the edges are known when the workflow is applied.
fn check_channel(reader: &mut Reader, at: &str, channel: &Value) {
    let text = channel.as_str().unwrap_or_default();
    if !is_name(text) {
        let message =
            format!("must be a literal name of up to {CHANNEL_CHARS_MAX} letters, digits, `_` and `-`");
        reader.problem(at, message);
    } else if text == domain::definition::ERROR_CHANNEL {
        reader.problem(at, "must not be `error`, which takes failures");
    }
}

fn otherwise(configuration: &Value) -> &str {
    configuration["otherwise"].as_str().unwrap_or(OTHERWISE)
}

impl Pure for Switch {
    fn run(&self, configuration: &Value, input: &Value) -> Outcome {
        let cases = configuration["cases"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (index, case) in cases.iter().enumerate() {
            match case["when"].as_bool() {
                Some(true) => return emit(case["channel"].as_str().unwrap_or(OTHERWISE), input),
                Some(false) => {}
                None => {
                    let message = format!(
                        "`cases[{index}].when` must come to true or false, it came to {}",
                        type_name(&case["when"])
                    );
                    let failure =
                        Failure::new(ResultReason::ComponentError, "condition_not_boolean", message);
                    return Outcome::Failed(failure);
                }
            }
        }
        emit(otherwise(configuration), input)
    }
}

fn emit(channel: &str, input: &Value) -> Outcome {
    Outcome::Passed(Some(Output { channel: Cow::Owned(channel.to_owned()), data: input.clone() }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_case_that_holds_chooses_the_channel() {
        let input = json!({ "a": 1 });
        let run = |whens: [Value; 3], otherwise: Option<&str>| {
            let cases: Vec<_> = whens
                .into_iter()
                .zip(["red", "green", "blue"])
                .map(|(when, channel)| json!({ "when": when, "channel": channel }))
                .collect();
            let mut configuration = json!({ "cases": cases });
            if let Some(otherwise) = otherwise {
                configuration["otherwise"] = json!(otherwise);
            }
            match Switch.run(&configuration, &input) {
                Outcome::Passed(Some(Output { channel, data })) if data == input => channel.into_owned(),
                Outcome::Failed(failure) => failure.message,
                other => panic!("{other:?}"),
            }
        };
        let (yes, no) = (json!(true), json!(false));
        assert_eq!(run([yes.clone(), yes.clone(), no.clone()], None), "red");
        assert_eq!(run([no.clone(), yes.clone(), yes.clone()], None), "green");
        assert_eq!(run([no.clone(), no.clone(), no.clone()], None), "otherwise");
        assert_eq!(run([no.clone(), no.clone(), no.clone()], Some("rest")), "rest");
        assert_eq!(
            run([no, json!("true"), yes], None),
            "`cases[1].when` must come to true or false, it came to text"
        );
    }

    #[test]
    fn its_channels_are_those_that_its_author_names() {
        let configuration = json!({ "cases": [{ "channel": "a" }, { "channel": "b" }, { "channel": "a" }], "otherwise": "b" });
        assert_eq!(Switch.channels_of(&configuration), ["a", "b"]);
        assert_eq!(Switch.channels_of(&json!({ "cases": [{ "channel": "a" }] })), ["a", "otherwise"]);
    }

    #[test]
    fn what_could_not_be_routed_is_refused_i10() {
        let said = |configuration: Value| {
            let problems = Switch.check(&configuration).into_iter();
            problems
                .map(|problem| format!("{}: {}", problem.pointer, problem.message))
                .collect::<Vec<_>>()
                .join("; ")
        };
        let case = |channel: &str| json!({ "when": "root().data.x == 1", "channel": channel });
        let with = |channel: &str| said(json!({ "cases": [case(channel)] }));
        assert_eq!(with("red"), "");
        for channel in ["", "a b", "{{ x }}", "a.b", "ä"] {
            assert!(with(channel).contains("/cases/0/channel: must be a literal name"), "{channel}");
        }
        assert!(with("error").contains("must not be `error`"));
        assert_eq!(with(&"x".repeat(CHANNEL_CHARS_MAX)), "");
        assert!(!with(&"x".repeat(CHANNEL_CHARS_MAX + 1)).is_empty());
        let many = |count: usize| said(json!({ "cases": vec![case("a"); count] }));
        assert_eq!((many(CASES_MAX).as_str(), many(CASES_MAX + 1).is_empty()), ("", false));
        assert!(many(0).contains("must have 1 to 50 cases"));
        assert!(said(json!({})).contains("`cases` is missing"));
        // Data would choose the channel.
        let literal = "must be written out: only `when` is a template";
        assert_eq!(said(json!({ "cases": "{{ root().data.cases }}" })), format!("/cases: {literal}"));
        assert_eq!(
            said(json!({ "cases": [case("a"), "{{ root().data.case }}"] })),
            format!("/cases/1: {literal}")
        );
        assert!(
            said(json!({ "cases": [{ "when": 5, "channel": "a" }] }))
                .contains("must be an expression, not a number")
        );
        assert!(said(json!({ "cases": [{ "channel": "a" }] })).contains("`when` is missing"));
        assert!(
            said(json!({ "cases": [case("a")], "otherwise": "{{ x }}" }))
                .contains("/otherwise: must be a literal")
        );
    }
}
