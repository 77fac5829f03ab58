//! Short-lived credentials: the real executor and guarded client, an issuer that checks its
//! requests, and an API that accepts only the issuer's tokens and repeats them in its answer. In
//! every outcome, no token and no key is stored (I1).

use domain::ids::EventId;
use jiff::SignedDuration;
use local::leaks::{self, Place};
use process::Clock;
use serde_json::{Value, json};
use tests::World;
use tests::e2e::issuer::{IssuerWorld, KEY_PKCS1, KEY_PKCS8};
use tests::e2e::outside::Outside;
use tests::kms::FakeKms;
use tests::world::{build, event, execute, messages};
use vault_format::{Purpose, Scope};

/// A port without a server.
const CLOSED_PORT: u16 = 9;

struct Stage {
    world: World,
    kms: FakeKms,
    issuer: IssuerWorld,
    /// A host that the credentials do not name.
    other: Outside,
    executor: executor::Deps,
}

impl Stage {
    async fn create() -> Self {
        let (world, kms) = (World::create().await, FakeKms::start().await);
        let (issuer, other) = (IssuerWorld::start().await, Outside::start().await);
        let allow = format!("{},{},127.0.0.1:{CLOSED_PORT}", issuer.host_port(), other.host_port());
        let executor = world.executor_at(world.database.url("executor"), &allow, &kms.url());
        let stage = Self { world, kms, issuer, other, executor };
        let record = stage.issuer.record();
        let account =
            json!({ "client_email": "robot@project.example", "private_key": KEY_PKCS8 }).to_string();
        let keys = [
            ("client_id", record.client_id.as_str()),
            ("client_secret", &record.client_secret),
            ("wrong", "wrong-client-secret"),
            ("key", KEY_PKCS1),
            ("account", &account),
            ("aws", &record.aws_key),
            ("signing", &record.signing_key),
        ];
        stage.put("idp", &[&stage.issuer.host_port()], &keys).await;
        stage.put("elsewhere", &[&stage.other.host_port()], &[("key", "a-key-of-another-host")]).await;
        stage.put("anywhere", &[], &keys).await;
        stage.put("both", &[&stage.issuer.host_port(), &stage.other.host_port()], &keys).await;
        stage
    }

    async fn put(&self, name: &str, hosts: &[&str], keys: &[(&str, &str)]) {
        let (id, organization_id) = (self.world.id(), self.world.organization_id);
        let scope = Scope { organization_id, secret_id: id, purpose: Purpose::Secret };
        let keys: Vec<(&str, &str, &[&str])> =
            keys.iter().map(|(key, value)| (*key, *value, hosts)).collect();
        let data = hex::encode(self.kms.sealed(&scope, &keys).await);
        let sql = format!(
            "INSERT INTO secrets (id, name, domain_type, domain_id, data, created_by, created_at, updated_at)
             VALUES ('{id}', '{name}', 'org', '{organization_id}', '\\x{data}', 'test', now(), now())"
        );
        self.world.database.sql(&sql).await;
    }

    /// Runs `count` calls of one configuration in one batch of the executor; gives the end of each,
    /// and its output.
    async fn run_many(&self, count: usize, configuration: &Value) -> Vec<Value> {
        let run = self.start(count, configuration, &json!({ "max_attempts": 1 })).await;
        execute(&self.executor, &messages(&self.world.queues.take())).await;
        // The wakes of the next nodes: there are none.
        drop(self.world.queues.take());
        self.ended(run).await
    }

    /// Starts a run of `count` calls; their messages wait in the queue.
    async fn start(&self, count: usize, configuration: &Value, retry: &Value) -> EventId {
        let mut nodes = vec![json!({ "id": "start", "name": "start", "trigger": "start" })];
        let mut edges = Vec::new();
        for call in (0..count).map(|at| format!("call{at}")) {
            nodes.push(
                json!({ "id": call, "name": call, "component": "http", "retry": retry, "configuration": configuration }),
            );
            edges.push(json!({ "from": "start", "to": call }));
        }
        let workflow = self.world.workflow(json!(nodes), json!(edges)).await;
        let run = self.world.start(&workflow, "start", json!({ "installation": 77 })).await;
        build(&self.world.builder(), &[event(run)]).await;
        run
    }

