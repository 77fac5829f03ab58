use domain::limits::{DEFINITION_DEPTH_MAX, DEFINITION_MAPS_MAX};
use serde_json::json;

use super::*;

fn value(text: &str) -> Value {
    let (tree, problems) = read(text);
    assert_eq!(problems, []);
    tree.unwrap().to_value()
}

/// The problems as `line:column field: message`.
fn problems(text: &str) -> Vec<String> {
    read(text).1.into_iter().map(|p| format!("{}:{} {}: {}", p.line, p.column, p.field, p.message)).collect()
}

#[test]
fn yaml_and_json_give_the_same_tree() {
    let expected =
        json!({ "a": [1, -2.5, null, true, "x"], "b": { "c": "1", "d": "multi\nline\n", "e": "😀" } });
    let yaml = "a: [1, -2.5, ~, true, x]\nb:\n  c: '1'\n  d: |\n    multi\n    line\n  e: \"😀\"\n";
    let json =
        r#"{"a": [1, -2.5, null, true, "x"], "b": {"c": "1", "d": "multi\nline\n", "e": "\ud83d\ude00"}}"#;
    assert_eq!(value(yaml), expected);
    assert_eq!(value(json), expected);
    assert_eq!(value(&format!("\u{feff}{json}")), expected);
    assert_eq!(value(&format!("---\n{yaml}...\n")), expected);
}

#[test]
fn everything_knows_its_line_and_column() {
    let check = |text: &str, pointer: &str, line: usize, column: usize| {
        let position = read(text).0.unwrap().locate(pointer);
        assert_eq!((position.line, position.column), (line, column), "{pointer} in {text}");
    };
    let yaml = "name: n\nnodes:\n  - id: a\n    name: \"A\"\n    configuration:\n      url: 'x'\n  - { id: ü, name: b }\n";
    check(yaml, "/name", 1, 7);
    check(yaml, "/nodes", 2, 1);
    check(yaml, "/nodes/0/id", 3, 9);
    check(yaml, "/nodes/0/name", 4, 11);
    check(yaml, "/nodes/0/configuration", 5, 5);
    check(yaml, "/nodes/0/configuration/url", 6, 12);
    check(yaml, "/nodes/0/configuration/missing", 5, 5);
    check(yaml, "/nodes/1/name", 7, 20);
    let json = "{\"name\": \"ü\", \"nodes\":\n  [{\"id\": 5}]}";
    check(json, "/name", 1, 10);
    check(json, "/nodes", 1, 15);
    check(json, "/nodes/0/id", 2, 11);
}

#[test]
fn what_yaml_has_and_definitions_do_not_is_refused_all_at_once() {
    let text = "a: &x 1\nb: *x\nc: !!str 1\nd: !mine {}\na: 2\n5: x\n? [k]\n: v\ne: .inf\nf: \"\\0\"\n";
    assert_eq!(
        problems(text),
        [
            "1:4 a: anchors (`&`) are not allowed",
            "2:4 b: aliases (`*`) are not allowed: write the value out",
            "3:4 c: tags (`!`) are not allowed",
            "4:4 d: tags (`!`) are not allowed",
            "5:1 : `a` is given twice, first on line 1",
            "6:1 : a key must be text: quote it",
            "7:3 [\"\"]: a key must be text; a value that is a template must be quoted: \"{{ … }}\"",
            "9:4 e: JSON has no infinity and no NaN",
            "10:4 f: the text holds the character U+0000",
        ]
    );
}

#[test]
fn duplicate_keys_of_json_are_refused_too() {
    assert_eq!(problems(r#"{"a": [{"b": 1, "b": 2}]}"#), ["1:17 a[0]: `b` is given twice, first on line 1"]);
    assert_eq!(problems(r#"{"a": "\ud800"}"#), ["1:7 a: the text holds half of a surrogate pair"]);
    assert_eq!(problems(r#"{"a": "\u0000"}"#), ["1:7 a: the text holds the character U+0000"]);
}

#[test]
fn a_file_holds_one_document() {
    assert_eq!(problems("a: 1\n---\nb: 2\n"), ["2:1 : the file holds more than one document"]);
    assert_eq!(problems(""), ["0:0 : the definition is empty"]);
    assert_eq!(problems("# nothing\n"), ["0:0 : the definition is empty"]);
}

#[test]
fn what_is_no_yaml_says_where() {
    let found = problems("a: [1, 2\nb: }\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("2:") && found[0].contains("not valid YAML"), "{found:?}");
}

#[test]
fn depth_has_a_limit_on_both_sides_i10() {
    let nested =
        |depth: usize, open: &str, close: &str| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{a: ", "}")] {
        assert_eq!(problems(&nested(DEFINITION_DEPTH_MAX, open, close)).len(), 0, "{open}");
        for depth in [DEFINITION_DEPTH_MAX + 1, 127, 129, 20_000] {
            let found = problems(&nested(depth, open, close));
            assert_eq!(found.len(), 1, "{open} {depth}");
        }
    }
    let blocks: String =
        (0..=DEFINITION_DEPTH_MAX).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert_eq!(problems(&blocks).len(), 1);
}

#[test]
fn maps_have_a_limit_on_both_sides_i10() {
    let maps = |count: usize| format!("[{}]", vec!["{}"; count].join(", "));
    assert_eq!(problems(&maps(DEFINITION_MAPS_MAX)).len(), 0);
    for text in [maps(DEFINITION_MAPS_MAX + 1), format!("- {}", maps(DEFINITION_MAPS_MAX + 1))] {
        let found = problems(&text);
        assert!(found.len() == 1 && found[0].ends_with("at most 25000 maps"), "{found:?}");
    }
}

#[test]
fn size_has_a_limit_on_both_sides_i10() {
    let sized = |bytes: usize| format!("a: {}", "x".repeat(bytes - 3));
    assert_eq!(problems(&sized(DEFINITION_BYTES_MAX)).len(), 0);
    assert_eq!(
        problems(&sized(DEFINITION_BYTES_MAX + 1)),
        ["0:0 : the definition is larger than 1048576 bytes"]
    );
}
