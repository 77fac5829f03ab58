//! The examples in `docs/expressions.md`, by the language of their block.

mod support;

use expression::{ErrorKind, FieldKind, Template};
use serde_json::Value as Json;
use support::{Safe, World};

const DOCUMENT: &str = include_str!("../../../docs/expressions.md");

/// The blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("\n```{language}\n");
    let parts = DOCUMENT.split(begin.as_str()).skip(1);
    parts.filter_map(|part| part.split_once("\n```").map(|(block, _)| block)).collect()
}

/// The recorded event that the page shows.
fn world() -> World {
    let blocks = blocks("json");
    World::new(
        serde_json::from_str(blocks.first().expect("the page shows its environment")).expect("it is JSON"),
    )
}

fn evaluate(source: &str, kind: FieldKind) -> Result<Json, expression::Error> {
    let secrets = Safe::new(&[("registry", "password", "hunter2hunter2")]);
    Template::parse(source, kind)?.evaluate(&world(), &secrets)
}

/// Checks lines of a source, the separator, and the result as JSON.
fn check(language: &str, separator: &str, kind: FieldKind) {
    let lines: Vec<&str> = blocks(language).into_iter().flat_map(str::lines).collect();
    assert!(!lines.is_empty(), "there are examples");
    for line in lines {
        let (source, expected) = line.rsplit_once(separator).unwrap_or_else(|| panic!("{line} has a result"));
        let expected: Json = serde_json::from_str(expected.trim()).unwrap_or_else(|_| panic!("{line}: JSON"));
        match evaluate(source.trim(), kind) {
            Ok(value) => assert_eq!(value.to_string(), expected.to_string(), "{line}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn expressions_give_what_the_page_says() {
    check("expr", "// ", FieldKind::Expression);
}

#[test]
fn templates_give_what_the_page_says() {
    check("template", "→", FieldKind::Typed);
}

#[test]
fn urls_give_what_the_page_says() {
    check("url", "→", FieldKind::Url);
}

#[test]
fn errors_are_shown_as_on_the_page() {
    for block in blocks("error") {
        let (source, shown) = block.split_once('\n').expect("a source and its error");
        let error = match Template::parse(source, FieldKind::Expression) {
            Ok(template) => match template.unknown_names().into_iter().next() {
                Some(error) => error,
                None => evaluate(source, FieldKind::Expression).expect_err("it is wrong"),
            },
            Err(error) => error,
        };
        assert!(matches!(error.kind, ErrorKind::Name | ErrorKind::Type | ErrorKind::Secret));
        assert_eq!(error.render(source), shown);
    }
}