    /// The ends of a run's executions, and their outputs.
    async fn ended(&self, run: EventId) -> Vec<Value> {
        let sql = format!(
            "SELECT jsonb_agg(jsonb_build_object('result', x.result, 'reason', x.result_reason, 'message', x.result_message,
                 'code', x.metadata #>> '{{attempts,0,error,code}}', 'data',
                 (SELECT e.data FROM workflow_events e WHERE e.execution_id = x.id)))
             FROM workflow_node_executions x WHERE x.root_event_id = '{run}'"
        );
        serde_json::from_str(&self.world.database.sql(&sql).await).unwrap()
    }

    async fn run(&self, configuration: &Value) -> Value {
        self.run_many(1, configuration).await.remove(0)
    }

    /// Runs a call of the issuer's API with an `authorization`.
    async fn call(&self, path: &str, authorization: &Value) -> Value {
        let url = format!("{}{path}", self.issuer.url());
        self.run(&json!({ "url": url, "authorization": authorization })).await
    }

    fn client(&self, path: &str) -> Value {
        json!({
            "type": "oauth2_client_credentials",
            "token_url": format!("{}{path}", self.issuer.url()),
            "client_id": "{{ secrets(\"idp\").client_id }}",
            "client_secret": "{{ secrets(\"idp\").client_secret }}",
        })
    }

    fn asked(&self) -> usize {
        self.issuer.requests("/oauth/token").len()
    }

    /// Asserts I1: nothing of a credential is in the database.
    async fn assert_no_leaks(&self) {
        let sql = "SELECT row_to_json(e)::text FROM workflow_events e
             UNION ALL SELECT row_to_json(x)::text FROM workflow_node_executions x";
        let rows = self.world.database.sql(sql).await;
        let record = self.issuer.record();
        let mut secrets = self.issuer.given();
        let signed = self.issuer.requests("/aws/x").into_iter().chain(self.issuer.requests("/signed/x"));
        secrets.extend(signed.filter_map(|request| {
            let header =
                request["headers"]["x-signature"].as_str().or(request["headers"]["authorization"].as_str())?;
            header.rsplit('=').next().map(str::to_owned)
        }));
        secrets.extend(
            [&record.client_id, &record.client_secret, &record.aws_key, &record.signing_key]
                .map(String::clone),
        );
        // One line from the middle of each key.
        secrets.extend([KEY_PKCS1, KEY_PKCS8].iter().filter_map(|key| key.lines().nth(3)).map(str::to_owned));
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let report = leaks::check(&secrets, vec![Place::new("rows", rows)]);
        assert!(report.is_clean(), "{report}");
    }
}

/// An authorization by a code over time, method, path, query and body.
fn signed() -> Value {
    let over = "sent_at(\"unix\") + \".\" + request(\"method\") + \".\" + request(\"path\") + \".\" + request(\"query\") + \".\" + request(\"body\")";
    json!({
        "type": "hmac",
        "name": "X-Signature",
        "template": format!("t={{{{ sent_at(\"unix\") }}}},v1={{{{ hmac(\"sha256\", secrets(\"idp\").signing, {over}, \"hex\") }}}}"),
    })
}

fn passed(ended: &Value) -> &Value {
    assert_eq!(ended["result"], "passed", "{ended:#}");
    assert_eq!(ended["data"]["status"], 200, "{ended:#}");
    &ended["data"]["body"]
}

