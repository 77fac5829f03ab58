//! I2, end to end: data is never code. Data of outsiders reaches the target unchanged, in the place
//! that the author gave it, or the execution fails cleanly. It opens no secret, and no other host
//! gets a request.

use serde_json::{Value, json};
use std::sync::Arc;
use tests::e2e::{Product, Received, Shared, make_secret, placed, word};

async fn product() -> Arc<Product> {
    static PRODUCT: Shared = Shared::new();
    PRODUCT.get(|builder| builder).await
}

/// Texts that look like code to some part of the product, in keys and in values.
fn templates() -> Value {
    json!({
        "plain": "{{ secrets(\"github\").token }}",
        "{{ secrets(\"github\").token }}": "as a key",
        "nested": { "{{ root().data }}": ["{{ secrets('github')['token'] }}", { "a": "{{{{ secrets(\"github\").token }}}}" }] },
        "expr": { "$expr": "secrets(\"github\").token" },
        "residual": { "kind": "secret", "name": "github", "key": "token" },
        "residuals": [{ "path": "/headers/0/value", "residual": { "secret": ["github", "token"], "refs": [["github", "token"]] } }],
        "display": "[secret:github.token]",
        "half": "{{ secrets(\"github\")",
        "closing": "}} {{ 1 + 1 }} {{",
        "sql": "'; DROP TABLE secrets; --",
        "dollar": "$[\"Hook\"].data ${jndi:ldap://x} $(id) `id` %{x}",
        "numbers": [0, -0.5, 9_007_199_254_740_993_i64, 1e300],
        "unicode": "\u{202e}\u{feff}\u{1f600}\r\n\t\u{1}",
    })
}

const HOOKED: &str = r#"
name: hooked
nodes:
  - { id: hook, name: Hook, trigger: webhook, configuration: { authentication: none }, run_name: '{{ root().data.body.plain }}' }
  - id: whole
    name: Whole
    component: http
    configuration:
      method: POST
      url: TARGET/whole
      headers: [ { name: Authorization, value: 'Bearer {{ secrets("github").token }}' } ]
      body: { json: '{{ $["Hook"].data.body }}' }
  - id: parts
    name: Parts
    component: http
    configuration:
      method: POST
      url: TARGET/parts
      headers: [ { name: X-Plain, value: '{{ root().data.body.plain }}' } ]
      body:
        json:
          plain: '{{ root().data.body.plain }}'
          text: 'a {{ root().data.body.plain }} b {{ root().data.body.closing }} c'
          echoed: '{{ $["Whole"].data.body.body }}'
          both: '{{ [root().data.body.plain, root().data.body.expr] }}'
    keys: { plain: '{{ root().data.body.plain }}' }
  - { id: form, name: Form, component: http, configuration: { method: POST, url: TARGET/hooked-form, body: { form: { a: '{{ root().data.body.plain }}' } } } }
  - { id: text, name: Text, component: http, configuration: { method: POST, url: TARGET/hooked-text, body: { text: '{{ root().data.body.plain }}' } } }
edges:
  - { from: hook, to: whole }
  - { from: whole, channel: success, to: parts }
  - { from: parts, channel: success, to: form }
  - { from: form, channel: success, to: text }
"#;

