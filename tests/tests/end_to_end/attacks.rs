//! Attacks on secrets, against the running product. An attacker has the token of an author of
//! workflows, or a role in the database: the API's or the builder's. No attack learns a secret's
//! value or sends a secret to another host or place (I1, I7).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tests::database::connect;
use tests::e2e::{Product, Shared, Story, make_secret, placed, word};
use tokio_postgres::Client;

async fn product() -> Arc<Product> {
    static PRODUCT: Shared = Shared::new();
    PRODUCT.get(|builder| builder).await
}

/// The workflow `start → call`, with these fields of the call's configuration.
fn calling(product: &Product, name: &str, configuration: &str) -> String {
    let definition = format!(
        "name: {name}\nnodes:\n  - {{ id: start, name: Start, trigger: start }}\n  - id: call\n    name: Call\n    component: http\n    \
         configuration: {{ {configuration} }}\nedges:\n  - {{ from: start, to: call }}\n"
    );
    placed(product, &definition)
}

/// Sets `github.token`, which may go to the target only, and only in the header `Authorization`.
async fn set_token(story: &Story<'_>, value: &str) {
    let body =
        json!({ "value": value, "hosts": [story.product.target.host_port()], "in": ["authorization"] });
    let (status, answer) = story.call("PUT", "/v1/secrets/github/token", Some(&body)).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn an_author_spells_no_secret_out_and_takes_none_elsewhere_i1() {
    let product = &product().await;
    let story = product.story("author").await;
    let secret = make_secret("author");
    set_token(&story, &secret).await;
    story.set_secret("mine", "key", "a-key-of-the-authors-own").await;
    let header =
        |value: &str| format!("url: 'TARGET/x', headers: [ {{ name: Authorization, value: '{value}' }} ]");
    let token = "secrets(\"github\").token";
    let looked = "a secret can be placed into a text, not looked at";
    for (name, configuration, said) in [
        // Each node would tell one letter by its failure.
        ("condition", header(&format!("{{{{ {token}[0:1] == \"g\" ? \"a\" : int(\"b\") }}}}")), looked),
        ("contains", header(&format!("{{{{ {token} contains \"g\" ? 1 : 2 }}}}")), looked),
        ("matches", header(&format!("{{{{ {token} matches \"^g\" ? 1 : 2 }}}}")), looked),
        ("length", header(&format!("{{{{ len({token}) }}}}")), looked),
        ("fail", header(&format!("{{{{ int({token}) }}}}")), looked),
        ("nothing", header(&format!("{{{{ {token} ?? \"x\" }}}}")), looked),
        // The scrubber would mark the right one of several candidates.
        ("marks", header(&format!("{{{{ join(map(0..39, \"p\" + {token}[#:#+1]), \",\") }}}}")), looked),
        ("sorted", header(&format!("{{{{ sort([{token}, \"g\"])[0] }}}}")), looked),
        // The failure would tell whether the value begins with a slash. A secret that may stand in
        // paths follows below.
        (
            "dots",
            format!("url: 'TARGET/{{{{ urlPath(\".\" + {token}) }}}}'"),
            "may stand in authorization only",
        ),
        // The secret would go to another host.
        (
            "host",
            format!("url: 'OTHER/x', headers: [ {{ name: Authorization, value: '{{{{ {token} }}}}' }} ]"),
            "may be sent to",
        ),
        (
            "at",
            format!(
                "url: 'https://api.example.com{{{{ root().data.p }}}}', headers: [ {{ name: Authorization, value: '{{{{ {token} }}}}' }} ]"
            ),
            "scheme, host and port of a URL are literal text",
        ),
        (
            "data",
            format!(
                "url: '{{{{ root().data.url }}}}', headers: [ {{ name: Authorization, value: '{{{{ {token} }}}}' }} ]"
            ),
            "URL must begin with a literal scheme and host",
        ),
        // The secret would stand in a public place, such as a gist, or in one that logs have.
        (
            "gist",
            format!(
                "url: 'TARGET/gists', method: POST, body: {{ json: {{ content: '{{{{ {token} }}}}' }} }}"
            ),
            "may stand in authorization only, and stands in body",
        ),
        (
            "query",
            format!("url: 'TARGET/x', query: {{ q: '{{{{ {token} }}}}' }}"),
            "may stand in authorization only",
        ),
        ("path", format!("url: 'TARGET/{{{{ {token} }}}}'"), "may stand in authorization only"),
        (
            "signing",
            header(&format!("{{{{ hmac(\"sha256\", {token}, \"x\", \"hex\") }}}}")),
            "stands in signing",
        ),
        ("method", format!("url: 'TARGET/x', method: '{{{{ {token} }}}}'"), "can't stand in `method`"),
        ("computed", header("{{ secrets(root().data.name).token }}"), "literal"),
        (
            "known key",
            header(&format!("{{{{ hmac(\"sha256\", \"known\", {token}, \"hex\") }}}}")),
            "the key of `hmac` is a secret",
        ),
    ] {
        let (status, answer) = story.try_apply(&calling(product, name, &configuration)).await;
        assert_eq!(status, 422, "{name}: {answer:#}");
        assert!(answer.to_string().contains(said), "{name}: {answer:#}");
    }
    assert!(
        product.target.requests("").is_empty() && product.other.requests("").is_empty(),
        "no request was sent"
    );
    // A failure at run time doesn't depend on the value: another value of the same length fails in
    // the same way.
    let known_key = "{{ hmac(\"sha256\", [root().data.k, secrets(\"mine\").key][root().data.at], secrets(\"github\").token, \"hex\") }}";
    story.apply(&calling(product, "late", &header(known_key))).await;
    let mut told = Vec::new();
    for value in [secret.clone(), secret.chars().rev().collect()] {
        set_token(&story, &value).await;
        let run = story.run("late", json!({ "k": "known", "at": 0 })).await;
        let execution = story.execution(&word(&run["id"]), "call").await;
        told.push((
            execution["result"].clone(),
            execution["result_reason"].clone(),
            execution["result_message"].clone(),
        ));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].1, "template_error");
    assert!(product.target.requests("").is_empty());
    // A dot before a value that begins with a slash would make a segment of dots. So a dot beside a
    // secret is always refused.
    story
        .apply(&calling(product, "slash", "url: 'TARGET/p/{{ urlPath(\".\" + secrets(\"paths\").key) }}'"))
        .await;
    let paths = ["/path-of-a-secret-0123", "x-path-of-a-secret-0123"];
    for path in paths {
        let body = json!({ "value": path, "hosts": [product.target.host_port()], "in": ["path"] });
        let (status, answer) = story.call("PUT", "/v1/secrets/paths/key", Some(&body)).await;
        assert_eq!(status, 200, "{answer}");
        let run = story.run("slash", json!({})).await;
        let execution = story.execution(&word(&run["id"]), "call").await;
        let message = word(&execution["result_message"]);
        assert!(message.contains("text of dots alone can't stand beside a secret in a path"), "{message}");
    }
    assert!(product.target.requests("").is_empty());
    story.end(&[&secret, &paths[0][1..], paths[1]]).await;
}

