//! Published vectors where there are some, else signatures made from the public description. For
//! each: right, wrong, and where the sender says when, old.

use components::webhook::WebhookConfiguration;
use serde_json::{Value, json};

use super::*;
use crate::{SentRequest, sign};

/// A delivery that a test sends.
struct Sent<'s> {
    headers: Vec<(String, String)>,
    body: &'s [u8],
    url: &'s str,
}

impl<'s> Sent<'s> {
    fn new(headers: &[(&str, &str)], body: &'s [u8]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self { headers: headers.collect(), body, url: "https://in.example/hooks/0" }
    }

    fn check(&self, configuration: &Value, key: &str, now: i64) -> Verdict {
        let configuration = WebhookConfiguration::read(configuration).unwrap();
        let header = |name: &str| {
            let mut values = self.headers.iter().filter(|(found, _)| found == name);
            values.next().filter(|_| values.next().is_none()).map(|(_, value)| value.as_str())
        };
        let delivery = Delivery { header: &header, body: self.body, url: self.url };
        let name = configuration.header_name.unwrap();
        let now = Timestamp::from_second(now).unwrap();
        check(&configuration.scheme, &name, &delivery, [key.as_bytes()], now)
    }

    fn with(&self, header: &str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.retain(|(name, _)| name != header);
        headers.push((header.to_owned(), value.to_owned()));
        Self { headers, ..*self }
    }
}

/// The vector is right; with another body, another key and another signature it is wrong.
fn check_vector(sender: &str, sent: &Sent<'_>, key: &str, now: i64) {
    let configuration = json!({ "sender": sender });
    assert_eq!(sent.check(&configuration, key, now), Verdict::Good, "{sender}");
    assert_eq!(sent.check(&configuration, "another key of the sender", now), Verdict::Bad, "{sender}");
    let other_body = [sent.body, b" "].concat();
    let other = Sent { headers: sent.headers.clone(), body: &other_body, url: sent.url };
    assert_eq!(other.check(&configuration, key, now), Verdict::Bad, "{sender}: another body");
    for (name, _) in sent.headers.iter().filter(|(name, _)| name != "content-type") {
        for wrong in ["", "0", "sha256=00", "v1=00", "AAAA"] {
            let verdict = sent.with(name, wrong).check(&configuration, key, now);
            assert_eq!(verdict, Verdict::Bad, "{sender}: {name}: {wrong}");
        }
    }
    let twice = Sent { headers: [&sent.headers[..], &sent.headers[..]].concat(), ..*sent };
    assert_eq!(twice.check(&configuration, key, now), Verdict::Bad, "{sender}: two values");
    let none = Sent { headers: Vec::new(), ..*sent };
    assert_eq!(none.check(&configuration, key, now), Verdict::Bad, "{sender}: no signature");
}

/// Within the tolerance it is right on both sides, and beyond it is old.
fn check_age(sender: &str, sent: &Sent<'_>, key: &str, at: i64, tolerance: i64) {
    let configuration = json!({ "sender": sender });
    for (now, expected) in [
        (at - tolerance, Verdict::Good),
        (at - tolerance - 1, Verdict::Old),
        (at + tolerance, Verdict::Good),
        (at + tolerance + 1, Verdict::Old),
    ] {
        assert_eq!(sent.check(&configuration, key, now), expected, "{sender}: {}", now - at);
    }
}

/// Source: GitHub Docs, "Validating webhook deliveries".
#[test]
fn github() {
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let sent = Sent::new(&[("x-hub-signature-256", signature)], b"Hello, World!");
    check_vector("github", &sent, "It's a Secret to Everybody", 0);
    // A gateway joins the values of two headers.
    let joined = sent.with("x-hub-signature-256", &format!("{signature},{signature}"));
    let verdict = joined.check(&json!({ "sender": "github" }), "It's a Secret to Everybody", 0);
    assert_eq!(verdict, Verdict::Bad);
}

/// Source: Atlassian's documentation of webhooks, which Bitbucket Cloud and Jira share.
#[test]
fn bitbucket() {
    let signature = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9";
    let sent = Sent::new(&[("x-hub-signature", signature)], b"Hello World!");
    check_vector("bitbucket", &sent, "It's a Secret to Everybody", 0);
}