#[tokio::test]
async fn templates_in_a_webhooks_body_reach_the_target_word_for_word_i2() {
    let product = &product().await;
    let story = product.story("templates").await;
    let secret = make_secret("templates");
    story.set_secret("github", "token", &secret).await;
    let answer = story.apply(&placed(product, HOOKED)).await;
    let body = templates();
    let url = word(&answer["webhooks"][0]["url"]);
    let (status, answer) = story.post(&url, &[("content-type", "application/json")], body.to_string()).await;
    assert_eq!(status, 202, "{answer}");
    let run_id = word(&answer["run_id"]);
    let run = story.ended(&run_id).await;
    let executions = story.executions(&run_id).await;
    assert_eq!((&run["result"], executions.len()), (&json!("passed"), 4), "{executions:#?}");
    assert_eq!(run["name"], body["plain"]);

    let only = |path: &str| <[Received; 1]>::try_from(product.target.requests(path)).unwrap()[0].clone();
    let whole = only("/whole");
    assert_eq!(whole.json(), body);
    assert_eq!(whole.header("authorization"), Some(format!("Bearer {secret}").as_str()));
    let parts = only("/parts");
    assert_eq!(parts.header("x-plain"), body["plain"].as_str());
    let (plain, closing) = (word(&body["plain"]), word(&body["closing"]));
    assert_eq!(
        parts.json(),
        json!({ "plain": plain, "text": format!("a {plain} b {closing} c"), "echoed": body, "both": [plain, body["expr"]] })
    );
    assert_eq!(
        decoded(&String::from_utf8(only("/hooked-form").body.to_vec()).unwrap().replace('+', " ")),
        format!("a={plain}")
    );
    assert_eq!(only("/hooked-text").body, plain.as_bytes());

    // The shown configuration holds the data unchanged: no text in it was taken for a reference.
    let shown = story.execution(&run_id, "whole").await;
    assert_eq!(shown["configuration"]["body"]["json"], body);
    let by_key = story.get(&format!("/v1/executions?key=plain&value={}", percent(&plain))).await;
    assert_eq!(by_key["executions"].as_array().unwrap().len(), 1);
    for execution in &executions {
        let uses_secret = execution["node_id"] == "whole";
        let used = &execution["metadata"]["attempts"][0]["secrets"];
        assert_eq!(used == &json!(["github.token"]), uses_secret, "{execution:#}");
    }
    story.end(&[&secret]).await;
    assert_eq!(product.other.requests("").len(), 0);
}

/// The payloads that outsiders send in place of the word that the author expected.
fn payloads(other: &str) -> Vec<String> {
    let mut payloads: Vec<String> = [
        "plain",
        "@evil.test/",
        ".evil.test/x",
        ":80@evil.test",
        "../../user/keys",
        "..",
        ".",
        "./",
        "..;/x",
        "..\\..\\x",
        "/",
        "//evil.test/x",
        "/../..",
        "?admin=1",
        "&admin=1",
        "=",
        "#",
        "#fragment",
        "%",
        "%2e%2e",
        "%2e%2e%2f%2e%2e%2f",
        "%252e%252e",
        "%00",
        "%0d%0aX-Evil: 1",
        "\r\nX-Evil: 1",
        "\nX-Evil: 1",
        "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "\t",
        " ",
        "",
        "a b+c",
        "\u{2024}\u{2024}/x",
        "\u{ff0e}\u{ff0e}\u{ff0f}x",
        "\u{3002}evil\u{3002}test",
        "evil\u{ff61}test",
        "\u{202e}",
        "\u{7f}",
        "\u{1}",
        "ä€😀",
        "\"';<>`{}|^[]",
        "{{ secrets(\"github\").token }}",
        "javascript:alert(1)",
    ]
    .map(str::to_owned)
    .to_vec();
    payloads.extend([
        format!("@{other}/"),
        format!("//{other}/x"),
        format!("http://{other}/x"),
        format!("/@{other}"),
    ]);
    payloads.push("x".repeat(2_000));
    payloads
}