#[tokio::test]
async fn a_token_of_client_credentials_is_used_and_never_stored_i1() {
    let stage = Stage::create().await;
    for (method, path) in [("client_secret_basic", "/api/basic"), ("client_secret_post", "/api/post")] {
        let mut authorization = stage.client("/oauth/token");
        authorization["auth_method"] = json!(method);
        let ended = stage.call(path, &authorization).await;
        let body = passed(&ended);
        assert_eq!(body["headers"]["authorization"], "Bearer [secret:idp.client_secret]", "{body:#}");
    }
    assert_eq!(stage.asked(), 2, "one token is asked for with each method");
    passed(&stage.call("/api/basic", &stage.client("/oauth/token")).await);
    assert_eq!(stage.asked(), 2, "the token is kept");
    stage.assert_no_leaks().await;
}

#[tokio::test]
async fn ten_executions_at_once_ask_once_and_a_refused_token_is_asked_for_once_more_i5() {
    let stage = Stage::create().await;
    let configuration = json!({ "url": format!("{}/api/ten", stage.issuer.url()), "authorization": stage.client("/oauth/token") });
    for ended in stage.run_many(10, &configuration).await {
        passed(&ended);
    }
    assert_eq!(stage.asked(), 1);
    stage.issuer.revoke_all();
    let before = stage.issuer.requests("/api/ten").len();
    let ended = stage.run(&configuration).await;
    passed(&ended);
    assert_eq!(stage.asked(), 2);
    let sent = stage.issuer.requests("/api/ten").split_off(before);
    let keys: Vec<&Value> = sent.iter().map(|request| &request["headers"]["idempotency-key"]).collect();
    assert!(matches!(keys.as_slice(), [first, second] if first == second && first.is_string()), "{keys:?}");
    // A target may refuse a token that was asked for just now. Then the token is forgotten, and the
    // request is not sent again.
    stage.issuer.revoke_all();
    let (asked, refusing) = (stage.asked(), "/jwt-api/refuses");
    let mut fresh = stage.client("/oauth/token");
    fresh["scope"] = json!("another");
    for _ in 0..2 {
        let ended = stage.call(refusing, &fresh).await;
        assert_eq!((ended["result"].as_str(), ended["code"].as_str()), (Some("failed"), Some("http_status")));
    }
    assert_eq!((stage.issuer.requests(refusing).len(), stage.asked() - asked), (2, 2));
    // A target that redirected has acted on the request, so this request is not sent again either.
    passed(&stage.call("/api/behind", &stage.client("/oauth/token")).await);
    stage.issuer.revoke_all();
    let ended = stage.call("/moved-api", &stage.client("/oauth/token")).await;
    assert_eq!((ended["code"].as_str(), stage.issuer.requests("/moved-api").len()), (Some("http_status"), 1));
    stage.assert_no_leaks().await;
}

#[tokio::test]
async fn tokens_for_a_signed_assertion_are_used_and_never_stored_i1() {
    let stage = Stage::create().await;
    let google = json!({
        "type": "jwt_bearer",
        "token_url": format!("{}/jwt/token", stage.issuer.url()),
        "key": "{{ fromJSON(secrets(\"idp\").account).private_key }}",
        "issuer": "{{ fromJSON(secrets(\"idp\").account).client_email }}",
        "scope": "read write",
    });
    let github = json!({
        "type": "github_app",
        "app_id": 4711,
        "installation_id": "{{ root().data.installation }}",
        "key": "{{ secrets(\"idp\").key }}",
        "api_url": stage.issuer.url(),
    });
    let snowflake = json!({
        "type": "jwt_bearer",
        "key": "{{ secrets(\"idp\").key }}",
        "issuer": "ACCOUNT.USER",
        "subject": "ACCOUNT.USER",
    });
    let salesforce = json!({
        "type": "jwt_bearer",
        "token_url": format!("{}/salesforce/token", stage.issuer.url()),
        "key": "{{ secrets(\"idp\").key }}",
        "issuer": "connected-app",
        "subject": "ann@example.com",
        "audience": "https://login.salesforce.example",
    });
    for (path, authorization) in [
        ("/api/google", &google),
        ("/api/github", &github),
        ("/jwt-api/x", &snowflake),
        ("/api/salesforce", &salesforce),
    ] {
        let ended = stage.call(path, authorization).await;
        let header = passed(&ended)["headers"]["authorization"].as_str().unwrap();
        assert!(header.starts_with("Bearer [secret:idp."), "{path}: {header}");
    }
    stage.assert_no_leaks().await;
}

