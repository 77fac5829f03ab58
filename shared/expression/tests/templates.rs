//! The answers of a template about itself, its display for people, and the texts of its errors.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use expression::{
    Environment, ErrorKind, FieldKind, Lookup, Resolution, SecretRole, Span, Template, UrlOrigin, Value,
};
use jiff::Timestamp;
use secret_text::{Context, Encoding};
use serde_json::json;
use support::{Safe, World};

fn parse(source: &str, kind: FieldKind) -> Template {
    Template::parse(source, kind).unwrap()
}

fn resolve(source: &str, kind: FieldKind) -> Resolution {
    parse(source, kind).resolve(&World::sample()).unwrap_or_else(|error| panic!("{error}"))
}

/// Why a source is refused, and whether that shows without evaluating it.
fn refusal(source: &str) -> (String, bool) {
    match Template::parse(source, FieldKind::Typed) {
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Secret, "{source}: {error}");
            (error.message, true)
        }
        Ok(template) => {
            let Err(error) = template.resolve(&World::sample()) else { panic!("{source} is taken") };
            assert_eq!(error.kind, ErrorKind::Secret, "{source}: {error}");
            (error.message, false)
        }
    }
}

fn render(resolution: &Resolution, safe: &Safe) -> String {
    let parts = &resolution.placed[0].parts;
    secret_text::render(parts, Context::Free, Timestamp::UNIX_EPOCH, safe).ok().unwrap().text.to_string()
}