/// Source: the tests of stripe/stripe-dotnet (`event_test_signature.json`, `EventUtilityTest`).
#[test]
fn stripe() {
    const BODY: &[u8] = b"{\n  \"id\": \"evt_123\",\n  \"object\": \"event\",\n  \"account\": \"acct_123\",\n  \"api_version\": \"2017-05-25\",\n  \"created\": 1533204620,\n  \"data\": {\n    \"object\": {\n      \"id\": \"cus_123\",\n      \"object\": \"customer\",\n      \"created\": 123456789,\n      \"email\": \"test@stripe.com\",\n      \"livemode\": false,\n      \"metadata\": {}\n    }\n  },\n  \"livemode\": false,\n  \"pending_webhooks\": 1,\n  \"request\": {\n    \"id\": \"req_123\",\n    \"idempotency_key\": \"idempotency-key-123\"\n  },\n  \"type\": \"customer.created\"\n}\n";
    const AT: i64 = 1_533_204_620;
    let code = "2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7";
    let value =
        format!("t={AT},v1={code},v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef");
    let sent = Sent::new(&[("stripe-signature", &value)], BODY);
    check_vector("stripe", &sent, "webhook_secret", AT);
    check_age("stripe", &sent, "webhook_secret", AT, 300);
    let configuration = json!({ "sender": "stripe" });
    let two = sent.with("stripe-signature", &format!("t={AT},v1=00ff,v1={code}"));
    assert_eq!(two.check(&configuration, "webhook_secret", AT), Verdict::Good, "one of two keys");
    for malformed in [
        "t=,v1=",
        "t,v1=,v0=",
        "t,v1=,",
        "t,,",
        ",,",
        "t",
        &format!("v1={code}"),
        &format!("t={AT},{code}"),
        &format!("t={AT},v0={code}"),
    ] {
        let sent = sent.with("stripe-signature", malformed);
        assert_eq!(sent.check(&configuration, "webhook_secret", AT), Verdict::Bad, "{malformed}");
    }
}

/// Source: Slack's documentation, "Verifying requests from Slack", and the tests of
/// slackapi/python-slack-sdk.
#[test]
fn slack() {
    const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const AT: i64 = 1_531_420_618;
    let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let headers = [("x-slack-signature", signature), ("x-slack-request-timestamp", "1531420618")];
    let sent = Sent::new(&headers, BODY);
    check_vector("slack", &sent, "8f742231b10e8888abcd99yyyzzz85a5", AT);
    check_age("slack", &sent, "8f742231b10e8888abcd99yyyzzz85a5", AT, 300);
}

/// Source: the tests of PagerDuty/go-pagerduty (`webhookv3_test.go`).
#[test]
fn pagerduty() {
    const KEY: &str = "lDQHScfUeXUKaQRNF+8XIiDKZ7XX3itBAYzwU0TARw8lJqRnkKl2iB1anSb0Z+IK";
    let body = include_bytes!("vectors/pagerduty.json");
    let signature = "v1=0c0b9495b893a39e70d1fea2fe11fbe0a825f88b9f67846f6cc07dd2bc5476cd";
    let sent = Sent::new(&[("x-pagerduty-signature", signature)], body);
    check_vector("pagerduty", &sent, KEY, 0);
    let other = "v1=7020c8a7ec668a9b7012bc3dd82e483394b038f4230acc6785efbf2a7d8bcaf5";
    let configuration = json!({ "sender": "pagerduty" });
    let list = sent.with("x-pagerduty-signature", &format!("{other},{signature}"));
    assert_eq!(list.check(&configuration, KEY, 0), Verdict::Good, "one of a list");
    assert_eq!(sent.with("x-pagerduty-signature", other).check(&configuration, KEY, 0), Verdict::Bad);
}

