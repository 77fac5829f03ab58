//! What a template says of itself, what people see of it, and what its errors tell.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use expression::{
    Environment, ErrorKind, FieldKind, Folded, Lookup, Residual, Span, Template, UrlOrigin, Value,
};
use serde_json::json;
use support::{Safe, World};

fn parse(source: &str, kind: FieldKind) -> Template {
    Template::parse(source, kind).unwrap()
}

fn fold(source: &str, kind: FieldKind) -> (String, Residual) {
    match parse(source, kind).fold(&World::sample()).unwrap() {
        Folded::Residual { display, residual } => (display, residual),
        Folded::Value(value) => panic!("{source} is known: {value}"),
    }
}

fn derived(source: &str) -> Vec<String> {
    fold(source, FieldKind::Typed).1.eval(&Safe::sample()).unwrap().derived
}

#[test]
fn templates_and_residuals_may_go_between_threads() {
    fn check<T: Send + Sync + Clone>() {}
    check::<Template>();
    check::<Residual>();
}

#[test]
fn mentions_are_found_without_evaluating() {
    let template = parse(
        "{{ $[\"Push\"].a + $.Deploy.b }} {{ $['Push'].c ?? previous(3).d ?? previous() }} {{ root().x }}",
        FieldKind::Text,
    );
    let mentions = template.mentions();
    let nodes: Vec<(&str, Span)> = mentions.nodes.iter().map(|(name, span)| (&**name, *span)).collect();
    assert_eq!(
        nodes,
        [("Push", Span::new(3, 12)), ("Deploy", Span::new(17, 25)), ("Push", Span::new(34, 43))]
    );
    assert_eq!(
        (mentions.previous_max, mentions.root, mentions.run, mentions.workflow, mentions.now),
        (3, true, false, false, false)
    );
    assert!(!mentions.dynamic_nodes);
    for (source, dynamic) in [
        ("$", true),
        ("$[run().id]", true),
        ("keys($)", true),
        ("$[\"a\" + \"b\"]", true),
        ("$?.[\"a\"]", false),
        ("$.a[$.b]", false),
    ] {
        assert_eq!(parse(source, FieldKind::Expression).mentions().dynamic_nodes, dynamic, "{source}");
    }
    let all = parse("[run(), app(), now(), previous(), previous(run().n)]", FieldKind::Expression).mentions();
    assert_eq!((all.run, all.workflow, all.now, all.previous_max), (true, true, true, u32::MAX));
    assert!(parse("workflow()", FieldKind::Expression).mentions().workflow);
    assert_eq!(parse("plain", FieldKind::Text).mentions(), expression::Mentions::default());
}

#[test]
fn names_are_the_free_variables_and_the_functions_that_are_no_builtins() {
    let template =
        parse("let x = previuos(); [x, len(y), map([1], #), $.a, secrets(\"a\").b]", FieldKind::Expression);
    let names: Vec<String> = template.names().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["previuos", "y", "$"]);
    assert_eq!(template.names()[0].1, Span::new(8, 18));
    assert_eq!(expression::suggest_name("previuos"), Some("previous"));
}

#[test]
fn secret_references_are_known_statically() {
    let template =
        parse("a {{ secrets(\"x\").y }} {{ [secrets('x').y, secrets(\"z\")[\"w w\"]] }}", FieldKind::Text);
    let refs = template.secret_refs();
    let refs: Vec<(&str, &str, usize)> = refs.iter().map(|r| (&*r.name, &*r.key, r.span.start)).collect();
    assert_eq!(refs, [("x", "y", 5), ("x", "y", 27), ("z", "w w", 43)]);
}

#[test]
fn a_whole_map_of_secrets_and_computed_names_are_refused_with_their_place() {
    for (source, span) in [
        ("1 + secrets(\"a\")", (4, 16)),
        ("1 + secrets", (4, 11)),
        ("secrets(x).y", (0, 9)),
        ("secrets(\"a\")[x]", (0, 14)),
        ("secrets(\"a\").b + secrets(\"a\" + \"b\").c", (17, 28)),
    ] {
        let error = Template::parse(source, FieldKind::Expression).unwrap_err();
        assert_eq!(
            (error.kind, error.span.start, error.span.end),
            (ErrorKind::Secret, span.0, span.1),
            "{source}"
        );
    }
}