#[tokio::test]
async fn tokens_that_come_with_a_token_are_scrubbed_too_i1() {
    let stage = Stage::create().await;
    let ended = stage.call("/api/companions", &stage.client("/oauth/token")).await;
    // The issuer gives a refresh token too, and the API answers with both tokens.
    assert_eq!(
        passed(&ended)["given"],
        json!(["[secret:idp.client_secret]", "[secret:idp.client_secret]"]),
        "{ended:#}"
    );
    stage.assert_no_leaks().await;
}

#[tokio::test]
async fn a_token_is_kept_for_the_secret_as_it_is_now_i6_i7() {
    let stage = Stage::create().await;
    let (authorization, record) = (stage.client("/oauth/token"), stage.issuer.record());
    passed(&stage.call("/api/kept", &authorization).await);
    let set = async |hosts: &[&str], client_secret: &str| {
        stage.world.database.sql("DELETE FROM secrets WHERE name = 'idp'").await;
        let keys = [("client_id", record.client_id.as_str()), ("client_secret", client_secret)];
        stage.put("idp", hosts, &keys).await;
        stage.call("/api/kept", &authorization).await
    };
    // The secret gets another value: the issuer is asked about the new value.
    let ended = set(&[&stage.issuer.host_port()], "a-value-that-was-set-since").await;
    assert_eq!(ended["code"], "credential_refused", "{ended:#}");
    // The secret gets fewer hosts: the target is still one of them, but the issuer is not.
    let elsewhere = json!({ "url": format!("{}/kept", stage.other.url()), "authorization": authorization });
    let both = [stage.issuer.host_port(), stage.other.host_port()];
    passed(&set(&[&both[0], &both[1]], &record.client_secret).await);
    assert_eq!(stage.run(&elsewhere).await["result"], "passed");
    set(&[&both[1]], &record.client_secret).await;
    let ended = stage.run(&elsewhere).await;
    assert_eq!(ended["code"], "host_not_allowed", "{ended:#}");
    assert!(ended["message"].as_str().unwrap().contains("to the issuer"), "{ended:#}");
    let asked = stage.asked();
    passed(&set(&[&stage.issuer.host_port()], &record.client_secret).await);
    assert_eq!(stage.asked(), asked, "the token of the secret's earlier state is still kept");
}

#[tokio::test]
async fn a_later_attempt_asks_and_signs_anew_and_keeps_its_key_while_nothing_was_sent_i5() {
    let stage = Stage::create().await;
    let mut later = stage.world.executor_at(
        stage.world.database.url("executor"),
        &stage.issuer.host_port(),
        &stage.kms.url(),
    );
    later.run.clock = Clock::shifted(SignedDuration::from_mins(10));
    let retry = json!({ "max_attempts": 2, "initial_interval": 1, "backoff": "fixed" });
    let run_twice = async |configuration: Value| {
        let run = stage.start(1, &configuration, &retry).await;
        execute(&stage.executor, &messages(&stage.world.queues.take())).await;
        let first = stage.ended(run).await.remove(0);
        assert_eq!(first["result"], Value::Null, "{first:#}");
        let due = format!("UPDATE workflow_node_executions SET run_at = now() WHERE root_event_id = '{run}'");
        stage.world.database.sql(&due).await;
        execute(&later, &messages(&stage.world.queues.take())).await;
        stage.ended(run).await.remove(0)
    };
    // The issuer is busy: no request was sent, so the attempt keeps its key.
    let url = format!("{}/api/later", stage.issuer.url());
    let ended = run_twice(json!({ "url": url, "authorization": stage.client("/oauth/busy") })).await;
    passed(&ended);
    let sent = stage.issuer.requests("/api/later");
    assert_eq!((sent.len(), stage.issuer.requests("/oauth/busy").len()), (1, 2));
    assert!(!sent[0]["headers"]["idempotency-key"].as_str().unwrap().ends_with("-2"), "{sent:#?}");
    // The target is busy: the next request is signed at its own time.
    let signed = signed();
    let url = format!("{}/signed/busy", stage.issuer.url());
    let ended = run_twice(json!({ "url": url, "authorization": signed })).await;
    passed(&ended);
    let times: Vec<i64> = stage
        .issuer
        .requests("/signed/busy")
        .iter()
        .map(|request| {
            let header = request["headers"]["x-signature"].as_str().unwrap();
            header.trim_start_matches("t=").split(',').next().unwrap().parse().unwrap()
        })
        .collect();
    assert!(matches!(times[..], [first, second] if (600..700).contains(&(second - first))), "{times:?}");
    stage.assert_no_leaks().await;
}

