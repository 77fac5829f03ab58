//! Another KMS key, end to end as docs/deploying.md has it: the API seals under the new key,
//! `sealflow admin rewrap` moves the rest, the old key is disabled, and workflows and webhooks go
//! on.

use serde_json::json;
use tests::e2e::{Cli, Product, make_secret, placed, signature, word};
use tests::kms::{FakeKms, KEY, REFUSED};

const NEW: &str = "alias/new";

const DEFINITION: &str = r#"
name: moved
nodes:
  - { id: hook, name: Hook, trigger: webhook, configuration: { authentication: signature } }
  - id: call
    name: Call
    component: http
    configuration:
      url: TARGET/moved
      headers:
        - { name: Authorization, value: 'Bearer {{ secrets("github").token }}' }
        - { name: X-Other, value: '{{ secrets("github").other }}' }
edges:
  - { from: hook, to: call }
"#;

#[tokio::test]
async fn secrets_move_to_another_key_and_work_goes_on_i1() {
    let kms = FakeKms::start().await;
    let url = kms.url();
    let product = Product::start(move |builder| {
        builder
            .rust_log("trace")
            .kms_endpoint(url)
            .environment_of_all("SEALFLOW_KMS_KEY_ID", KEY)
            .environment("rewrap", "SEALFLOW_KMS_KEY_ID", NEW)
            .environment("rewrap", "SEALFLOW_REWRAP_FROM_KEY_ID", KEY)
    })
    .await;
    let story = product.story("moving").await;
    let cli = Cli::of(&story);
    let (token, other) = (make_secret("token"), make_secret("other"));
    story.set_secret("github", "token", &token).await;
    let applied = story.apply(&placed(&product, DEFINITION)).await;
    let hook = &applied["webhooks"][0];
    // A key of the sender's own, which no answer shows.
    let (address, key) = (word(&hook["url"]), make_secret("signing-key"));
    let set = cli.run_with(&["webhook", "set", "moved/hook", "-", "--keep-previous", "0"], &key).await;
    assert_eq!(set.code, 0, "{set:?}");
    let lambda = product.sealflow.lambda();
    let post = async |n: usize| {
        let body = json!({ "n": n }).to_string();
        let headers = [
            ("content-type", "application/json"),
            ("x-hub-signature-256", &signature(&key, body.as_bytes())),
        ];
        let (status, answer) = story.post(&address, &headers, body).await;
        assert_eq!(status, 202, "{answer}");
        let run = story.ended(&word(&answer["event_id"])).await;
        assert_eq!(run["result"], "passed", "{:#?}", story.executions(&word(&run["id"])).await);
        let heard = product.target.heard("/moved", n).await;
        let sent = &heard[n - 1];
        assert_eq!(sent.header("authorization"), Some(format!("Bearer {token}").as_str()));
        assert_eq!(sent.header("x-other"), Some(other.as_str()));
    };

    // The API is deployed with the new key: what is set from now on is under it, beside what was
    // there.
    lambda
        .reconfigure("api", |options| {
            options.environment.insert("SEALFLOW_KMS_KEY_ID".to_owned(), NEW.to_owned());
        })
        .unwrap();
    lambda.kill("api").unwrap();
    story.set_secret("github", "other", &other).await;
    post(1).await;

    kms.disable(NEW);
    let refused = cli.run("admin rewrap").await;
    assert!(refused.code == 1 && refused.err.contains("both keys must be there and enabled"), "{refused:?}");
    assert!(!refused.err.contains(REFUSED), "{refused:?}");
    kms.enable(NEW);
    let moved = cli.run("admin rewrap").await.passed();
    assert_eq!(
        moved,
        "moved 2 values to the new key; 1 not under the old one\nrun it again until it moves nothing\n"
    );
    let over = cli.run("admin rewrap").await.passed();
    assert_eq!(
        over,
        "moved 0 values to the new key; 3 not under the old one\nnothing that can be moved is left under the old key\n"
    );
    let answer = cli.run("admin rewrap --json").await.json();
    assert_eq!(
        answer,
        json!({ "moved": 0, "elsewhere": 3, "changed": 0, "unreadable": [], "unreadable_count": 0, "next": null })
    );

    // The old key ends. The webhook function keeps an opened signing key for a while, so it starts
    // anew.
    kms.disable(KEY);
    lambda.kill("webhook").unwrap();
    post(2).await;
    story.end(&[&token, &other, &key]).await;
    product.sealflow.stop().await.unwrap();
}