/// A node for each place of a request, as `ID` and `CONFIGURATION`. `n` is the number of the
/// payload.
const PLACES: &[(&str, &str)] = &[
    ("path", "url: 'TARGET/path/{{ root().data.n }}/{{ root().data.p }}/end'"),
    ("inside", "url: 'TARGET/inside/{{ root().data.n }}/a{{ root().data.p }}b/end'"),
    ("last", "url: 'TARGET/last/{{ root().data.n }}/{{ root().data.p }}'"),
    ("literal", "url: 'TARGET/literal/{{ root().data.n }}?a={{ root().data.p }}&end=1'"),
    (
        "query",
        "url: 'TARGET/query/{{ root().data.n }}?first=1', query: { a: '{{ root().data.p }}', end: '1' }",
    ),
    (
        "header",
        "url: 'TARGET/header/{{ root().data.n }}', headers: [ { name: X-Value, value: 'a{{ root().data.p }}b' } ]",
    ),
    (
        "bearer",
        "url: 'TARGET/bearer/{{ root().data.n }}', authorization: { type: bearer, token: 'a{{ root().data.p }}b' }",
    ),
    (
        "json",
        "method: POST, url: 'TARGET/json/{{ root().data.n }}', body: { json: { a: '{{ root().data.p }}' } }",
    ),
    (
        "form",
        "method: POST, url: 'TARGET/form-body/{{ root().data.n }}', body: { form: { a: '{{ root().data.p }}', end: '1' } }",
    ),
    (
        "xml",
        "method: POST, url: 'TARGET/xml/{{ root().data.n }}', body: { xml: '<a>{{ escapeXML(root().data.p) }}</a>' }",
    ),
    (
        "name",
        "url: 'TARGET/name/{{ root().data.n }}', query: [ { name: 'a{{ root().data.p }}', value: '1' }, { name: end, value: '1' } ]",
    ),
    (
        "key",
        "method: POST, url: 'TARGET/key/{{ root().data.n }}', body: { form: '{{ {(root().data.p): 1} }}' }",
    ),
    ("text", "method: POST, url: 'TARGET/text/{{ root().data.n }}', body: { text: 'a{{ root().data.p }}b' }"),
    (
        "beside",
        "url: 'TARGET/beside/{{ root().data.n }}', headers: [ { name: X-Value, value: 'a{{ root().data.p }}b' }, \
         { name: X-Secret, value: '{{ secrets(\"github\").token }}' } ], query: { a: '{{ root().data.p }}', end: '1' }",
    ),
    ("segments", "url: 'TARGET/segments/{{ root().data.n }}/{{ urlPath(root().data.p) }}/end'"),
];

#[tokio::test]
async fn what_outsiders_send_stays_one_part_of_the_request_and_no_other_host_hears_anything_i2() {
    let product = &product().await;
    let story = product.story("places").await;
    let secret = make_secret("places");
    story.set_secret("github", "token", &secret).await;
    let nodes: String = PLACES
        .iter()
        .map(|(id, configuration)| {
            format!("  - {{ id: {id}, name: {id}, component: http, concurrency: unlimited, configuration: {{ {configuration} }} }}\n")
        })
        .collect();
    let edges: String = PLACES.iter().map(|(id, _)| format!("  - {{ from: start, to: {id} }}\n")).collect();
    let definition = format!(
        "name: places\nnodes:\n  - {{ id: start, name: Start, trigger: start }}\n{nodes}edges:\n{edges}"
    );
    story.apply(&placed(product, &definition)).await;
    let payloads = payloads(&product.other.host_port());
    let mut runs = Vec::new();
    for (n, payload) in payloads.iter().enumerate() {
        runs.push(story.start("places", json!({ "n": n, "p": payload })).await);
    }
    for (n, (run_id, payload)) in runs.iter().zip(&payloads).enumerate() {
        story.ended(run_id).await;
        let executions = story.executions(run_id).await;
        assert_eq!(executions.len(), PLACES.len());
        for execution in &executions {
            let place = word(&execution["node_id"]);
            let path = if place == "form" { "form-body" } else { &place };
            let heard = product.target.requests(&format!("/{path}/{n}"));
            let heard: Vec<_> = heard.into_iter().filter(|request| is_of(request, path, n)).collect();
            let what = format!("{place} {payload:?}: {execution:#} {heard:?}");
            match word(&execution["result"]).as_str() {
                "passed" => {
                    assert_eq!(heard.len(), 1, "{what}");
                    assert!(is_one_part(&place, n, payload, &heard[0]), "{what}");
                    let beside = (place == "beside").then_some(secret.as_str());
                    assert_eq!(heard[0].header("x-secret"), beside, "{what}");
                }
                _ => {
                    assert_eq!(heard.len(), 0, "{what}");
                    let reason = word(&execution["result_reason"]);
                    assert!(["template_error", "component_error"].contains(&reason.as_str()), "{what}");
                    assert!(may_fail(&place, payload), "{what}");
                }
            }
        }
    }
    assert_eq!(product.other.requests("").len(), 0, "{:?}", product.other.requests(""));
    let evil =
        product.target.requests("").into_iter().filter(|request| request.header("x-evil").is_some()).count();
    assert_eq!((evil, product.target.requests("/smuggled").len()), (0, 0));
    story.end(&[&secret]).await;
}