#[tokio::test]
async fn requests_are_signed_with_the_authors_keys_i1() {
    let stage = Stage::create().await;
    let aws = json!({
        "type": "aws_sigv4",
        "access_key_id": "AKIDCANARY",
        "secret_access_key": "{{ secrets(\"idp\").aws }}",
        "region": "eu-central-1",
        "service": "execute-api",
    });
    let url = format!("{}/aws/x?a=1&b=2", stage.issuer.url());
    let ended = stage
        .run(&json!({ "method": "POST", "url": url, "body": { "json": { "n": 1 } }, "authorization": aws }))
        .await;
    let header = passed(&ended)["headers"]["authorization"].as_str().unwrap();
    assert!(header.ends_with("Signature=[secret:idp.aws]"), "{header}");
    let signed = signed();
    let url = format!("{}/signed/x", stage.issuer.url());
    let configuration = json!({ "method": "POST", "url": url, "query": { "q": "a b" }, "body": { "text": "ä body" }, "authorization": signed });
    let ended = stage.run(&configuration).await;
    let header = passed(&ended)["headers"]["x-signature"].as_str().unwrap();
    assert!(header.ends_with(",v1=[secret:idp.signing]"), "{header}");
    stage.assert_no_leaks().await;
}

#[tokio::test]
async fn a_credential_that_gives_no_token_ends_in_a_clear_reason_i1() {
    let stage = Stage::create().await;
    let mut wrong = stage.client("/oauth/token");
    wrong["client_secret"] = json!("{{ secrets(\"idp\").wrong }}");
    let mut gone = stage.client("/oauth/token");
    gone["token_url"] = json!("http://127.0.0.1:1/oauth/token");
    let at = |url: &str| {
        let mut client = stage.client("");
        client["token_url"] = json!(url);
        for key in ["client_id", "client_secret"] {
            client[key] = json!(format!("{{{{ secrets(\"anywhere\").{key} }}}}"));
        }
        client
    };
    let closed = at(&format!("http://127.0.0.1:{CLOSED_PORT}/oauth/token"));
    let no_tls = at(&format!("https://{}/oauth/token", stage.issuer.host_port()));
    let nowhere = at("https://no-such-host.invalid/oauth/token");
    let mut no_key =
        json!({ "type": "jwt_bearer", "issuer": "a", "key": "{{ secrets(\"idp\").client_secret }}" });
    let unkeyed = no_key.clone();
    no_key["token_url"] = json!(format!("{}/jwt/token", stage.issuer.url()));
    let host = "127.0.0.1";
    for (name, authorization, reason, code, said) in [
        (
            "a wrong secret",
            wrong,
            "component_error",
            "credential_refused",
            format!("the issuer {host} refused the credential (invalid_client, status 401)"),
        ),
        (
            "an issuer that is down",
            stage.client("/oauth/down"),
            "component_error",
            "credential_unavailable",
            format!("the issuer {host} gave no token (status 503)"),
        ),
        (
            "an issuer that nobody answers for",
            closed,
            "component_error",
            "credential_unavailable",
            format!("the issuer {host} gave no token: it could not be connected to"),
        ),
        (
            "an issuer without TLS",
            no_tls,
            "component_error",
            "credential_unavailable",
            format!("the issuer {host} gave no token: it does not speak TLS at this port"),
        ),
        (
            "an issuer without an address",
            nowhere,
            "component_error",
            "credential_unavailable",
            "the issuer no-such-host.invalid gave no token: its name could not be resolved".to_owned(),
        ),
        (
            "a token that has expired",
            stage.client("/oauth/expired"),
            "component_error",
            "credential_refused",
            "it has expired already".to_owned(),
        ),
        (
            "a redirect",
            stage.client("/oauth/moved"),
            "component_error",
            "credential_refused",
            "a redirect, which is not followed".to_owned(),
        ),
        (
            "another host",
            gone,
            "secret_denied",
            "plain_http_with_secret",
            "not asked over plain http".to_owned(),
        ),
        ("no key", no_key, "component_error", "invalid_configuration", "PEM".to_owned()),
        (
            "no key of a token that is sent",
            unkeyed,
            "component_error",
            "invalid_configuration",
            "PEM".to_owned(),
        ),
    ] {
        let ended = stage.call("/api/never", &authorization).await;
        assert_eq!(
            (ended["reason"].as_str(), ended["code"].as_str()),
            (Some(reason), Some(code)),
            "{name}: {ended:#}"
        );
        assert!(ended["message"].as_str().unwrap().contains(&said), "{name}: {ended:#}");
    }
    assert!(stage.issuer.requests("/api/never").is_empty(), "without a token no request is sent");
    stage.assert_no_leaks().await;
}