/// A connection of the API's role.
async fn as_api(product: &Product) -> Client {
    connect(&product.sealflow.database_url("sealflow_api")).await
}

#[tokio::test]
async fn the_apis_role_sends_a_secret_nowhere_else_and_opens_none_i7() {
    let product = &product().await;
    let (story, other) = (product.story("api").await, product.story("other").await);
    let secret = make_secret("api");
    set_token(&story, &secret).await;
    let authorized = |to: &str| {
        format!(
            "url: '{to}/x', authorization: {{ type: bearer, token: '{{{{ secrets(\"github\").token }}}}' }}"
        )
    };
    story.apply(&calling(product, "call", &authorized("TARGET"))).await;
    let api = as_api(product).await;
    let organization = |story: &Story<'_>| story.organization.id.clone();
    let data = |id: String| {
        format!("SELECT encode(data, 'hex') FROM secrets WHERE domain_id = '{id}' AND name = 'github'")
    };
    let sealed: String = api.query_one(&data(organization(&story)), &[]).await.unwrap().get(0);

    // An entry with another host does not open, because its value is sealed for its own hosts.
    let (host, elsewhere) = (product.target.host_port(), product.other.host_port());
    assert_eq!(host.len(), elsewhere.len(), "both have ports of five digits");
    let moved = sealed.replace(&hex::encode(&host), &hex::encode(&elsewhere));
    assert_ne!(moved, sealed);
    let set = |data: &str, id: String| {
        format!(
            "UPDATE secrets SET data = decode('{data}', 'hex') WHERE domain_id = '{id}' AND name = 'github'"
        )
    };
    api.batch_execute(&set(&moved, organization(&story))).await.unwrap();
    story.apply(&calling(product, "moved", &authorized("OTHER"))).await;
    let ended =
        |execution: Value| (word(&execution["result_reason"]), execution["result_message"].to_string());
    let run = story.run("moved", json!({})).await;
    let (reason, message) = ended(story.execution(&word(&run["id"]), "call").await);
    assert_eq!(reason, "secret_denied");
    assert!(message.contains("can't be opened here"), "{message}");

    // An entry that was copied to another organization does not open.
    set_token(&other, "a-value-of-the-other-organization").await;
    api.batch_execute(&set(&sealed, organization(&other))).await.unwrap();
    other.apply(&calling(product, "stolen", &authorized("TARGET"))).await;
    let run = other.run("stolen", json!({})).await;
    let (reason, message) = ended(other.execution(&word(&run["id"]), "call").await);
    assert_eq!(reason, "secret_denied");
    assert!(message.contains("can't be opened here"), "{message}");

    // A forged definition, which apply would never write: the token stands in a body, and a forged
    // reference allows that.
    api.batch_execute(&set(&sealed, organization(&story))).await.unwrap();
    let body = json!({ "text": "{{ secrets(\"github\").token }}" });
    let forged = format!(
        "UPDATE workflows SET nodes = jsonb_set(nodes, '{{1,configuration,body}}', '{body}') WHERE name = 'call' AND organization_id = '{0}';
         INSERT INTO workflow_node_secret_refs (workflow_id, node_id, node_version, secret_name, secret_key, field)
         SELECT r.workflow_id, r.node_id, r.node_version, r.secret_name, r.secret_key, '/body/text'
         FROM workflow_node_secret_refs r JOIN workflows w ON w.id = r.workflow_id WHERE w.name = 'call' AND w.organization_id = '{0}'",
        organization(&story)
    );
    api.batch_execute(&forged).await.unwrap_or_else(|error| panic!("{error:?}"));
    let run = story.run("call", json!({})).await;
    let (reason, message) = ended(story.execution(&word(&run["id"]), "call").await);
    assert_eq!(reason, "secret_denied", "{message}");
    assert!(message.contains("may stand in authorization only, and stands in body"), "{message}");
    assert!(product.other.requests("").is_empty(), "the other host gets no request");
    story.end(&[&secret]).await;
    other.end(&[&secret]).await;
}

