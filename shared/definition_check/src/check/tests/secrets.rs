//! Secrets in a definition: where they may stand, and what may be done with them.

use super::*;

#[test]
fn a_reference_tells_where_in_the_request_it_stands_unless_a_template_chooses_it() {
    let places = |configuration: &str| {
        let refs = check(&http(configuration)).unwrap_or_else(|error| panic!("{error:#?}")).secret_refs;
        refs.iter().map(|found| found.place.as_ref().map(ToString::to_string)).collect::<Vec<_>>()
    };
    let secret = r#"{{ secrets("a").b }}"#;
    let some = |place: &str| vec![Some(place.to_owned())];
    assert_eq!(places(&format!("url: '{secret}'")), some("url"));
    assert_eq!(places(&format!("url: 'https://a.example/{secret}'")), some("path"));
    assert_eq!(places(&format!("url: 'https://a.example/?q={secret}'")), some("query"));
    assert_eq!(places(&format!("{URL}, query: {{ q: '{secret}' }}")), some("query:q"));
    assert_eq!(places(&format!("{URL}, query: [{{ name: '{{{{ 1 }}}}', value: '{secret}' }}]")), [None]);
    assert_eq!(
        places(&format!("{URL}, headers: [{{ name: X-Key, value: '{secret}' }}]")),
        some("header:x-key")
    );
    assert_eq!(places(&format!("{URL}, headers: [{{ name: '{{{{ 1 }}}}', value: '{secret}' }}]")), [None]);
    assert_eq!(
        places(&format!("{URL}, authorization: {{ type: bearer, token: '{secret}' }}")),
        some("authorization")
    );
    let signed = r#"{{ hmac("sha256", secrets("a").key, secrets("a").data, "hex") }}"#;
    assert_eq!(
        places(&format!("{URL}, body: {{ text: '{signed}' }}")),
        [Some("signing".to_owned()), Some("body".to_owned())]
    );
}

#[test]
fn reading_what_a_node_redacts_is_warned_of() {
    let warned = |expression: &str| {
        let nodes = format!(
            "  - {{ id: a, name: A, component: http, redact: [/body/token, /list/0], configuration: {{ {URL} }} }}\n  \
             - {{ id: b, name: B, component: http, configuration: {{ {URL}, body: {{ text: '{{{{ {expression} }}}}' }} }} }}\n"
        );
        let text = workflow(&nodes).replace("to: a }", "to: a }\n  - { from: a, channel: success, to: b }");
        warnings(&text)
    };
    for expression in ["$[\"A\"].data.body.token", "$.A.data.body.token[0:3]", "len($.A.data[\"list\"][0].x)"]
    {
        let found = warned(expression);
        assert!(found.len() == 1 && found[0].contains("`A` redacts /"), "{expression}: {found:?}");
    }
    for expression in ["$.A.data.body", "$.A.data.body.tokens", "$.A.data.list[1]", "$.A.data.status"] {
        assert_eq!(warned(expression), [""; 0], "{expression}");
    }
}

#[test]
fn what_would_have_to_look_at_a_secret_is_refused_with_its_place_i1() {
    let spelled = http(&format!(
        "{URL}, headers: [{{ name: X, value: '{{{{ secrets(\"a\").b[0:1] == \"x\" ? 1 : 2 }}}}' }}]"
    ));
    let found = check(&spelled).unwrap_err().remove(0);
    assert_eq!(found.field, "nodes[1].configuration.headers[0].value");
    assert!(found.message.starts_with("a secret can be placed into a text, not looked at"), "{found:?}");
    assert!(found.expression.unwrap().contains("^^^^"));
    assert!(found.span.is_some());
}