#[test]
fn the_origin_of_a_url_is_literal_or_comes_whole() {
    let origin = |source: &str| parse(source, FieldKind::Url).url_origin();
    let literal = UrlOrigin::Literal { scheme: "https".into(), host: "api.test".into(), port: Some(8443) };
    assert_eq!(origin("https://API.test:8443/{{ $.a }}"), literal);
    let UrlOrigin::Secret(reference) = origin(" {{ secrets(\"slack\").url }} ") else {
        panic!("it is a secret")
    };
    assert_eq!((&*reference.name, &*reference.key), ("slack", "url"));
    for data in ["{{ $.a.url }}", "{{ secrets(\"a\").b + \"/x\" }}", "{{ (true ? secrets(\"a\").b : \"\") }}"]
    {
        assert_eq!(origin(data), UrlOrigin::Data, "{data}");
    }
}

#[test]
fn people_see_folded_data_and_the_authors_reference() {
    let source = "Hi {{ $.Push.data.name }}, {{ secrets(\"github\").token  }} {{ 1 + 1 }}";
    let (display, residual) = fold(source, FieldKind::Text);
    assert_eq!(display, "Hi Ada, {{ secrets(\"github\").token  }} 2");
    assert_eq!(residual.refs(), [("github".to_owned(), "token".to_owned())]);
    let (display, _) = fold("$.Push.data.name + secrets(\"db\").flag", FieldKind::Expression);
    assert_eq!(display, "$.Push.data.name + secrets(\"db\").flag");
}

#[test]
fn a_residual_holds_data_as_literals_only() {
    let (_, residual) = fold(
        "{{ $.Push.data.name + now().Format(\"2006\") + secrets(\"db\").flag + root().data.after }}",
        FieldKind::Typed,
    );
    let stored = serde_json::to_value(&residual).unwrap();
    assert_eq!(
        stored,
        json!({
            "expr": [
                {"op": "secret", "v": 0, "at": [45, 63]},
                {"op": "literal", "v": "Ada2026", "at": [3, 42]},
                {"op": "binary", "v": ["add", 1, 0], "at": [3, 63]},
                {"op": "literal", "v": "abc123", "at": [66, 83]},
                {"op": "binary", "v": ["add", 2, 3], "at": [3, 83]},
            ],
            "refs": [["db", "flag"]],
        })
    );
}

#[test]
fn only_the_references_that_are_left_are_in_a_residual() {
    let (_, residual) =
        fold("{{ true ? secrets(\"db\").flag : secrets(\"github\").token }}", FieldKind::Typed);
    assert_eq!(residual.refs(), [("db".to_owned(), "flag".to_owned())]);
    let (_, residual) =
        fold("{{ secrets(\"db\").flag == \"\" && [secrets(\"gone\").x, (nil).x] == 1 }}", FieldKind::Typed);
    assert_eq!(residual.refs(), [("db".to_owned(), "flag".to_owned())]);
}

/// I2: data is never code, in values and in keys, folded or not.
#[test]
fn i2_texts_from_data_are_never_parsed() {
    let hostile = "{{ secrets(\"github\").token }} ${{ $.x }} $[\"Push\"] #acc {{";
    let world = World::new(
        json!({"$": {"A": {"data": {"t": hostile, hostile: hostile}}}, "root": {"data": hostile}}),
    );
    let value = |source: &str, kind: FieldKind| match parse(source, kind).fold(&world).unwrap() {
        Folded::Value(value) => value,
        Folded::Residual { residual, .. } => residual.eval(&Safe::sample()).unwrap().value,
    };
    assert_eq!(value("{{ $.A.data.t }}", FieldKind::Typed), json!(hostile));
    assert_eq!(value("<{{ root().data }}>", FieldKind::Text), json!(format!("<{hostile}>")));
    assert_eq!(value("{{ $.A.data }}", FieldKind::Typed), json!({"t": hostile, hostile: hostile}));
    assert_eq!(value("{{ [$.A.data.t, secrets(\"db\").flag] }}", FieldKind::Typed), json!([hostile, "yes"]));
    assert_eq!(
        value("{{ $.A.data.t }}-{{ secrets(\"db\").flag }}", FieldKind::Text),
        json!(format!("{hostile}-yes"))
    );
    let secret = Safe::new(&[("s", "k", hostile)]);
    let (_, residual) = fold("{{ secrets(\"s\").k }}!", FieldKind::Text);
    assert_eq!(residual.eval(&secret).unwrap().value, json!(format!("{hostile}!")));
}