#[tokio::test]
async fn the_builders_role_moves_a_secret_nowhere_i7() {
    let product = &product().await;
    let story = product.story("builder").await;
    let secret = make_secret("builder");
    set_token(&story, &secret).await;
    let configuration =
        "url: 'TARGET/genuine', authorization: { type: bearer, token: '{{ secrets(\"github\").token }}' }";
    story.apply(&calling(product, "genuine", configuration)).await;
    let run = story.run("genuine", json!({})).await;
    let execution = story.execution(&word(&run["id"]), "call").await;
    assert_eq!(execution["result"], "passed", "{execution:#}");
    let genuine = word(&execution["id"]);
    let builder = connect(&product.sealflow.database_url("sealflow_builder")).await;
    let token = json!({ "secret": ["github", "token"] });
    let other = product.other.url();
    for (what, configuration, residuals) in [
        (
            "in a body",
            "e.configuration || '{\"method\": \"POST\", \"body\": {\"text\": \"x\"}}'".to_owned(),
            json!([{ "path": "/body/text", "parts": [token] }]),
        ),
        (
            "to another host",
            format!("e.configuration || '{{\"url\": \"{other}/x\"}}'"),
            json!([{ "path": "/authorization/token", "parts": [token] }]),
        ),
        (
            "in a URL",
            "e.configuration".to_owned(),
            json!([{ "path": "/url", "parts": [format!("{other}/"), token] }]),
        ),
    ] {
        // The rows look as if the builder had written them an hour ago, so that the sweeper has
        // them executed.
        let row = builder
            .query_one("SELECT gen_random_uuid()::text, gen_random_uuid()::text", &[])
            .await
            .expect("two ids");
        let (event_id, id): (String, String) = (row.get(0), row.get(1));
        let sql = format!(
            "INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, channel, type, data, targets, depth, created_at)
             SELECT '{event_id}', workflow_id, 'start', '{event_id}', 'default', 'start', '{{}}', '{{}}', 1, now()
             FROM workflow_node_executions WHERE id = '{genuine}';
             INSERT INTO workflow_node_executions (id, workflow_id, node_id, root_event_id, event_id, state, component, configuration,
                 residuals, policy, workflow_version, node_version, last_sent_at, created_at, updated_at)
             SELECT '{id}', e.workflow_id, e.node_id, '{event_id}', '{event_id}', 'pending', e.component, {configuration},
                 '{residuals}', e.policy, e.workflow_version, e.node_version, now() - interval '1 hour', now() - interval '1 hour',
                 now() - interval '1 hour'
             FROM workflow_node_executions e WHERE e.id = '{genuine}'"
        );
        builder.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        product.sealflow.invoke("sweeper", &json!({})).await.expect("the sweeper sweeps");
        let ended =
            format!("SELECT state, result, result_reason FROM workflow_node_executions WHERE id = '{id}'");
        let expected = "finished|failed|secret_denied";
        product.sealflow.await_sql(&ended, expected, Duration::from_secs(30)).await.expect(what);
    }
    assert_eq!(product.target.requests("/genuine").len(), 1, "only the genuine call was sent");
    assert!(product.other.requests("").is_empty());
    story.end(&[&secret]).await;
}
