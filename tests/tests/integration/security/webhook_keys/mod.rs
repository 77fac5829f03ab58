//! Keys and tokens of webhooks: made, rotated, set and revoked through the API, checked by a warm
//! instance of the webhook function.

mod intake;

use domain::ids::WebhookId;
use domain::root::PlannedRoot;
use http::StatusCode;
use jiff::SignedDuration;
use process::Clock;
use serde_json::{Value, json};
use std::time::Duration;
use store::intake::{BeginOutcome, NewRun, WebhookDelivery, begin_run, load_webhook};
use store::sweeper::forget_deduplications;
use tests::kms::KEY;
use tests::wait_for;

use intake::{Intake, NEW_KEY, OTHER_TOKEN, api_under, bearer, signed, word};

#[tokio::test]
async fn a_rotated_signing_key_works_on_a_warm_instance_beside_the_one_before() {
    let intake = Intake::create().await;
    let hook = intake.hook("w", "signature").await;
    let old = word(&hook["signing_key"]);
    assert_eq!(intake.post_signed(&hook, &old).await, StatusCode::ACCEPTED);
    let rotated = intake.rotate(&hook, 3_600).await;
    let new = word(&rotated["signing_key"]);
    assert!(new != old && rotated["previous_until"].is_string() && rotated["url"] == hook["url"]);
    // At the first delivery the instance sees that its cached webhook is out of date, so it loads
    // the webhook again at once.
    assert_eq!(
        intake.post_signed(&hook, &old).await,
        StatusCode::ACCEPTED,
        "the previous key is kept for an hour"
    );
    assert_eq!(intake.post_signed(&hook, &new).await, StatusCode::ACCEPTED);
    let (_, list) = intake.call("GET", "/v1/webhooks?workflow=w", &Value::Null).await;
    assert!(list["webhooks"][0]["signing_key"].is_null(), "the key is shown once: {list}");

    let newest = word(&intake.rotate(&hook, 3_600).await["signing_key"]);
    assert_eq!(
        intake.post_signed(&hook, &newest).await,
        StatusCode::UNAUTHORIZED,
        "the webhook was loaded within this second"
    );
    wait_for("the newest key", || async {
        (intake.post_signed(&hook, &newest).await == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    assert_eq!(intake.post_signed(&hook, &new).await, StatusCode::ACCEPTED);
    assert_eq!(
        intake.post_signed(&hook, &old).await,
        StatusCode::UNAUTHORIZED,
        "two keys are accepted, never three"
    );
}

#[tokio::test]
async fn a_revoked_key_fails_at_once_on_a_warm_instance_and_stores_nothing() {
    let intake = Intake::create().await;
    for authentication in ["signature", "bearer"] {
        let hook = intake.hook(authentication, authentication).await;
        let is_signing = authentication == "signature";
        let old = word(&hook[if is_signing { "signing_key" } else { "token" }]);
        let header = |key: &str| if is_signing { signed(key) } else { bearer(key) };
        assert_eq!(intake.post(&hook, header(&old)).await.0, StatusCode::ACCEPTED);
        let events = intake.events().await;
        let rotated = intake.rotate(&hook, 0).await;
        assert!(rotated["previous_until"].is_null());
        assert_eq!(intake.post(&hook, header(&old)).await.0, StatusCode::UNAUTHORIZED, "{authentication}");
        assert_eq!(intake.events().await, events, "{authentication}: nothing is stored");
        let new = word(&rotated[if is_signing { "signing_key" } else { "token" }]);
        assert_eq!(intake.post(&hook, header(&new)).await.0, StatusCode::ACCEPTED, "{authentication}");
    }
}

#[tokio::test]
async fn the_previous_key_and_token_end_when_their_time_is_over() {
    let intake = Intake::create().await;
    for authentication in ["signature", "bearer"] {
        let hook = intake.hook(authentication, authentication).await;
        let is_signing = authentication == "signature";
        let old = word(&hook[if is_signing { "signing_key" } else { "token" }]);
        let header = || if is_signing { signed(&old) } else { bearer(&old) };
        intake.rotate(&hook, 1).await;
        assert_eq!(intake.post(&hook, header()).await.0, StatusCode::ACCEPTED, "{authentication}");
        wait_for("the end of the previous key", || async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            (intake.post(&hook, header()).await.0 == StatusCode::UNAUTHORIZED).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_given_key_is_set_and_neither_shown_nor_stored_in_the_clear_i1() {
    let intake = Intake::create().await;
    let hook = intake.hook("w", "signature").await;
    let given = "a key that the sender's service made";
    let (status, answer) = intake.call("PUT", "/v1/webhooks/w/push/key", &json!({ "key": given })).await;
    assert_eq!(status, 200, "{answer}");
    assert!(!answer.to_string().contains(given), "{answer}");
    assert_eq!(intake.post_signed(&hook, given).await, StatusCode::ACCEPTED);
    let sql = "SELECT encode(signing_keys, 'escape') FROM webhooks";
    assert!(!intake.world.database.sql(sql).await.contains("sender's service"), "I1");
    for key in ["short", ""] {
        let (status, answer) = intake.call("PUT", "/v1/webhooks/w/push/key", &json!({ "key": key })).await;
        assert_eq!(status, 400, "{answer}");
    }
    let bearer = intake.hook("b", "bearer").await;
    let path = format!("/v1/webhooks/{}/key", word(&bearer["id"]));
    let (status, _) = intake.call("PUT", &path, &json!({ "key": "0123456789 abcdefgh" })).await;
    assert_eq!(status, 400, "no header can carry a key with a blank");
    let (status, _) = intake.call("PUT", &path, &json!({ "key": "0123456789-abcdefgh" })).await;
    assert_eq!(status, 200);
    assert_eq!(intake.post(&bearer, self::bearer("0123456789-abcdefgh")).await.0, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_credential_is_not_stored_wherever_a_sender_in_transition_puts_it_i1() {
    let intake = Intake::create().await;
    let stored = async |what: &str, credentials: &[&str]| {
        let sql = "SELECT (SELECT jsonb_agg(to_jsonb(e)) FROM workflow_events e),
            (SELECT jsonb_agg(to_jsonb(d)) FROM webhook_deduplications d)";
        let rows = intake.world.database.sql(sql).await;
        for credential in credentials {
            assert!(!rows.contains(credential), "I1: {what}: {rows}");
        }
        assert!(rows.contains("kept"), "{what}: {rows}");
    };
    let header_of = |name: &str| json!({ "authentication": "header_token", "header_name": name });
    // The token's header is renamed, and the old header becomes the key of deliveries. The sender
    // puts the tokens into both, and into other places.
    let old = word(&intake.hook_as("w", header_of("X-Old")).await["token"]);
    let mut configuration = header_of("X-New");
    configuration["deduplication_header"] = json!("X-Old");
    let hook = intake.hook_as("w", configuration).await;
    let new = word(&intake.rotate(&hook, 3_600).await["token"]);
    for (sent, other) in [(&old, &new), (&new, &old)] {
        let headers = [
            ("x-new", sent.clone()),
            ("x-old", sent.clone()),
            ("x-older", format!("Bearer {other}")),
            ("x-pairs", format!("v=1,key={other};k={sent}")),
            ("x-kept", "kept".to_owned()),
        ];
        let query = format!("?a={sent}&b={other}&{sent}=1&page=kept");
        assert_eq!(intake.post_with(&hook, &query, &headers).await.0, StatusCode::ACCEPTED);
    }
    stored("renamed", &[&old, &new]).await;
    // The authentication changes from a token in a header to a bearer token.
    let hook = intake.hook_as("w", json!({ "authentication": "bearer" })).await;
    let headers =
        [("authorization", format!("Bearer {new}")), ("x-new", new.clone()), ("x-kept", "kept".to_owned())];
    assert_eq!(intake.post_with(&hook, "", &headers).await.0, StatusCode::ACCEPTED);
    stored("another type", &[&old, &new]).await;
    // A signature must not be stored either: with it, others could send the same body again. With
    // the key they could send any body.
    let signature_of = |name: &str| json!({ "authentication": "signature", "header_name": name });
    let key = word(&intake.hook_as("s", signature_of("X-Old")).await["signing_key"]);
    let hook = intake.hook_as("s", signature_of("X-New")).await;
    let signature = signed(&key).1;
    let bare = signature.strip_prefix("sha256=").unwrap();
    let headers = [
        ("x-new", signature.clone()),
        ("x-old", signature.clone()),
        ("x-older", format!("t=1,v1={bare}")),
        ("x-key", format!("the key {key}")),
        ("x-kept", "kept".to_owned()),
    ];
    assert_eq!(intake.post_with(&hook, &format!("?k={key}"), &headers).await.0, StatusCode::ACCEPTED);
    stored("signature", &[&key, bare]).await;
}

#[tokio::test]
async fn nobody_changes_another_organizations_webhook_i6() {
    let intake = Intake::create().await;
    let hook = intake.hook("w", "signature").await;
    let (id, old) = (word(&hook["id"]), word(&hook["signing_key"]));
    let key = json!({ "key": "the key of somebody else" });
    for (method, path, body) in [
        ("POST", format!("/v1/webhooks/{id}/rotate"), &json!({})),
        ("PUT", format!("/v1/webhooks/{id}/key"), &key),
        ("POST", "/v1/webhooks/w/push/rotate".to_owned(), &json!({})),
        ("POST", format!("/v1/webhooks/{}/push/rotate", word(&hook["workflow_id"])), &json!({})),
        ("PUT", "/v1/webhooks/w/push/key".to_owned(), &key),
    ] {
        let (status, answer) = intake.call_as(OTHER_TOKEN, method, &path, body).await;
        assert_eq!(status, 404, "I6: {method} {path}: {answer}");
    }
    assert_eq!(intake.post_signed(&hook, &old).await, StatusCode::ACCEPTED);
    assert_eq!(intake.world.database.sql("SELECT version FROM webhooks").await, "1");
}

#[tokio::test]
async fn what_has_no_key_and_what_is_kept_too_long_is_refused() {
    let intake = Intake::create().await;
    let open = intake.hook("open", "none").await;
    let (status, _) =
        intake.call("POST", &format!("/v1/webhooks/{}/rotate", word(&open["id"])), &json!({})).await;
    assert_eq!(status, 400);
    intake.hook("w", "signature").await;
    let body = json!({ "keep_previous_seconds": domain::limits::WEBHOOK_KEY_KEPT_SECONDS_MAX + 1 });
    assert_eq!(intake.call("POST", "/v1/webhooks/w/push/rotate", &body).await.0, 400);
    assert_eq!(intake.call("POST", "/v1/webhooks/w/none/rotate", &json!({})).await.0, 404);
    assert_eq!(intake.call("POST", "/v1/webhooks/x/rotate", &json!({})).await.0, 404);
}

#[tokio::test]
async fn wrong_signatures_cost_no_call_of_the_vault_once_the_key_is_open() {
    let intake = Intake::create().await;
    let hook = intake.hook("w", "signature").await;
    assert_eq!(intake.post_signed(&hook, &word(&hook["signing_key"])).await, StatusCode::ACCEPTED);
    assert_eq!(intake.kms.take_decrypts().len(), 1);
    let until = tokio::time::Instant::now() + Duration::from_millis(1_200);
    while tokio::time::Instant::now() < until {
        assert_eq!(intake.post_signed(&hook, "a key of an attacker").await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(intake.kms.take_decrypts(), Vec::<Value>::new());
    assert_eq!(intake.events().await, 1);
}

#[tokio::test]
async fn opened_keys_are_used_for_a_minute_and_then_opened_again_i1() {
    let mut intake = Intake::create().await;
    let hook = intake.hook("w", "signature").await;
    let key = word(&hook["signing_key"]);
    // A wrong signature makes the instance load the webhook again. This does not prolong the minute
    // of its opened keys.
    for (seconds, is_right, calls) in
        [(0, true, 1), (30, false, 0), (45, true, 0), (90, true, 1), (120, true, 0)]
    {
        intake.later(SignedDuration::from_secs(seconds));
        let (sent, expected) = if is_right {
            (key.as_str(), StatusCode::ACCEPTED)
        } else {
            ("a key of an attacker", StatusCode::UNAUTHORIZED)
        };
        assert_eq!(intake.post_signed(&hook, sent).await, expected);
        assert_eq!(intake.kms.take_decrypts().len(), calls, "after {seconds} s");
    }
}

#[tokio::test]
async fn a_damaged_key_refuses_nobody() {
    let intake = Intake::create().await;
    for (damage, is_previous_kept) in [
        ("'\\x00'", true),
        (
            "set_byte(signing_keys, octet_length(signing_keys) - 1, 255 - get_byte(signing_keys, octet_length(signing_keys) - 1))",
            true,
        ),
        ("'\\x00'", false),
    ] {
        let name = format!("w-{}-{is_previous_kept}", damage.len());
        let hook = intake.hook(&name, "signature").await;
        let previous = word(&hook["signing_key"]);
        let keep = if is_previous_kept { 3_600 } else { 0 };
        let current = word(&intake.rotate(&hook, keep).await["signing_key"]);
        let id = word(&hook["id"]);
        let sql = format!("UPDATE webhooks SET signing_keys = {damage} WHERE id = '{id}'");
        intake.world.database.sql(&sql).await;
        let expected = if is_previous_kept { StatusCode::ACCEPTED } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!(intake.post_signed(&hook, &previous).await, expected);
        // The instance can't tell whether this key is the right one.
        assert_eq!(intake.post_signed(&hook, &current).await, StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn a_warm_instance_goes_on_when_its_keys_moved_and_the_old_kms_key_ended() {
    let mut intake = Intake::create().await;
    let hook = intake.hook("w", "signature").await;
    let key = word(&hook["signing_key"]);
    // The instance has loaded the key but not opened it, which is the worst case.
    assert_eq!(intake.post(&hook, ("x-other", String::new())).await.0, StatusCode::UNAUTHORIZED);
    intake.move_keys().await;
    intake.kms.disable(KEY);
    intake.later(SignedDuration::from_secs(2));
    assert_eq!(intake.post_signed(&hook, &key).await, StatusCode::ACCEPTED);
    assert_eq!(intake.post_signed(&hook, "a key of an attacker").await, StatusCode::UNAUTHORIZED);
    assert_eq!(intake.events().await, 1);
}

#[tokio::test]
async fn a_previous_key_that_kms_refuses_takes_the_current_one_not_along() {
    let mut intake = Intake::create().await;
    let hook = intake.hook("w", "signature").await;
    let previous = word(&hook["signing_key"]);
    intake.api = api_under(NEW_KEY, &intake.world, &intake.kms);
    let current = word(&intake.rotate(&hook, 3_600).await["signing_key"]);
    intake.kms.disable(KEY);
    assert_eq!(intake.post_signed(&hook, &current).await, StatusCode::ACCEPTED);
    // The signature may be by the previous key or by an attacker's. The instance can't tell, so it
    // does not refuse the sender.
    for unknown in [previous.as_str(), "a key of an attacker"] {
        assert_eq!(intake.post_signed(&hook, unknown).await, StatusCode::SERVICE_UNAVAILABLE);
    }
    intake.kms.enable(KEY);
    intake.later(SignedDuration::from_secs(2));
    assert_eq!(intake.post_signed(&hook, &previous).await, StatusCode::ACCEPTED);
    assert_eq!(intake.post_signed(&hook, "a key of an attacker").await, StatusCode::UNAUTHORIZED);
    assert_eq!(intake.events().await, 2);
}

#[tokio::test]
async fn strangers_cost_one_call_of_the_vault_a_second_where_it_refuses_i10() {
    let mut intake = Intake::create().await;
    let hook = intake.hook("w", "signature").await;
    intake.kms.disable(KEY);
    for seconds in [0, 30, 60] {
        intake.later(SignedDuration::from_secs(seconds));
        let begun = tokio::time::Instant::now();
        for _ in 0..30 {
            let status = intake.post_signed(&hook, "a key of an attacker").await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        }
        let past = usize::try_from(begun.elapsed().as_secs()).unwrap();
        let calls = intake.kms.take_decrypts().len();
        assert!((1..=past + 1).contains(&calls), "{calls} calls in {past} s, after {seconds} s");
    }
}

#[tokio::test]
async fn a_webhook_that_is_posted_to_too_fast_is_told_when_to_try_again_and_others_are_not_i10() {
    let intake = Intake::create().await;
    let (hook, other) = (intake.hook("w", "bearer").await, intake.hook("other", "bearer").await);
    let header = |hook: &Value| bearer(&word(&hook["token"]));
    assert_eq!(intake.post(&hook, header(&hook)).await, (StatusCode::ACCEPTED, None));
    // Requests with a wrong token take nothing out of the bucket.
    for _ in 0..domain::limits::WEBHOOK_BURST_MAX + 10 {
        assert_eq!(intake.post(&hook, bearer("a stranger's token")).await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(intake.post(&hook, header(&hook)).await, (StatusCode::ACCEPTED, None));
    // The bucket is emptied as of half a minute from now, so that the test's own speed doesn't
    // matter.
    let (id, then) =
        (word(&hook["id"]).parse::<WebhookId>().unwrap(), intake.world.now() + SignedDuration::from_secs(30));
    while intake.deps.rates.take(id, components::webhook::FASTEST, then).is_ok() {}
    let events = intake.events().await;
    let (status, after) = intake.post(&hook, header(&hook)).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!((25..=31).contains(&after.unwrap().parse::<u32>().unwrap()));
    assert_eq!(intake.events().await, events, "nothing is stored");
    assert_eq!(intake.post(&other, header(&other)).await, (StatusCode::ACCEPTED, None));
}

#[tokio::test]
async fn a_deliverys_key_is_known_for_24_hours_and_no_longer_i10() {
    let intake = Intake::create().await;
    let configuration = json!({ "authentication": "none", "deduplication_header": "X-Id" });
    let url = word(&intake.hook_as("w", configuration).await["url"]);
    let store = intake.world.database.store("webhook");
    let webhook = load_webhook(&store, url.rsplit('/').next().unwrap()).await.unwrap().unwrap();
    let take = async |now| {
        let id = intake.world.id();
        let planned = PlannedRoot {
            channel: "default",
            event_type: "webhook".to_owned(),
            run_name: None,
            targets: Vec::new(),
        };
        let run = NewRun {
            event_id: id,
            organization_id: webhook.organization_id,
            workflow_id: webhook.workflow_id,
            version_planned: webhook.workflow_version,
            node_id: &webhook.node_id,
            planned: &planned,
            data: &json!({}),
            item_ids: &[],
            hops: 0,
            delivery: Some(WebhookDelivery {
                webhook_id: webhook.id,
                version: webhook.version,
                deduplication_key: Some("the delivery"),
            }),
            now,
        };
        (id, begin_run(&store, &run).await.unwrap())
    };
    let (start, day, tick) =
        (intake.world.now(), SignedDuration::from_hours(24), SignedDuration::from_micros(1));
    let (first, outcome) = take(start).await;
    assert_eq!(outcome, BeginOutcome::Begun(None));
    assert_eq!(take(start + day).await.1, BeginOutcome::Duplicate(first));
    let (second, outcome) = take(start + day + tick).await;
    assert_eq!(
        outcome,
        BeginOutcome::Begun(None),
        "the delivery's key ends after 24 hours, even without the sweeper"
    );
    let end = start + day + tick + day;
    assert_eq!(
        take(end).await.1,
        BeginOutcome::Duplicate(second),
        "the delivery's key is known for another 24 hours"
    );
    assert_eq!(intake.events().await, 2);

    let sweeper = intake.world.database.store("sweeper");
    assert_eq!(forget_deduplications(&sweeper, end, 10).await.unwrap(), 0);
    assert_eq!(forget_deduplications(&sweeper, end + tick, 10).await.unwrap(), 1);
    take(start).await;
    let swept = async |shift| {
        let deps = sweeper::Deps { clock: Clock::shifted(shift), ..intake.world.sweeper(30) };
        sweeper::sweep(&deps, tests::tick()).await.unwrap().deduplications
    };
    let minute = SignedDuration::from_mins(1);
    assert_eq!(
        (swept(day - minute).await, swept(day + minute).await),
        (0, 1),
        "a tick of the sweeper forgets the key"
    );
}

#[tokio::test]
async fn the_sweeper_forgets_a_previous_key_once_it_is_taken_no_more_i7() {
    let intake = Intake::create().await;
    let stored = "SELECT count(previous_signing_keys), count(previous_token_sha256), count(previous_until),
        count(signing_keys), count(token_sha256) FROM webhooks";
    let mut current = Vec::new();
    for authentication in ["signature", "bearer"] {
        let hook = intake.hook(authentication, authentication).await;
        let rotated = intake.rotate(&hook, 3_600).await;
        let field = if authentication == "signature" { "signing_key" } else { "token" };
        current.push((hook, word(&rotated[field])));
    }
    let sweep = async |clock: Clock| {
        let deps = sweeper::Deps { clock, ..intake.world.sweeper(30) };
        sweeper::sweep(&deps, tests::tick()).await.unwrap().previous_keys
    };
    let second = SignedDuration::from_secs(1);
    let hour = SignedDuration::from_secs(3_600);
    assert_eq!(sweep(Clock::shifted(hour - 30 * second)).await, 0);
    assert_eq!(
        intake.world.database.sql(stored).await,
        "1|1|2|1|1",
        "a previous key stays as long as it is accepted"
    );
    assert_eq!(sweep(Clock::shifted(hour + second)).await, 2);
    assert_eq!(
        intake.world.database.sql(stored).await,
        "0|0|0|1|1",
        "the previous keys are forgotten, and the current ones stay"
    );
    assert_eq!(sweep(Clock::shifted(hour + second)).await, 0);
    let [(signature, key), (token_hook, token)] = current.as_slice() else { panic!("two webhooks") };
    assert_eq!(intake.post_signed(signature, key).await, StatusCode::ACCEPTED);
    assert_eq!(intake.post(token_hook, bearer(token)).await.0, StatusCode::ACCEPTED);
}