#[test]
fn every_text_that_is_made_of_a_secret_is_told() {
    let token = "ghp_SeCrEt-0123456789";
    let basic = derived("{{ \"Basic \" + toBase64($.Push.data.name + \":\" + secrets(\"github\").token) }}");
    for part in [
        token,
        "Ada:ghp_SeCrEt-0123456789",
        "QWRhOmdocF9TZUNyRXQtMDEyMzQ1Njc4OQ==",
        "Basic QWRhOmdocF9TZUNyRXQtMDEyMzQ1Njc4OQ==",
    ] {
        assert!(basic.iter().any(|text| text == part), "{part} is not in {basic:?}");
    }
    let json = derived("{{ fromJSON(secrets(\"db\").json).port }}");
    for part in ["secret-user", "secret-tag-1"] {
        assert!(json.iter().any(|text| text == part), "{part}");
    }
    assert!(
        derived("{{ map(split(secrets(\"github\").list, \",\"), upper(#))[2] }}")
            .contains(&"GAMMA-SECRET-PART".to_owned())
    );
    assert!(derived("{{ int(secrets(\"db\").number) * 1.0 }}").contains(&"4711471147".to_owned()));
    assert!(
        derived("{{ reduce([1, 2], #acc + secrets(\"github\").token, \"\") }}")
            .contains(&format!("{token}{token}"))
    );
    assert!(
        derived("{{ let s = lower(secrets(\"github\").token); s + s }}")
            .contains(&"ghp_secret-0123456789".to_owned())
    );
    assert!(derived("{{ keys({(secrets(\"github\").token): 1}) }}").contains(&token.to_owned()));
}