fn is_of(request: &Received, path: &str, n: usize) -> bool {
    let rest = request.path.strip_prefix(&format!("/{path}/{n}")).unwrap_or("0");
    rest.is_empty() || rest.starts_with(['/', '?'])
}

/// Whether a payload can't be sent in its place: dots alone as a segment, or a character that ends
/// a header.
fn may_fail(place: &str, payload: &str) -> bool {
    let dots = ["", ".", "./", "/", "..", "../../user/keys", "..;/x", "..\\..\\x", "/../..", "//evil.test/x"];
    match place {
        "path" | "inside" | "last" => [".", ".."].contains(&payload),
        "segments" => dots.contains(&payload) || payload.starts_with('/') || payload.contains(".."),
        "header" | "bearer" | "beside" => payload.chars().any(char::is_control),
        _ => false,
    }
}

/// Whether the request holds exactly the payload in its place.
fn is_one_part(place: &str, n: usize, payload: &str, request: &Received) -> bool {
    // A browser, proxy or framework could take these characters for a border of a part.
    let part = |text: &str| !text.contains(['/', '?', '#', '&', '=', '\\', ';', ' ', '+', '@', ':']);
    let between = |before: &str, after: &str| {
        let found = request.path.strip_prefix(&format!("/{place}/{n}{before}"))?.strip_suffix(after)?;
        (part(found) && found.is_ascii()).then(|| decoded(found))
    };
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    let found = match place {
        "path" => between("/", "/end"),
        "inside" => between("/a", "b/end"),
        "last" => between("/", ""),
        "literal" => between("?a=", "&end=1"),
        "name" | "key" => {
            let raw = match place {
                "name" => {
                    request.path.strip_prefix(&format!("/name/{n}?a")).unwrap().strip_suffix("=1&end=1")
                }
                _ => std::str::from_utf8(&request.body).unwrap().strip_suffix("=1"),
            };
            let raw = raw.filter(|raw| !raw.contains(['&', '=', '#', ';', ' ']) && raw.is_ascii());
            raw.map(|raw| decoded(&raw.replace('+', " ")))
        }
        "text" => return request.body == format!("a{payload}b").as_bytes(),
        "beside" => {
            let value =
                request.header("x-value").and_then(|value| value.strip_prefix('a')?.strip_suffix('b'));
            let query = request.path.strip_prefix(&format!("/beside/{n}?a=")).unwrap().strip_suffix("&end=1");
            let query = query.filter(|query| !query.contains(['&', '='])).unwrap();
            assert_eq!(decoded(&query.replace('+', " ")), payload);
            value.map(str::to_owned)
        }
        "query" | "form" => {
            let pairs = match place {
                "query" => request.path.strip_prefix(&format!("/query/{n}?first=1&")).map(str::to_owned),
                _ => Some(text(&request.body)),
            };
            let pairs = pairs.unwrap();
            let mut pairs: Vec<_> = pairs.split('&').map(|pair| decoded(&pair.replace('+', " "))).collect();
            pairs.sort();
            (pairs.len() == 2 && pairs[1] == "end=1").then(|| pairs[0].strip_prefix("a=").unwrap().to_owned())
        }
        "header" => request.header("x-value").map(|value| value[1..value.len() - 1].to_owned()),
        "bearer" => {
            request.header("authorization").map(|value| value["Bearer a".len()..value.len() - 1].to_owned())
        }
        "json" => return request.json() == json!({ "a": payload }),
        "xml" => {
            let inner = text(&request.body);
            let inner = inner.strip_prefix("<a>").unwrap().strip_suffix("</a>").unwrap().to_owned();
            return !inner.contains(['<', '>', '"', '\'']);
        }
        "segments" => {
            let found =
                request.path.strip_prefix(&format!("/segments/{n}/")).unwrap().strip_suffix("/end").unwrap();
            let is_safe = !found.contains(['?', '#', '\\', ' '])
                && !found.split('/').any(|segment| matches!(segment, "." | ".."));
            is_safe.then(|| decoded(found))
        }
        _ => None,
    };
    found.as_deref() == Some(payload)
}