#[tokio::test]
async fn each_value_is_held_against_the_connection_that_carries_it_i7() {
    let stage = Stage::create().await;
    let url = format!("{}/x", stage.other.url());
    // A token of an issuer goes to the credential's hosts only.
    let ended = stage.run(&json!({ "url": url, "authorization": stage.client("/oauth/token") })).await;
    assert_eq!(
        (ended["reason"].as_str(), ended["code"].as_str()),
        (Some("secret_denied"), Some("host_not_allowed"))
    );
    assert!(stage.other.requests("/").is_empty());
    // A header's key that may go to the target only is not compared with the issuer's host.
    let mut both = stage.client("/oauth/token");
    for key in ["client_id", "client_secret"] {
        both[key] = json!(format!("{{{{ secrets(\"both\").{key} }}}}"));
    }
    let headers = json!([{ "name": "X-Key", "value": "{{ secrets(\"elsewhere\").key }}" }]);
    let ended = stage.run(&json!({ "url": url, "headers": headers, "authorization": both })).await;
    assert_eq!(ended["result"], "passed", "{ended:#}");
    let sent = &stage.other.requests("/x")[0];
    assert!(sent.header("authorization").unwrap().starts_with("Bearer tok-"));
    // The issuer's host must be one of the credential's hosts.
    let elsewhere = json!({
        "type": "oauth2_client_credentials",
        "token_url": format!("{}/oauth/token", stage.issuer.url()),
        "client_id": "id",
        "client_secret": "{{ secrets(\"elsewhere\").key }}",
    });
    let asked = stage.asked();
    let ended = stage.run(&json!({ "url": url, "authorization": elsewhere })).await;
    assert_eq!(
        (ended["reason"].as_str(), ended["code"].as_str()),
        (Some("secret_denied"), Some("host_not_allowed"))
    );
    assert!(ended["message"].as_str().unwrap().contains("to the issuer 127.0.0.1"), "{ended:#}");
    assert_eq!(stage.asked(), asked, "the issuer was not asked");
    stage.assert_no_leaks().await;
}