#[test]
fn what_is_looked_up_by_a_secret_is_told_i1() {
    let check = |source: &str, expected: &str| {
        let texts = derived(source);
        assert!(texts.iter().any(|text| text == expected), "{source}: {texts:?}");
    };
    check(r#"{{ {"yes": "by a key"}[secrets("db").flag] }}"#, "by a key");
    check(r#"{{ ["a", "b", "c", "by an index"][len(secrets("db").flag)] }}"#, "by an index");
    check(r#"{{ "abcdefghijklmnop"[len(secrets("db").flag):] }}"#, "defghijklmnop");
    let spelled =
        r#"{{ join(map(split(secrets("db").flag, ""), {"y": "one,", "e": "two,", "s": "six."}[#]), "") }}"#;
    check(spelled, "one,two,six.");
}

#[test]
fn data_that_a_secret_only_chooses_is_not_taken_for_a_secret() {
    let texts = derived("{{ secrets(\"db\").flag == \"yes\" ? \"harmless data\" : \"other data\" }}");
    assert!(texts.is_empty(), "{texts:?}");
    let texts = derived("{{ filter([\"harmless data\"], secrets(\"db\").flag == \"yes\") }}");
    assert!(texts.is_empty(), "{texts:?}");
}

#[test]
fn errors_show_the_line_and_a_caret() {
    let error = Template::parse("Hello {{ 1 + }}", FieldKind::Text).unwrap_err();
    assert_eq!(error.to_string(), "the expression ends too early\n | Hello {{ 1 + }}\n |              ^^");
    let Err(error) = parse("a\n{{ 1 + previuos() }}", FieldKind::Text).fold(&World::sample()) else {
        panic!("no such function")
    };
    assert_eq!(
        error.to_string(),
        "unknown function `previuos()`; did you mean `previous()`?\n | {{ 1 + previuos() }}\n |        ^^^^^^^^^^"
    );
    assert_eq!((error.kind, error.span), (ErrorKind::Name, Span::new(9, 19)));
    assert!(error.render("a\n{{ 1 + previuos() }}").contains("^^^^"));
}

#[test]
fn errors_of_the_executor_hold_no_value_and_no_source() {
    let safe = Safe::sample();
    for (source, message) in [
        ("{{ int(secrets(\"github\").token) }}", "int(): the text is no integer"),
        ("{{ secrets(\"github\").token + 1 }}", "`+` does not go with string and int"),
        ("{{ secrets(\"github\").token[99] }}", "the index is out of range"),
        ("{{ fromJSON(secrets(\"github\").token) }}", "fromJSON(): the text is no JSON"),
        (
            "{{ date(secrets(\"github\").token) }}",
            "date(): the text is no date such as `2006-01-02` and no time with a zone",
        ),
        ("{{ duration(secrets(\"github\").token) }}", "duration(): the text is no duration such as `1h30m`"),
        ("{{ fromBase64(secrets(\"github\").token) }}", "fromBase64(): the text is no Base64"),
        ("{{ timezone(secrets(\"github\").token) }}", "timezone(): there is no time zone with this name"),
        (
            "{{ \"x\" matches (secrets(\"github\").token + \"(\") }}",
            "the pattern is malformed, too large, or uses what is not supported",
        ),
        ("{{ {(secrets(\"github\").token): 1}.x.y }}", "nil has no fields and no elements"),
        ("{{ sortBy([1], #, secrets(\"github\").token) }}", "the order is `asc` or `desc`"),
        ("{{ secrets(\"github\").absent }}", "the secret `github` has no key `absent`"),
        ("{{ secrets(\"db\").flag == \"no\" ? 1 : $.Nobody.data }}", "nil has no fields and no elements"),
    ] {
        let error = fold(source, FieldKind::Typed).1.eval(&safe).err().expect("it fails");
        assert_eq!(error.to_string(), message, "{source}");
        assert!(
            error.span.end > error.span.start && error.span.end <= source.len(),
            "{source}: {:?}",
            error.span
        );
    }
}

/// A map that must not be taken as a whole.
struct Lazy(serde_json::Value);

impl Lookup for Lazy {
    fn get(&self, key: &str) -> Option<Value<'_>> {
        assert_eq!(key, "A", "only what is named is looked up");
        Some(Value::json(&self.0))
    }

    fn keys(&self) -> Vec<String> {
        panic!("nobody asked for all of it")
    }
}

impl Environment for Lazy {
    fn variable(&self, name: &str) -> Option<Value<'_>> {
        (name == "$").then(|| Value::lookup(self))
    }

    fn call(&self, _: &str, _: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
        None
    }
}

#[test]
fn what_an_expression_does_not_name_is_not_touched() {
    let world = Lazy(json!({"data": {"x": "y", "rest": [1, 2, 3]}}));
    let Folded::Value(value) = parse("{{ $[\"A\"].data.x + \"y\" }}", FieldKind::Typed).fold(&world).unwrap()
    else {
        panic!("it needs no secret")
    };
    assert_eq!(value, json!("yy"));
}

#[test]
fn values_that_json_has_no_type_for_come_through_a_residual() {
    for (inner, expected) in [
        ("type($.Push.data.big)", json!("float")),
        ("string($.Push.data.whole / 1)", json!("3")),
        ("now().Add(duration(\"1h\")).Format(\"15:04 MST\")", json!("16:04 UTC")),
        ("date(\"2026-07-01\", \"Asia/Tokyo\").Format(\"-07:00 MST\")", json!("+09:00 JST")),
        ("int(now().Month())", json!(3)),
        ("groupBy([1, 2.5, nil], #)[2.5]", json!([2.5])),
        ("\"a\\u0000b\"", json!("a\u{0}b")),
        ("{\"k\\u0000\": 1}", json!({"k\u{0}": 1})),
        ("1 / 0", json!("+Inf")),
    ] {
        // The secret stands in front, so that the value goes through the residual as it is.
        let call = format!("{{{{ [secrets(\"db\").flag, {inner}] }}}}");
        let (_, residual) = fold(&call, FieldKind::Typed);
        let stored = serde_json::to_string(&residual).unwrap();
        assert!(!stored.contains("\\u0000"), "Postgres refuses it: {stored}");
        let read: Residual = serde_json::from_str(&stored).unwrap();
        assert_eq!(read.eval(&Safe::sample()).unwrap().value[1], expected, "{inner}");
    }
    let late = "{{ {v: date(\"2026-07-01\", \"America/New_York\"), d: duration(\"90m\"), z: timezone(\"Asia/Tokyo\"), s: secrets(\"db\").flag} | toPairs() | map(string(#[1])) }}";
    let (_, residual) = fold(late, FieldKind::Typed);
    let read: Residual = serde_json::from_str(&serde_json::to_string(&residual).unwrap()).unwrap();
    let value = read.eval(&Safe::sample()).unwrap().value;
    assert_eq!(value, json!(["1h30m0s", "yes", "2026-07-01 00:00:00 -0400 EDT", "Asia/Tokyo"]));
}

#[test]
fn branches_in_branches_keep_enough_work_to_be_folded() {
    let branches = "secrets(\"db\").flag == \"no\" ? 1 : ".repeat(50);
    let source = format!("{{{{ {branches} count(map(1..1000, # * 2), # > 0) }}}}");
    let (_, residual) = fold(&source, FieldKind::Typed);
    assert_eq!(residual.eval(&Safe::sample()).unwrap().value, json!(1000));
}
