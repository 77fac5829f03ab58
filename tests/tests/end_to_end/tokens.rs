//! Tokens that end, and names that choose no other resource: from the API and the command line, on
//! the running product.

use domain::limits::TOKENS_MAX;
use serde_json::{Value, json};
use std::sync::Arc;
use tests::e2e::{Cli, Product, Shared, Story, word};
use tests::wait_for;

async fn product() -> Arc<Product> {
    static PRODUCT: Shared = Shared::new();
    PRODUCT.get(|builder| builder).await
}

/// The status of a request with another token.
async fn status(story: &Story<'_>, token: &str) -> u16 {
    let request = http::Request::get(format!("{}/v1/me", story.product.sealflow.gateway_url()))
        .header("authorization", format!("Bearer {token}"));
    story.product.send(request.body(bytes::Bytes::new()).unwrap()).await.status().as_u16()
}

/// I1: it was in one answer, and is in no database, log or message.
async fn is_kept_nowhere(product: &Product, token: &str) {
    let sealflow = &product.sealflow;
    let dump = sealflow.stack().postgres().dump(sealflow.database()).await.unwrap();
    let hash = hex::encode(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()));
    let dump = String::from_utf8_lossy(&dump);
    assert!(dump.contains(&hash) && !dump.contains(token), "its hash is kept, and nothing else");
    let logs = std::fs::read_dir(sealflow.logs_dir()).unwrap().map(|entry| entry.unwrap().path());
    for path in logs.chain([sealflow.messages_file()]) {
        let text = std::fs::read(&path).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&text).contains(token), "I1: {}", path.display());
    }
}

#[tokio::test]
async fn a_token_works_until_it_is_revoked_on_warm_instances_too_i6() {
    let product = &product().await;
    let (story, others) = (product.story("tokens").await, product.story("others").await);
    let (code, made) =
        story.call("POST", "/v1/tokens", Some(&json!({ "name": "ci", "role": "editor" }))).await;
    assert_eq!(code, 201, "{made}");
    let token = word(&made["token"]);
    assert!(token.starts_with("sf_") && token.len() == 67);
    assert_eq!(
        (&made["name"], &made["expires_at"], &made["created_by"]),
        (
            &json!("ci"),
            &Value::Null,
            &json!({ "kind": "token", "id": made["created_by"]["id"], "name": "bootstrap" })
        )
    );
    assert_eq!(status(&story, &token).await, 200, "an instance that has seen it");
    // Shown once: neither listed nor stored.
    let listed = story.get("/v1/tokens").await;
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(&token));
    let (code, answer) =
        story.call("POST", "/v1/tokens", Some(&json!({ "name": "ci", "role": "editor" }))).await;
    assert_eq!(code, 409, "{answer}");
    // Another organization sees and ends nothing.
    let id = word(&made["id"]);
    assert_eq!(others.call("POST", &format!("/v1/tokens/{id}/revoke"), Some(&json!({}))).await.0, 404, "I6");
    assert_eq!(others.call("POST", "/v1/tokens/ci/revoke", Some(&json!({}))).await.0, 404, "I6");
    assert_eq!(status(&story, &token).await, 200);
    let (code, revoked) = story.call("POST", "/v1/tokens/ci/revoke", Some(&json!({}))).await;
    assert_eq!(code, 200, "{revoked}");
    assert_eq!(status(&story, &token).await, 401, "at once");
    // Once more is no error; the name is free again.
    assert_eq!(story.call("POST", &format!("/v1/tokens/{id}/revoke"), Some(&json!({}))).await.0, 200);
    assert_eq!(
        story.call("POST", "/v1/tokens", Some(&json!({ "name": "ci", "role": "editor" }))).await.0,
        201
    );
    // The last one that lasts stays, also where one is there that will end.
    let short = json!({ "name": "short", "role": "viewer", "expires_in_seconds": 3600 });
    assert_eq!(story.call("POST", "/v1/tokens", Some(&short)).await.0, 201);
    assert_eq!(story.call("POST", "/v1/tokens/ci/revoke", Some(&json!({}))).await.0, 200);
    let (code, answer) = story.call("POST", "/v1/tokens/bootstrap/revoke", Some(&json!({}))).await;
    assert_eq!(
        (
            code,
            answer["detail"]
                .as_str()
                .unwrap()
                .contains("last owner of the organization that does not expire")
        ),
        (409, true),
        "{answer}"
    );
    others.end(&[]).await;
    story.end(&[]).await;
    is_kept_nowhere(product, &token).await;
}