#[tokio::test]
async fn an_issuer_has_no_more_time_than_the_execution() {
    let stage = Stage::create().await;
    let url = format!("{}/api/slow", stage.issuer.url());
    let configuration =
        json!({ "url": url, "timeout_seconds": 1, "authorization": stage.client("/oauth/slow") });
    let began = std::time::Instant::now();
    let ended = stage.run(&configuration).await;
    assert_eq!(ended["code"], "credential_unavailable", "{ended:#}");
    let message = ended["message"].as_str().unwrap();
    assert!(message.contains("the issuer 127.0.0.1 gave no token: it did not answer in time"), "{message}");
    assert!(began.elapsed().as_secs() < 4, "the executor does not wait for the issuer's answer");
    assert!(stage.issuer.requests("/api/slow").is_empty());
}

#[tokio::test]
async fn what_is_signed_confirms_no_guess_of_a_short_value_and_its_hash_is_not_stored_i1() {
    let stage = Stage::create().await;
    let pins = json!({ "pin": "4711", "long": "a-long-text-of-the-vault" }).to_string();
    stage.put("vault", &[], &[("pins", &pins), ("short", "4711")]).await;
    let url = format!("{}/signed/x", stage.issuer.url());
    let hmac = json!({ "type": "hmac", "name": "X-Signature",
        "template": "{{ hmac(\"sha256\", secrets(\"idp\").signing, request(\"body\"), \"hex\") }}" });
    let aws = |service: &str| {
        json!({ "type": "aws_sigv4", "access_key_id": "AKIDCANARY", "secret_access_key": "{{ secrets(\"idp\").aws }}",
        "region": "eu-central-1", "service": service })
    };
    let jwt = json!({ "type": "jwt_bearer", "key": "{{ secrets(\"idp\").key }}", "issuer": "{{ secrets(\"vault\").short }}" });
    let pin = "{{ fromJSON(secrets(\"vault\").pins).pin }}";
    for (body, authorization) in [
        (pin, &hmac),
        (pin, &aws("s3")),
        ("{{ secrets(\"vault\").short }}", &aws("execute-api")),
        ("x", &jwt),
    ] {
        let configuration =
            json!({ "method": "POST", "url": url, "body": { "text": body }, "authorization": authorization });
        let ended = stage.run(&configuration).await;
        assert_eq!(ended["code"], "invalid_configuration", "{ended:#}");
    }
    assert!(stage.issuer.requests("/signed/x").is_empty(), "no request was sent");
    // A long value is signed, and neither the signature nor the hash of the body is stored.
    let long = "{{ fromJSON(secrets(\"vault\").pins).long }}";
    let configuration = json!({ "method": "POST", "url": format!("{}/aws/s3", stage.issuer.url()), "body": { "text": long },
        "authorization": aws("s3"), "success_codes": [200, 401] });
    let ended = stage.run(&configuration).await;
    let headers = &ended["data"]["body"]["headers"];
    assert_eq!(headers["x-amz-content-sha256"], "[secret:idp.aws]", "{ended:#}");
    assert!(headers["authorization"].as_str().unwrap().ends_with("Signature=[secret:idp.aws]"), "{ended:#}");
    stage.assert_no_leaks().await;
}

#[tokio::test]
async fn a_key_is_no_oracle_for_what_stands_beside_it_i1() {
    let stage = Stage::create().await;
    let pem =
        "-----BEGIN PRIVATE KEY-----\n{{ toBase64(secrets(\"idp\").signing) }}\n-----END PRIVATE KEY-----";
    for key in [
        pem,
        "{{ toBase64(secrets(\"idp\").key) }}",
        "{{ secrets(\"idp\").key }}\n",
        "{{ fromBase64(secrets(\"idp\").key) }}",
    ] {
        let ended =
            stage.call("/jwt-api/x", &json!({ "type": "jwt_bearer", "key": key, "issuer": "a" })).await;
        let reason = ended["reason"].as_str();
        assert!(matches!(reason, Some("secret_denied" | "template_error")), "{key}: {ended:#}");
    }
    assert!(stage.issuer.requests("/jwt-api/x").is_empty());
}
