//! The vectors in `tests/vectors/`: expressions and templates with their results, by group.
//!
//! One JSON object a line. `expr` is a bare expression, `template` with `field` a field; `out` is
//! the result, `err` the kind of the error. A template that needs secrets has `display` and `refs`
//! too.

mod support;

use std::{collections::BTreeSet, path::PathBuf};

use expression::{Error, ErrorKind, FieldKind, Span, Template};
use jiff::Timestamp;
use secret_text::{Context, SecretField};
use serde_json::Value as Json;
use support::{Safe, World};

struct Outcome {
    value: Json,
    display: Option<Json>,
    refs: Vec<(String, String)>,
}

fn run(source: &str, kind: FieldKind) -> Result<Outcome, Error> {
    let resolution = Template::parse(source, kind)?.resolve(&World::sample())?;
    let (mut value, safe) = (resolution.display.clone(), Safe::sample());
    let mut refs = Vec::new();
    for placed in &resolution.placed {
        let path = placed.pointer.clone();
        refs.extend(secret_text::references(&[SecretField { path, parts: placed.parts.clone() }]));
        let rendered = secret_text::render(&placed.parts, Context::Free, Timestamp::UNIX_EPOCH, &safe);
        let rendered = rendered
            .map_err(|refused| Error::new(ErrorKind::Secret, refused.to_string(), Span::default()))?;
        *value.pointer_mut(&placed.pointer).expect("it stands there") =
            Json::String(rendered.text.to_string());
    }
    refs.sort();
    refs.dedup();
    let display = (!resolution.placed.is_empty()).then_some(resolution.display);
    Ok(Outcome { value, display, refs })
}

fn kind_of(row: &Json) -> FieldKind {
    match row["field"].as_str() {
        None => FieldKind::Expression,
        Some("typed") => FieldKind::Typed,
        Some("text") => FieldKind::Text,
        Some("url") => FieldKind::Url,
        Some(other) => panic!("no field is {other}"),
    }
}

/// The fault of a row, if it has one.
fn complaint(row: &Json) -> Option<String> {
    let source = row["expr"].as_str().or(row["template"].as_str()).expect("a source");
    match run(source, kind_of(row)) {
        Ok(outcome) => {
            // As text, so that 1 and 1.0 differ.
            if row.get("out").map(Json::to_string) != Some(outcome.value.to_string()) {
                return Some(format!("{source}\n    gives {}, not {row}", outcome.value));
            }
            let display = row.get("display").cloned();
            let refs = serde_json::to_value(&outcome.refs).expect("texts");
            let expected = row.get("refs").cloned().unwrap_or_else(|| Json::Array(Vec::new()));
            (outcome.display != display || refs != expected)
                .then(|| format!("{source}\n    shows {:?} with {refs}", outcome.display))
        }
        Err(error) if row["err"] == error.kind.word() => {
            let inside = error.span.start <= error.span.end && error.span.end <= source.len();
            (!inside).then(|| format!("{source}\n    has its error outside, at {:?}", error.span))
        }
        Err(error) => Some(format!("{source}\n    fails: {}: {error}", error.kind.word())),
    }
}

fn check(group: &str) -> BTreeSet<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/{group}.jsonl"));
    let text = std::fs::read_to_string(path).expect("the vectors are there");
    let rows: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let complaints: Vec<String> = rows.iter().filter_map(complaint).collect();
    assert!(
        complaints.is_empty(),
        "{group}: {} of {}\n{}",
        complaints.len(),
        rows.len(),
        complaints.join("\n")
    );
    rows.iter().map(Json::to_string).collect()
}

macro_rules! groups {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check(stringify!($name)); })*

        #[test]
        fn there_are_more_than_three_hundred_and_none_is_twice() {
            let all: BTreeSet<String> = [$(stringify!($name)),*].into_iter().flat_map(check).collect();
            assert!(all.len() >= 300, "{}", all.len());
        }
    };
}

groups! { operators access strings numbers arrays types dates templates secrets }