#[test]
fn templates_may_go_between_threads() {
    fn check<T: Send + Sync + Clone>() {}
    check::<Template>();
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
        parse("a {{ secrets(\"x\").y }} {{ secrets('x').y + secrets(\"z\")[\"w w\"] }}", FieldKind::Text);
    let refs = template.secret_refs();
    let refs: Vec<(&str, &str, usize)> = refs.iter().map(|r| (&*r.name, &*r.key, r.span.start)).collect();
    assert_eq!(refs, [("x", "y", 5), ("x", "y", 26), ("z", "w w", 43)]);
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
fn people_see_what_is_known_and_the_authors_reference() {
    let source = "Hi {{ $.Push.data.name }}, {{ secrets('github').token  }} {{ 1 + 1 }}";
    let resolution = resolve(source, FieldKind::Text);
    assert_eq!(resolution.display, "Hi Ada, {{ secrets(\"github\").token }} 2");
    let resolution =
        resolve("$.Push.data.name + toBase64(\"u:\" + secrets(\"db\").flag)", FieldKind::Expression);
    assert_eq!(resolution.display, "Ada{{ toBase64(\"u:\" + secrets(\"db\").flag) }}");
}

#[test]
fn data_is_known_text_in_the_parts() {
    let source = "{{ $.Push.data.name + now().Format(\"2006\") + secrets(\"db\").flag + root().data.after }}";
    let resolution = resolve(source, FieldKind::Typed);
    let stored = serde_json::to_value(&resolution.placed[0].parts).unwrap();
    assert_eq!(stored, json!(["Ada2026", { "secret": ["db", "flag"] }, "abc123"]));
}

#[test]
fn data_chooses_among_the_references_that_the_author_wrote_i2() {
    let chosen = |source: &str| {
        let resolution = resolve(source, FieldKind::Typed);
        serde_json::to_value(&resolution.placed[0].parts).unwrap()
    };
    let (flag, token) = (json!([{ "secret": ["db", "flag"] }]), json!([{ "secret": ["github", "token"] }]));
    assert_eq!(chosen("{{ $.Push.data.ok ? secrets(\"db\").flag : secrets(\"github\").token }}"), flag);
    let named = "{{ {Ada: secrets(\"github\").token, Bob: secrets(\"db\").flag}[$.Push.data.name] }}";
    assert_eq!(chosen(named), token);
    let found = "{{ find([{n: \"Bob\", s: secrets(\"db\").flag}, {n: \"Ada\", s: secrets(\"github\").token}], .n == $.Push.data.name).s }}";
    assert_eq!(chosen(found), token);
    assert_eq!(
        chosen("{{ let both = [secrets(\"db\").flag, secrets(\"github\").token]; last(both) }}"),
        token
    );
}

#[test]
fn a_structure_has_a_text_for_each_secret_in_it() {
    let resolution = resolve(
        "{{ {\"a/b\": [1, secrets(\"db\").flag + \"!\"], c: {d: secrets(\"github\").token}, e: $.Push.data.ratio} }}",
        FieldKind::Typed,
    );
    let shown = json!({ "a/b": [1, "{{ secrets(\"db\").flag }}!"], "c": { "d": "{{ secrets(\"github\").token }}" }, "e": 0.5 });
    assert_eq!(resolution.display, shown);
    let pointers: Vec<&str> = resolution.placed.iter().map(|placed| placed.pointer.as_str()).collect();
    assert_eq!(pointers, ["/a~1b/1", "/c/d"]);
}

#[test]
fn what_would_have_to_look_at_a_secret_is_refused_with_what_to_do_instead_i1() {
    let token = "secrets(\"github\").token";
    for line in include_str!("vectors/looked_at.txt").lines() {
        let (what, expression) = line.split_once('\t').expect("what is refused, and where");
        let (said, at_apply) = refusal(&format!("{{{{ {expression} }}}}"));
        let expected = format!("a secret can be placed into a text, not looked at: `{what}` would have to");
        assert!(said.starts_with(&expected), "{expression}: {said}");
        assert!(said.len() > expected.len() + 20, "what to do instead: {said}");
        assert!(at_apply, "{expression} shows at apply");
    }
    // An operation on a secret that shows only when data is there is refused then.
    for (expression, what) in [
        (format!("{token} + 1"), "+"),
        (format!("[{token}, \"b\"][$.Push.data.whole - 3] == \"a\""), "=="),
        (format!("reduce([\"a\"], #acc == #, {token})"), "=="),
        (format!("len(concat([{token}], [\"a\"])[0])"), "len"),
        (
            format!(
                "{{a: {token}, b: \"x\"}}[root().data.list[0] + \"\"] ?? upper(values({{a: {token}}})[0])"
            ),
            "upper",
        ),
    ] {
        let (said, at_apply) = refusal(&format!("{{{{ {expression} }}}}"));
        assert!(said.contains(&format!("`{what}` would have to")), "{expression}: {said}");
        assert!(!at_apply, "{expression}");
    }
    let printed = refusal("a {{ [secrets(\"github\").token] }}");
    assert_eq!((printed.0.contains("`a printed list` would have to"), printed.1), (true, true));
    let printed = refusal("a {{ {b: secrets(\"github\").token} }}");
    assert_eq!((printed.0.contains("`a printed map` would have to"), printed.1), (true, true));
}

#[test]
fn the_json_and_the_bytes_of_a_secret_are_read_in_one_way() {
    let check = |source: &str, part: &str| {
        let (said, _) = refusal(source);
        assert!(said.contains(part), "{source}: {said}");
    };
    check("{{ fromJSON(secrets(\"db\").json) }}", "take a text out of it by its path");
    check("{{ [fromJSON(secrets(\"db\").json)] }}", "take a text out of it by its path");
    check("{{ fromJSON(secrets(\"db\").json + \"\" + \"x\").a }}", "JSON is read of one whole secret");
    check("{{ fromBase64(secrets(\"db\").json64) }}", "bytes are no text");
    check("{{ fromBase64(\"a\" + secrets(\"db\").json64) }}", "base64 is read of one whole secret");
    check("{{ hmac(\"sha256\", \"known\", \"x\", \"hex\") }}", "the key of `hmac` is a secret");
    check(
        "{{ hmac(\"sha256\", \"a\" + secrets(\"a\").b, \"x\", \"hex\") }}",
        "the key of `hmac` is a secret",
    );
    check("{{ hmac(\"sha256\", secrets(\"a\").b, \"x\", \"bytes\") }}", "bytes are no text");
    for (source, message) in [
        // A word that is written out is refused when it is parsed.
        ("{{ hmac(\"md5\", secrets(\"a\").b, \"x\", \"hex\") }}", "an algorithm is one of"),
        ("{{ hmac(\"sha1\", secrets(\"a\").b, \"x\", \"HEX\") }}", "a format is one of"),
        ("{{ sent_at(\"2006\") }}", "a format is one of"),
        ("{{ hmac(run().id, secrets(\"a\").b, \"x\", \"hex\") }}", "an algorithm is one of"),
        ("{{ hmac(\"sha1\", secrets(\"a\").b, \"x\", run().id) }}", "a format is one of"),
        ("{{ hmac(\"sha1\", secrets(\"a\").b, 1, \"hex\") }}", "must be a string"),
        ("{{ sent_at(run().id) }}", "a format is one of"),
    ] {
        let parsed = Template::parse(source, FieldKind::Typed);
        let Err(error) = parsed.and_then(|template| template.resolve(&World::sample())) else {
            panic!("{source}")
        };
        assert!(error.message.contains(message), "{source}: {error}");
    }
    let derived = "{{ hmac(\"sha256\", hmac(\"sha256\", fromBase64(secrets(\"db\").json64), \"a\", \"bytes\"), \"b\", \"hex\") }}";
    assert_eq!(render(&resolve(derived, FieldKind::Typed), &Safe::sample()).len(), 64);
}

#[test]
fn text_of_dots_alone_does_not_stand_beside_a_secret_in_a_path_i1() {
    let taken = |source: &str| parse(source, FieldKind::Url).resolve(&World::sample()).is_ok();
    for path in ["\".\" + S", "S + \"..\"", "S + \".\" + S"] {
        for call in ["…", "urlPath(…)"] {
            let expression = call.replace('…', path).replace('S', "secrets(\"db\").flag");
            assert!(!taken(&format!("https://h.test/{{{{ {expression} }}}}")), "{expression}");
            assert!(
                taken(&format!("https://h.test/?q={{{{ {} }}}}", expression.replace("urlPath", ""))),
                "{expression}"
            );
        }
    }
    for path in ["\"a/../\" + S", "\"../\" + S", "S + \"/.\""] {
        let expression = path.replace('S', "secrets(\"db\").flag");
        assert!(!taken(&format!("https://h.test/{{{{ urlPath({expression}) }}}}")), "{expression}");
    }
    assert!(taken("https://h.test/{{ urlPath(\"a.b/..c\" + secrets(\"db\").flag) }}"));
}

#[test]
fn a_reference_says_how_it_is_used() {
    let roles = |source: &str, kind: FieldKind| {
        let refs = parse(source, kind).secret_refs();
        refs.iter().map(|found| (found.name.clone(), found.role)).collect::<Vec<_>>()
    };
    let role = |name: &str, role| (name.to_owned(), role);
    assert_eq!(
        roles(
            "{{ hmac(\"sha1\", secrets(\"k\").v, secrets(\"d\").v, \"hex\") + secrets(\"p\").v }}",
            FieldKind::Text
        ),
        [role("k", SecretRole::Signing), role("d", SecretRole::Placed), role("p", SecretRole::Placed)]
    );
    assert_eq!(
        roles(
            "https://a/{{ secrets(\"s\").v }}/{{ urlPath(secrets(\"u\").v) }}?q={{ secrets(\"q\").v }}",
            FieldKind::Url
        ),
        [
            role("s", SecretRole::InUrl(Encoding::Segment)),
            role("u", SecretRole::InUrl(Encoding::UrlPath)),
            role("q", SecretRole::InUrl(Encoding::Query))
        ]
    );
    assert_eq!(roles("{{ secrets(\"w\").v }}", FieldKind::Url), [role("w", SecretRole::Placed)]);
}

/// I2: data is never code, in values and in keys, folded or not.
#[test]
fn texts_from_data_are_never_parsed_i2() {
    let hostile = "{{ secrets(\"github\").token }} ${{ $.x }} $[\"Push\"] #acc {{";
    let world = World::new(
        json!({"$": {"A": {"data": {"t": hostile, hostile: hostile}}}, "root": {"data": hostile}}),
    );
    let value = |source: &str, kind: FieldKind| {
        let resolution = parse(source, kind).resolve(&world).unwrap();
        let mut value = resolution.display;
        for placed in resolution.placed {
            let text =
                secret_text::render(&placed.parts, Context::Free, Timestamp::UNIX_EPOCH, &Safe::sample());
            *value.pointer_mut(&placed.pointer).unwrap() = json!(text.ok().unwrap().text.as_str());
        }
        value
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
    let resolution = resolve("{{ secrets(\"s\").k }}!", FieldKind::Text);
    assert_eq!(render(&resolution, &secret), format!("{hostile}!"));
}

#[test]
fn errors_show_the_line_and_a_caret() {
    let error = Template::parse("Hello {{ 1 + }}", FieldKind::Text).unwrap_err();
    assert_eq!(error.to_string(), "the expression ends too early\n | Hello {{ 1 + }}\n |              ^^");
    let Err(error) = parse("a\n{{ 1 + previuos() }}", FieldKind::Text).resolve(&World::sample()) else {
        panic!("no such function")
    };
    assert_eq!(
        error.to_string(),
        "unknown function `previuos()`; did you mean `previous()`?\n | {{ 1 + previuos() }}\n |        ^^^^^^^^^^"
    );
    assert_eq!((error.kind, error.span), (ErrorKind::Name, Span::new(9, 19)));
    assert!(error.render("a\n{{ 1 + previuos() }}").contains("^^^^"));
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
    let resolution = parse("{{ $[\"A\"].data.x + \"y\" }}", FieldKind::Typed).resolve(&world).unwrap();
    assert_eq!(resolution.display, json!("yy"));
}
