//! The recipes of `docs/recipes`, run as they are written, against stand-ins of the services that
//! they name. Nothing of them was tried against the services themselves.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tests::e2e::issuer::{IssuerWorld, KEY_PKCS1};
use tests::e2e::{Product, Reply, Story, make_secret, word};
use webhook_signature::{SentRequest, sign};

/// The definition in a recipe, with stand-ins in the place of its services.
fn recipe(name: &str, stand_ins: &[(&str, &str)]) -> String {
    let path = format!("{}/../docs/recipes/{name}.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let definition = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let definition = definition.unwrap_or_else(|| panic!("{path} has no definition"));
    stand_ins.iter().fold(definition.to_owned(), |text, (service, stand_in)| {
        assert!(text.contains(service), "{name} does not name {service}");
        text.replace(service, stand_in)
    })
}

/// Applies a definition; gives the address and the key of its webhook.
async fn apply(story: &Story<'_>, definition: &str) -> (String, String) {
    let answer = story.apply(definition).await;
    (word(&answer["webhooks"][0]["url"]), word(&answer["webhooks"][0]["signing_key"]))
}

/// Posts a body as this sender would, with these headers too.
async fn post(
    product: &Product,
    sender: &str,
    (url, key): &(String, String),
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, Value) {
    let configuration =
        components::webhook::WebhookConfiguration::read(&json!({ "sender": sender })).unwrap();
    let request = SentRequest { url, body, is_form: true, id: "" };
    let now = process::Clock::system().now();
    let signed =
        sign(&configuration.scheme, &configuration.header_name.unwrap(), key.as_bytes(), request, now);
    let mut request = http::Request::post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    for (name, value) in signed {
        request = request.header(name, value);
    }
    let answer = product.send(request.body(Bytes::copy_from_slice(body)).unwrap()).await;
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap_or_default())
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn the_recipes_do_what_they_say_i1() {
    let issuer = IssuerWorld::start().await;
    let host = issuer.host_port();
    let product = Arc::new(Product::start(|builder| builder.http_allow(host)).await);
    let target = product.target.url();

    let story = product.story("stripe").await;
    let shop = make_secret("shop");
    story.set_secret("shop", "key", &shop).await;
    let hook = apply(&story, &recipe("stripe-order", &[("https://shop.example.com", &target)])).await;
    product.target.script("/orders", [Reply::Status(503)]);
    let event = |kind: &str, id: &str| {
        json!({ "id": id, "type": kind, "data": { "object": { "client_reference_id": "A-17", "amount_total": 4200 } } }).to_string()
    };
    let paid = event("checkout.session.completed", "evt_1");
    let (status, first) = post(&product, "stripe", &hook, &[JSON], paid.as_bytes()).await;
    assert_eq!(status, 202, "{first}");
    let (_, again) = post(&product, "stripe", &hook, &[JSON], paid.as_bytes()).await;
    assert_eq!((&again["run_id"], &again["duplicate"]), (&first["run_id"], &json!(true)));
    let other = post(&product, "stripe", &hook, &[JSON], event("charge.refunded", "evt_2").as_bytes()).await;
    assert_eq!(other, (202, json!({ "filtered": true })));
    let run = story.ended(&word(&first["run_id"])).await;
    assert_eq!((&run["result"], &run["name"]), (&json!("passed"), &json!("order A-17")), "{run}");
    let orders = product.target.requests("/orders");
    assert_eq!(orders.len(), 2, "one order, tried again after 503");
    assert_eq!(orders[0].json(), json!({ "reference": "A-17", "paid_cents": 4200, "event": "evt_1" }));
    assert_eq!(orders[0].header("idempotency-key"), orders[1].header("idempotency-key"), "I5");
    assert_eq!(orders[0].header("x-api-key"), Some(shop.as_str()));
    story.end(&[&shop]).await;

    let story = product.story("slack").await;
    let deploy = make_secret("deploy");
    story.set_secret("deploy", "token", &deploy).await;
    let hook =
        apply(&story, &recipe("slack-slash-command", &[("https://deploy.example.com", &target)])).await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let response_url: String =
        form_urlencoded::byte_serialize(format!("{target}/respond/1").as_bytes()).collect();
    let command = format!("command=%2Fdeploy&text=api&user_name=ada&response_url={response_url}");
    let version = Reply::Whole(
        200,
        vec![("content-type", "application/json".to_owned())],
        b"{\"version\": \"v12\"}".to_vec(),
    );
    product.target.script("/start", [version, Reply::Status(400)]);
    for (said, expected) in
        [(1, "deployed api: v12"), (2, "not deployed: the server answered with status 400")]
    {
        let answer = post(&product, "slack", &hook, &[form], command.as_bytes()).await;
        assert_eq!(answer, (200, json!({ "response_type": "ephemeral", "text": "deploying api …" })));
        let heard = product.target.heard("/respond/1", said).await;
        assert_eq!(heard[said - 1].json(), json!({ "text": expected }));
    }
    let bearer = format!("Bearer {deploy}");
    assert_eq!(product.target.requests("/start")[0].header("authorization"), Some(bearer.as_str()));
    story.end(&[&deploy]).await;

    let story = product.story("github").await;
    story.set_secret("github", "private_key", KEY_PKCS1).await;
    let (api, repositories) = (issuer.url(), format!("{}/api/repos", issuer.url()));
    let stand_ins =
        [("https://api.github.com/repos", repositories.as_str()), ("https://api.github.com", api.as_str())];
    let hook = apply(&story, &recipe("github-app", &stand_ins)).await;
    let opened = json!({ "action": "opened", "installation": { "id": 77 }, "repository": { "full_name": "octo/hello" },
        "issue": { "number": 5, "user": { "login": "ada" } } })
    .to_string();
    let headers = [JSON, ("x-github-event", "issues"), ("x-github-delivery", "d-1")];
    let (status, taken) = post(&product, "github", &hook, &headers, opened.as_bytes()).await;
    assert_eq!(status, 202);
    let run = story.ended(&word(&taken["run_id"])).await;
    assert_eq!((&run["result"], &run["name"]), (&json!("passed"), &json!("octo/hello#5")));
    let comments = issuer.requests("/api/repos/octo/hello/issues/5/comments");
    assert_eq!(comments.len(), 1);
    let pinged = post(&product, "github", &hook, &[JSON, ("x-github-event", "ping")], b"{}").await;
    assert_eq!(pinged, (202, json!({ "filtered": true })));
    let given = issuer.given();
    let secrets: Vec<&str> = given.iter().map(String::as_str).collect();
    story.end(&secrets).await;
}