#[tokio::test]
async fn a_token_with_an_end_is_refused_from_then_on() {
    let product = &product().await;
    let story = product.story("expiry").await;
    let (_, made) = story
        .call(
            "POST",
            "/v1/tokens",
            Some(&json!({ "name": "short", "role": "viewer", "expires_in_seconds": 3 })),
        )
        .await;
    let token = word(&made["token"]);
    assert_eq!(status(&story, &token).await, 200);
    let (story, token) = (&story, &token);
    wait_for("the token's end", || async move { (status(story, token).await == 401).then_some(()) }).await;
    for bad in [
        json!({ "name": "", "role": "viewer" }),
        json!({ "name": "x", "role": "viewer", "expires_in_seconds": 0 }),
        json!({ "name": "x" }),
        json!({ "name": "x", "role": "king" }),
        json!({ "name": "x", "role": "viewer", "admin": true }),
    ] {
        assert_eq!(story.call("POST", "/v1/tokens", Some(&bad)).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn an_organization_has_so_many_tokens_and_no_more_i10() {
    let product = &product().await;
    let story = product.story("many").await;
    // The first one is there, and one is left to make.
    let fill = format!(
        "INSERT INTO api_tokens (id, organization_id, name, token_sha256, created_at)
         SELECT gen_random_uuid(), '{}', 'token ' || n, sha256(n::text::bytea || '{}'), now() FROM generate_series(1, {TOKENS_MAX} - 2) AS n",
        story.organization.id, story.organization.id
    );
    product.sealflow.sql(&fill).await.unwrap();
    let create = async |name: &str| {
        story.call("POST", "/v1/tokens", Some(&json!({ "name": name, "role": "viewer" }))).await.0
    };
    assert_eq!(create("the last one").await, 201, "{TOKENS_MAX}");
    assert_eq!(create("one too many").await, 409, "{TOKENS_MAX} + 1");
    story.end(&[]).await;
}

#[tokio::test]
async fn the_command_line_makes_lists_and_revokes_tokens() {
    let product = &product().await;
    let story = product.story("cli").await;
    let cli = Cli::of(&story);
    let made = cli.run("token create deploy --role admin --expires 90d").await;
    let token = made.out.trim().to_owned();
    assert!(
        token.starts_with("sf_")
            && made.err.contains("shown only now")
            && made.err.contains("it is accepted until"),
        "{made:?}"
    );
    assert_eq!(status(&story, &token).await, 200);
    assert!(cli.run("token list").await.passed().contains("deploy"));
    assert_eq!(cli.run("token revoke deploy").await.passed(), "revoked deploy\n");
    assert_eq!(status(&story, &token).await, 401);
    let again = cli.run("token revoke deploy").await;
    assert_eq!((again.code, again.err.contains("there is no such token")), (5, true), "{again:?}");
    assert_ne!(cli.run("token create x --role viewer --expires soon").await.code, 0);
    story.end(&[]).await;
    is_kept_nowhere(product, &token).await;
}

#[tokio::test]
async fn people_are_members_and_the_log_says_who_did_what() {
    let product = &product().await;
    let story = product.story("people").await;
    let cli = Cli::of(&story);
    let invited = cli.run("member invite ann@example.com --role viewer").await;
    assert!(invited.err.contains("of the member ann@example.com (viewer), shown only now"), "{invited:?}");
    let ann = cli.with("SEALFLOW_TOKEN", invited.out.trim());
    let status = ann.run("auth status").await.passed();
    assert!(
        status.contains("ann@example.com") && status.contains("viewer") && !status.contains("runs:start"),
        "{status}"
    );
    let refused = ann.run("secret list").await;
    assert!(refused.code == 4 && refused.err.contains("it needs `secrets:read`"), "{refused:?}");
    assert_eq!(ann.run("run list").await.code, 0);
    let refused = ann.run("token create ci --role viewer").await;
    assert_eq!(refused.code, 4, "{refused:?}");
    let set = cli.run("member set ann@example.com --role editor --no-grants").await.passed();
    assert_eq!(set, "ann@example.com is editor now, with: \n");
    assert!(cli.run("member list").await.passed().contains("ann@example.com  editor"));
    assert_eq!(cli.run("member remove ann@example.com").await.passed(), "removed ann@example.com\n");
    assert_eq!(ann.run("run list").await.code, 4);
    let log = cli.run("audit list --action members:write").await.passed();
    let lines: Vec<&str> = log.lines().skip(1).collect();
    assert!(
        lines.len() == 3 && lines.iter().all(|line| line.contains("bootstrap") && line.contains("127.0.0.1")),
        "{log}"
    );
    assert_eq!(
        cli.run("audit list --object ann@example.com --since 1h --json").await.json()["audit"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    for wrong in [
        "member invite ann",
        "member invite a@b.example --role king",
        "token create x",
        "audit list --since soon",
    ] {
        assert_ne!(cli.run(wrong).await.code, 0, "{wrong}");
    }
    story.end(&[]).await;
}

#[tokio::test]
async fn the_operator_lists_suspends_limits_and_helps_a_lost_owner() {
    let product = &product().await;
    let story = product.story("operated").await;
    let cli = Cli::of(&story);
    let id = story.organization.id.to_string();
    assert!(cli.run("admin organizations").await.passed().contains(&format!("{id}  ")));
    let suspended = cli.run(&format!("admin suspend {id}")).await.passed();
    assert!(suspended.contains("suspended since"), "{suspended}");
    let refused = cli.run("run list").await;
    assert!(refused.code == 4 && refused.err.contains("suspended"), "{refused:?}");
    assert!(cli.run(&format!("admin resume {id}")).await.passed().contains("active"));
    assert_eq!(cli.run("run list").await.code, 0);
    assert!(cli.run(&format!("admin limit {id} 7")).await.passed().contains("7 requests a second at most"));
    assert!(!cli.run(&format!("admin limit {id} none")).await.passed().contains("requests a second"));
    let made = cli.run(&format!("admin token {id} --json")).await.json();
    let owner = cli.with("SEALFLOW_TOKEN", &word(&made["token"]));
    assert_eq!(owner.run("auth status --json").await.json()["role"], "owner");
    let log = owner.run("audit list --actor operator").await.passed();
    assert!(log.contains("limited") && log.contains("suspended") && log.contains("tokens:write"), "{log}");
    let unknown = cli.run("admin suspend nobody-has-this-name").await;
    assert_ne!(unknown.code, 0, "{unknown:?}");
    story.end(&[]).await;
    is_kept_nowhere(product, &word(&made["token"])).await;
}

fn definition(name: &str) -> Value {
    json!({ "name": name, "nodes": [{ "id": "start", "name": "Start", "trigger": "start" }], "edges": [] })
}

#[tokio::test]
async fn a_name_is_one_segment_and_never_another_resource() {
    let product = &product().await;
    let story = product.story("names").await;
    let cli = Cli::of(&story);
    let names = ["bug", "bug#2", "bug?2", "team/deploy", "..", "50%", "a%2Fb", "größe", "~x"];
    for name in names {
        let (code, answer) = story.call("PUT", "/v1/workflows", Some(&definition(name))).await;
        assert_eq!(code, 200, "{name}: {answer}");
    }
    // By the command line every name is its own workflow.
    for name in names {
        let shown = cli.run_with(&["workflow", "show", name, "--json"], "").await.json();
        assert_eq!(shown["name"], *name, "{shown}");
    }
    for name in names.iter().skip(1) {
        let deleted = cli.run_with(&["workflow", "delete", name], "").await;
        assert_eq!(deleted.code, 0, "{name}: {deleted:?}");
        let left = story.get("/v1/workflows").await.to_string();
        assert!(left.contains("\"bug\""), "deleting {name} deleted bug");
        assert!(!left.contains(&format!("\"name\":{}", json!(name))), "{name} is still there");
    }
    // By hand: a gateway decodes the path once. What can't be said that way is not there, and is
    // nothing else.
    story.call("PUT", "/v1/workflows", Some(&definition("bug#2"))).await;
    assert_eq!(story.get("/v1/workflows/bug%232").await["name"], "bug#2");
    for path in [
        "/v1/workflows/..%2Forganization",
        "/v1/workflows/team%2Fdeploy",
        "/v1/workflows/~Li4vb3JnYW5pemF0aW9u",
    ] {
        assert_eq!(story.call("GET", path, None).await.0, 404, "{path}");
    }
    // No secret has such a name, and `delete` finds no other one by it.
    let secret = json!({ "value": "canary-of-a-name", "hosts": ["a.example"], "in": ["body"] });
    assert_eq!(story.call("PUT", "/v1/secrets/github/token", Some(&secret)).await.0, 200);
    for name in ["github#x", "github?x", "github/..", "./github", "github.token#x"] {
        let deleted = cli.run_with(&["secret", "delete", name], "").await;
        assert_ne!(deleted.code, 0, "{name}: {deleted:?}");
    }
    assert!(story.get("/v1/secrets").await.to_string().contains("\"github\""));
    let (code, answer) = story.call("DELETE", "/v1/organization", None).await;
    assert_eq!(
        (code, answer["detail"].as_str().unwrap().contains("repeat its name")),
        (400, true),
        "{answer}"
    );
    assert_eq!(story.call("DELETE", "/v1/organization?name=other", None).await.0, 400);
    story.end(&["canary-of-a-name"]).await;
}

#[tokio::test]
async fn what_is_no_address_of_a_webhook_reaches_no_database() {
    let product = &product().await;
    let story = product.story("addresses").await;
    for address in ["a%00b", "x", "%2e%2e", &"0".repeat(31), &"g".repeat(32), &"0".repeat(33)] {
        let url = format!("{}/hooks/{address}", product.sealflow.gateway_url());
        assert_eq!(story.post(&url, &[], "{}").await.0, 404, "{address}");
    }
    let log = std::fs::read_to_string(product.sealflow.logs_dir().join("webhook.log")).unwrap_or_default();
    assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
    story.end(&[]).await;
}