#[tokio::test]
async fn data_can_not_choose_where_a_secret_goes_i2() {
    let product = &product().await;
    let story = product.story("origins").await;
    let secret = make_secret("origins");
    story.set_secret("github", "token", &secret).await;
    let definition = |url: &str| {
        placed(
            product,
            &format!(
                "name: origins\nnodes:\n  - {{ id: start, name: Start, trigger: start }}\n  - id: call\n    name: Call\n    \
                 component: http\n    configuration:\n      url: '{url}'\n      headers: [ {{ name: A, value: '{{{{ \
                 secrets(\"github\").token }}}}' }} ]\nedges:\n  - {{ from: start, to: call }}\n"
            ),
        )
    };
    for url in [
        "{{ root().data.url }}",
        "{{ root().data.url }}/x",
        "https://{{ root().data.host }}/x",
        "https://api.{{ root().data.host }}/x",
        "https://api.example.com{{ root().data.path }}",
        "https://api.example.com:{{ root().data.port }}/",
        "{{ root().data.scheme }}://api.example.com/",
        "https://{{ root().data.user }}@api.example.com/",
    ] {
        let (status, answer) = story.try_apply(&definition(url)).await;
        assert_eq!(status, 422, "{url}: {answer}");
        let error = &answer["errors"][0];
        assert_eq!(error["field"], "nodes[1].configuration.url", "{url}: {answer}");
        assert_eq!(
            (&error["line"], error["column"].as_i64() > Some(0)),
            (&json!(8), true),
            "{url}: {answer}"
        );
    }
    // Without a secret the whole address may come from data. The guard of addresses checks it too.
    let open = definition("{{ root().data.url }}").replace("{{ secrets(\"github\").token }}", "x");
    story.apply(&open).await;
    for (url, result) in [
        (format!("{}/open", product.target.url()), "passed"),
        ("http://127.0.0.1:1/".to_owned(), "failed"),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), "failed"),
        ("http://[::ffff:127.0.0.1]:1/".to_owned(), "failed"),
        ("file:///etc/passwd".to_owned(), "failed"),
        ("gopher://evil.test/".to_owned(), "failed"),
        ("no url".to_owned(), "failed"),
    ] {
        let run = story.run("origins", json!({ "url": url })).await;
        assert_eq!(run["result"], result, "{url}");
        let execution = story.execution(&word(&run["id"]), "call").await;
        if url.contains("127.0.0.1:1") || url.contains("169.254") {
            assert_eq!(
                execution["result_message"], "the target's address may not be called from here",
                "{url}"
            );
        }
    }
    story.end(&[&secret]).await;
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn decoded(text: &str) -> String {
    let (bytes, mut at, mut out) = (text.as_bytes(), 0, Vec::new());
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                out.push(u8::from_str_radix(&text[at + 1..at + 3], 16).unwrap());
                at += 3;
            }
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap()
}