#[test]
fn secrets_stand_only_where_the_component_allows_i1() {
    let secret = r#"{{ secrets("github").token }}"#;
    let allowed = check(&http(&format!(
        "{URL}, query: {{ q: '{secret}' }}, headers: [{{ name: X, value: 'a {secret}' }}], body: {{ json: {{ a: ['{secret}'] }} }}"
    )))
    .unwrap();
    assert_eq!(allowed.secret_refs.len(), 3);
    assert_eq!(allowed.secret_refs[0].field, "nodes[1].configuration.query.q");
    let refused = |text: &str, expected: &str| {
        let found = errors(text);
        assert!(found.len() == 1 && found[0].contains(expected), "{found:#?}");
    };
    refused(
        &http(&format!("{URL}, method: '{secret}'")),
        "a secret can't stand in `method` of `http`, only in url",
    );
    refused(
        &http(&format!("{URL}, headers: [{{ name: '{secret}', value: x }}]")),
        "`headers.0.name` of `http`",
    );
    refused(&http(&format!("{URL}, timeout_seconds: '{secret}'")), "`timeout_seconds` of `http`");
    let condition = r#"secrets("github").token == "x""#;
    for component in ["if", "filter"] {
        refused(
            &workflow(&format!(
                "  - {{ id: a, name: A, component: {component}, configuration: {{ expression: '{condition}' }} }}\n"
            )),
            "a secret can't stand in a `",
        );
    }
    refused(
        &workflow(&format!(
            "  - {{ id: a, name: A, component: http, configuration: {{ {URL} }}, keys: {{ k: '{secret}' }} }}\n"
        )),
        "a secret can't stand in the value of a key",
    );
    refused(
        &workflow(&format!(
            "  - {{ id: t, name: T, trigger: start, run_name: '{secret}' }}\n  - {{ id: a, name: A, component: noop }}\n"
        )),
        "a secret can't stand in the name of a run",
    );
}

#[test]
fn a_reference_to_a_secret_is_literal_i1() {
    for expression in [
        r#"secrets(root().data.x).token"#,
        r#"secrets("github")[root().data.x]"#,
        r#"secrets("github")"#,
        "secrets",
        r#"let s = secrets("github"); s.token"#,
    ] {
        let found = check(&http(&format!("{URL}, body: {{ text: '{{{{ {expression} }}}}' }}"))).unwrap_err();
        assert_eq!(found.len(), 1, "{expression}: {:#?}", shown(&found));
        assert_eq!(found[0].line, 4);
        assert!(found[0].column > 100, "the column is that of the reference: {:#?}", found[0]);
        assert!(found[0].span.is_some() && found[0].expression.is_some());
    }
}

#[test]
fn where_a_secret_is_used_data_does_not_choose_the_server_i2() {
    let header = r#"headers: [{ name: X, value: '{{ secrets("github").token }}' }]"#;
    let origin = |url: &str| errors(&http(&format!("url: '{url}', {header}")));
    for url in [
        "https://api.example.com",
        "https://api.example.com/{{ root().data.x }}",
        "https://api.example.com?x={{ root().data.x }}",
        r#"{{ secrets("slack").webhook_url }}"#,
    ] {
        assert_eq!(origin(url), [""; 0], "{url}");
    }
    for url in [
        "{{ root().data.url }}",
        "https://{{ root().data.host }}/x",
        "https://api.example.com{{ root().data.x }}",
        "https://api.{{ root().data.x }}.example.com/",
        "{{ root().data.scheme }}://api.example.com/",
        r#"{{ root().data.x ? secrets("a").url : secrets("b").url }}"#,
        r#"{{ secrets("a").host }}{{ root().data.path }}"#,
    ] {
        let found = origin(url);
        assert!(
            !found.is_empty() && found.iter().all(|problem| problem.contains("nodes[1].configuration.url")),
            "{url}: {found:#?}"
        );
    }
    assert_eq!(errors(&http("url: '{{ root().data.url }}'")), [""; 0], "a node without secrets may");
    for url in ["https://{{ root().data.host }}/x", "https://api.{{ root().data.x }}.example.com/"] {
        let found = errors(&http(&format!("url: '{url}'")));
        assert!(
            found.len() == 1 && found[0].contains("unless one template is the whole URL"),
            "{url}: {found:#?}"
        );
    }
}