/// Source: the tests of twilio/twilio-python (`test_request_validator.py`).
#[test]
fn twilio() {
    const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    const BODY: &[u8] =
        b"CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212&Caller=%2B14158675309";
    let form = ("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
    let configuration = json!({ "sender": "twilio" });
    let sent = |url: &'static str, signature: &str, body: &'static [u8]| Sent {
        url,
        ..Sent::new(&[form, ("x-twilio-signature", signature)], body)
    };
    check_vector("twilio", &sent(URL, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", BODY), "12345", 0);
    for (url, signature) in [
        ("https://mycompany.com:1234/myapp.php?foo=1&bar=2", "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (URL, "kvajT1Ptam85bY51eRf/AJRuM3w="),
        ("http://mycompany.com/myapp.php?foo=1&bar=2", "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        ("http://mycompany.com:1234/myapp.php?foo=1&bar=2", "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
    ] {
        assert_eq!(sent(url, signature, BODY).check(&configuration, "12345", 0), Verdict::Good, "{url}");
    }
    let twice = b"Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234";
    let twice = sent(URL, "IK+Dwps556ElfBT0I3Rgjkr1wJU=", twice);
    assert_eq!(twice.check(&configuration, "12345", 0), Verdict::Good);
    let hashed = "https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
    let headers =
        [("content-type", "application/json"), ("x-twilio-signature", "a9nBmqA0ju/hNViExpshrM61xv4=")];
    let json = |url: &'static str, body: &'static [u8]| Sent { url, ..Sent::new(&headers, body) };
    let body = b"{\"property\": \"value\", \"boolean\": true}";
    assert_eq!(json(hashed, body).check(&configuration, "12345", 0), Verdict::Good);
    assert_eq!(json(hashed, b"{\"property\": \"other\"}").check(&configuration, "12345", 0), Verdict::Bad);
    assert_eq!(json(URL, body).check(&configuration, "12345", 0), Verdict::Bad, "the body is not proved");
}

/// The value is third-party, for Shopify publishes none; the description is Shopify's, "Verify
/// webhook deliveries".
#[test]
fn shopify() {
    let headers = [("x-shopify-hmac-sha256", "rXEUjHnyGrnuxR6lx90rZoeS98DTU0rmayL3HGFSP7M=")];
    check_vector("shopify", &Sent::new(&headers, b""), "test", 0);
}

/// Key and body are those of linear/linear (`LinearWebhooks.test.ts`); the signature is made from
/// the description, for Linear publishes none.
#[test]
fn linear() {
    const BODY: &[u8] = br#"{"action":"create","data":{"id":"2174add1-f7c8-44e3-bbf3-2d60b5ea8bc9","createdAt":"2020-01-23T12:53:18.084Z","updatedAt":"2020-01-23T12:53:18.084Z","archivedAt":null,"body":"Indeed, I think this is definitely an improvement over the previous version.","edited":false,"issueId":"539068e2-ae88-4d09-bd75-22eb4a59612f","userId":"aacdca22-6266-4c0a-ab3c-8fa70a26765c"},"type":"Comment","url":"https://linear.app/issue/LIN-1778/foo-bar#comment-77217de3-fb52-4dad-bb9a-b356beb93de8","createdAt":"2020-01-23T12:53:18.084Z","webhookTimestamp":1677611643000}"#;
    let code = "8790fcbbea809950be9198408593c2a13f7591bba6c61adb589f709b5e1b186a";
    let sent = Sent::new(&[("linear-signature", code)], BODY);
    check_vector("linear", &sent, "SECRET", 1_677_611_643);
    check_age("linear", &sent, "SECRET", 1_677_611_643, 60);
    let configuration = json!({ "sender": "linear" });
    let without = b"{\"action\":\"create\"}";
    let signed = sign_as("linear", "SECRET", without, 1_677_611_643);
    let undated = Sent { headers: signed, body: without, url: "https://in.example/hooks/0" };
    assert_eq!(undated.check(&configuration, "SECRET", 1_677_611_643), Verdict::Bad, "it says no time");
}

fn sign_as(sender: &str, key: &str, body: &[u8], now: i64) -> Vec<(String, String)> {
    let configuration = WebhookConfiguration::read(&json!({ "sender": sender })).unwrap();
    let request = SentRequest { url: "https://in.example/hooks/0", body, is_form: true, id: "msg-1" };
    let header = configuration.header_name.unwrap();
    sign(&configuration.scheme, &header, key.as_bytes(), request, Timestamp::from_second(now).unwrap())
}

/// What the CLI sends as a sender would is what the intake takes.
#[test]
fn what_is_signed_as_a_sender_signs_is_good() {
    let now = 1_700_000_000;
    let body = br#"{"webhookTimestamp":1700000000000}"#;
    for sender in ["github", "stripe", "slack", "shopify", "pagerduty", "bitbucket", "twilio", "linear"] {
        let mut headers = sign_as(sender, "the-key-of-the-sender", body, now);
        headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        let sent = Sent { headers, body, url: "https://in.example/hooks/0" };
        check_vector(sender, &sent, "the-key-of-the-sender", now);
    }
}

/// A recorded event is sent as its sender would send it now.
#[test]
fn what_is_prepared_and_signed_is_good() {
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    for (sender, body) in [
        ("twilio", &b"{\"a\": 1}"[..]),
        ("linear", b"{\"webhookTimestamp\": 5}"),
        ("linear", b"{}"),
        ("github", b"x"),
    ] {
        let configuration = json!({ "sender": sender });
        let read = WebhookConfiguration::read(&configuration).unwrap();
        let request =
            SentRequest { url: "https://in.example/hooks/0?a=1", body, is_form: false, id: "msg-1" };
        let (url, body) = crate::prepare(&read.scheme, request, now).unwrap();
        let request = SentRequest { url: &url, body: &body, is_form: false, id: "msg-1" };
        let headers = sign(&read.scheme, &read.header_name.unwrap(), b"the-key", request, now);
        let sent = Sent { headers, body: &body, url: &url };
        assert_eq!(sent.check(&configuration, "the-key", now.as_second()), Verdict::Good, "{sender}");
    }
    let linear = WebhookConfiguration::read(&json!({ "sender": "linear" })).unwrap().scheme;
    let text = SentRequest { url: "https://in.example/", body: b"no JSON", is_form: false, id: "msg-1" };
    assert_eq!(crate::prepare(&linear, text, now), None);
}

/// Source: the test vector of the Standard Webhooks libraries.
#[test]
fn standard_webhooks() {
    let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let vector = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", signature),
    ];
    let sent = Sent::new(&vector, br#"{"test": 2432232314}"#);
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    check_vector("standard_webhooks", &sent, key, 1_614_265_330);
    check_age("standard_webhooks", &sent, key, 1_614_265_330, 300);
    let configuration = json!({ "sender": "standard_webhooks" });
    let check = |value: &str| sent.with("webhook-signature", value).check(&configuration, key, 1_614_265_330);
    // While a key is changed the header has a signature by each, and others of later versions.
    assert_eq!(check(&format!("v1a,AAAA v1,AAAA {signature}")), Verdict::Good);
    assert_eq!(check(&signature.replace("v1,", "v2,")), Verdict::Bad);
    let bare = key.strip_prefix("whsec_").unwrap();
    assert_eq!(sent.check(&configuration, bare, 1_614_265_330), Verdict::Good);
    let mut none = Sent::new(&vector[1..], sent.body);
    assert_eq!(none.check(&configuration, key, 1_614_265_330), Verdict::Bad, "no id");
    none.headers.push(("webhook-id".to_owned(), "msg_other".to_owned()));
    assert_eq!(none.check(&configuration, key, 1_614_265_330), Verdict::Bad, "another id");
    // The same signed text with its boundaries elsewhere: an old delivery would be a new one.
    let nested = br#"{"text":".1893456000.{}"}"#;
    let signed = sign_as("standard_webhooks", key, nested, 1_614_265_330);
    let of = |name: &str| &signed.iter().find(|(found, _)| found == name).unwrap().1;
    let moved = format!(r#"{}.1614265330.{{"text":""#, of("webhook-id"));
    let headers = [
        ("webhook-id", moved.as_str()),
        ("webhook-timestamp", "1893456000"),
        ("webhook-signature", of("webhook-signature")),
    ];
    let forged = Sent::new(&headers, br#"{}"}"#);
    assert_eq!(forged.check(&configuration, key, 1_893_456_000), Verdict::Bad, "a boundary that moved");
}

/// Twitch, from its public description ("Handling webhook events"): id, time and body are signed, and
/// the time is written as RFC 3339 does. Not tried against the sender.
#[test]
fn a_time_may_be_written_as_rfc_3339_does() {
    let configuration = json!({
        "authentication": "signature", "header_name": "Twitch-Eventsub-Message-Signature",
        "signature": {
            "signed": "{header:Twitch-Eventsub-Message-Id}{timestamp}{body}", "prefix": "sha256=",
            "timestamp": { "header": "Twitch-Eventsub-Message-Timestamp" },
        },
    });
    let at = "2026-11-30T09:00:00.123456789Z";
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"the key of a channel");
    let code = hex::encode(hmac::sign(&key, format!("e76c{at}{{}}").as_bytes()));
    let signature = format!("sha256={code}");
    let sent = Sent::new(
        &[
            ("twitch-eventsub-message-id", "e76c"),
            ("twitch-eventsub-message-timestamp", at),
            ("twitch-eventsub-message-signature", &signature),
        ],
        b"{}",
    );
    let now = at.parse::<Timestamp>().unwrap().as_second();
    let check = |now| sent.check(&configuration, "the key of a channel", now);
    assert_eq!(
        [check(now), check(now + 300), check(now + 301)],
        [Verdict::Good, Verdict::Good, Verdict::Old]
    );
    let other = sent.with("twitch-eventsub-message-timestamp", "soon");
    assert_eq!(other.check(&configuration, "the key of a channel", now), Verdict::Bad);
}

/// Every scheme by hand: what the presets do, and what none of them does.
#[test]
fn by_hand_all_of_it_can_be_said() {
    let now = 1_700_000_000;
    for (scheme, algorithm) in [
        (json!({ "algorithm": "sha1", "prefix": "sha1=" }), "sha1"),
        (json!({ "algorithm": "sha512", "encoding": "base64", "prefix": "" }), "sha512"),
        (
            json!({ "signed": "v0:{timestamp}:{body}", "prefix": "v0=", "timestamp": { "header": "X-Time" } }),
            "sha256",
        ),
        (
            json!({ "signed": "{timestamp}.{body}", "prefix": "s=", "timestamp": { "field": "ts" }, "tolerance_seconds": 10 }),
            "sha256",
        ),
        (json!({ "signed": "{body}a salt", "prefix": "" }), "sha256"),
        (json!({ "signed": "{header:X-Id}.{body}", "prefix": "" }), "sha256"),
        (json!({ "signed": "{timestamp}.{body}", "timestamp": { "field": "t" } }), "sha256"),
        (json!({ "signed": "{timestamp}.{body}", "prefix": "", "timestamp": { "field": "t" } }), "sha256"),
    ] {
        let configuration =
            json!({ "authentication": "signature", "header_name": "X-Sig", "signature": scheme });
        let read = WebhookConfiguration::read(&configuration).unwrap();
        assert_eq!(read.scheme.algorithm.as_str(), algorithm);
        let request = SentRequest { url: "", body: b"b", is_form: false, id: "msg-1" };
        let headers = sign(&read.scheme, "x-sig", b"key", request, Timestamp::from_second(now).unwrap());
        let sent = Sent { headers, body: b"b", url: "" };
        assert_eq!(sent.check(&configuration, "key", now), Verdict::Good, "{configuration}");
        assert_eq!(sent.check(&configuration, "kex", now), Verdict::Bad, "{configuration}");
        let late = sent.check(&configuration, "key", now + 301);
        assert_eq!(late == Verdict::Old, read.scheme.timestamp.is_some(), "{configuration}");
    }
}

#[test]
fn the_signatures_of_a_header_have_a_limit_on_both_sides_i10() {
    let good = sign_as("pagerduty", "key", b"Hello, World!", 0).remove(0).1;
    let configuration = json!({ "sender": "pagerduty" });
    let behind = |count: usize| {
        let value = format!("{}{good}", "v1=00,".repeat(count));
        let sent = Sent::new(&[("x-pagerduty-signature", &value)], b"Hello, World!");
        sent.check(&configuration, "key", 0)
    };
    assert_eq!(behind(SIGNATURES_MAX - 1), Verdict::Good);
    assert_eq!(behind(SIGNATURES_MAX), Verdict::Bad);
}
