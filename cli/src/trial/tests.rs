use super::*;
use jiff::Timestamp;

pub(crate) fn recorded() -> Recorded {
    let content = json!({
        "$": { "Push": { "type": "webhook", "data": { "headers": { "X-Github-Event": ["push"] }, "n": 1.0 } }, "Not yet": null },
        "root": { "data": { "n": 7 } },
        "now": "2026-03-07T15:04:05Z",
    });
    Recorded::read(content, Timestamp::UNIX_EPOCH).unwrap()
}

fn value(source: &str, kind: FieldKind) -> Result<Value, Mistake> {
    store(&Source::Text(source.to_owned(), kind), &recorded()).map(|stored| stored.display)
}

#[test]
fn an_expression_sees_the_recorded_event() {
    let check = |source: &str, expected: Value| {
        assert_eq!(value(source, FieldKind::Expression).unwrap(), expected, "{source}");
    };
    check(r#"$["Push"].data.headers["X-Github-Event"][0]"#, json!("push"));
    check(r#"$["Push"].data.n"#, json!(1.0));
    check(r#"$["Not yet"]"#, json!(null));
    check(r#""Not yet" in $"#, json!(false));
    check(r#"$["Nobody"]"#, json!(null));
    check("now().Year()", json!(2026));
    check("keys($)", json!(["Push"]));
}

#[test]
fn a_misspelt_name_is_shown_with_a_caret_and_the_right_one() {
    let check = |source: &str, expected: &str| {
        let mistake = value(source, FieldKind::Expression).unwrap_err();
        assert_eq!((mistake.phase, mistake.render().as_str()), (Phase::Apply, expected), "{source}");
    };
    check(
        "1 + previuos().n",
        "unknown function `previuos()`; did you mean `previous()`?\n | 1 + previuos().n\n |     ^^^^^^^^^^",
    );
    check("root.data", "`root` is a function: write `root()`\n | root.data\n | ^^^^");
    check("nobody", "unknown name `nobody`\n | nobody\n | ^^^^^^");
    check(
        "false && toJson(1)",
        "unknown function `toJson()`; did you mean `toJSON()`?\n | false && toJson(1)\n |          ^^^^^^^^^",
    );
}

#[test]
fn a_mistake_in_an_object_names_its_place() {
    let object = json!({ "a": ["fine", { "b": "x {{ [1][5] }}" }] });
    let mistake = store(&Source::Object(object), &recorded()).err().unwrap();
    assert_eq!((mistake.phase, mistake.kind), (Phase::Build, ErrorKind::Range));
    assert!(mistake.message.starts_with("/a/1/b: "), "{}", mistake.message);
    assert!(mistake.render().contains(" | x {{ [1][5] }}\n |      ^^^^^^"), "{}", mistake.render());
}

#[test]
fn what_apply_says_comes_first() {
    let object = json!(["{{ [1][5] }}", "{{ 1 + }}"]);
    assert_eq!(store(&Source::Object(object), &recorded()).err().unwrap().phase, Phase::Apply);
}

#[test]
fn data_is_no_template_i2() {
    let content = json!({ "root": { "data": "{{ secrets('a').k }}" } });
    let recorded = Recorded::read(content, Timestamp::UNIX_EPOCH).unwrap();
    let source = Source::Object(json!({ "x": "{{ root().data }}" }));
    let stored = store(&source, &recorded).ok().unwrap();
    assert_eq!(stored.display, json!({ "x": "{{ secrets('a').k }}" }));
    assert_eq!((stored.residuals(), stored.refs), (json!([]), vec![]));
}

#[test]
fn an_object_as_a_whole_may_be_one_template() {
    let stored = store(&Source::Object(json!("{{ root().data }}")), &recorded()).ok().unwrap();
    assert_eq!(stored.display, json!({ "n": 7 }));
}
