//! `webhook`: an HTTP request from outside.

mod data;
mod handshake;
mod multipart;
mod response;
mod scheme;
mod sender;

use domain::limits::{WEBHOOK_BURST_MAX, WEBHOOK_RATE_PER_SECOND};
use domain::rate::Rate;
use domain::webhook::Authentication;
use secret_text::FieldKind;
use serde_json::{Map, Value};

use crate::credential_names::is_credential;
use crate::{
    component::{FieldSpec, Problem},
    shape::{Reader, Stage, child, holds_template},
    trigger::{Resource, Trigger},
};

pub use data::{BodyError, WebhookRequest, event_data};
pub use domain::webhook::{Handshake, MacAlgorithm, MacEncoding, Sender};
use handshake::read_handshakes;
pub use handshake::{Asked, Challenge, HandshakeAnswer, WebhookHandshake, handshake_answer};
pub use response::WebhookResponse;
pub use scheme::{KeyForm, SignatureScheme, Signed, SignedPart, TimestampAt, TimestampRule};
use sender::{Deduplication, Preset};

fn default_header(authentication: Authentication) -> Option<&'static str> {
    match authentication {
        Authentication::Signature => Some("x-hub-signature-256"),
        Authentication::HeaderToken => Some("x-token"),
        Authentication::Bearer => Some("authorization"),
        Authentication::None => None,
    }
}

/// The author's configuration of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfiguration {
    /// The proof that a sender must give.
    pub authentication: Authentication,
    /// The header that carries the credential, in lower case; None for no authentication.
    pub header_name: Option<String>,
    /// The header whose value identifies a repeated request, in lower case.
    pub deduplication_header: Option<String>,
    /// The place in the event's data whose value identifies a repeated request, a JSON pointer.
    pub deduplication_data: Option<&'static str>,
    /// The service that sends.
    pub sender: Sender,
    /// The form of the signature; for the authentication by signature only.
    pub scheme: SignatureScheme,
    /// The form of the token.
    pub token_form: TokenForm,
    /// The requests that are answered at once.
    pub handshakes: Vec<WebhookHandshake>,
    /// The deliveries that are taken.
    pub rate: Rate,
}

/// The most deliveries that each instance of the function takes of one webhook.
pub const FASTEST: Rate = Rate { per_second: WEBHOOK_RATE_PER_SECOND, burst: WEBHOOK_BURST_MAX };

/// The form in which a token is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenForm {
    /// The token alone, or after `Bearer`.
    Plain,
    /// As the password of basic authentication (RFC 7617), with any user name.
    Basic,
}

/// The word for basic authentication: a header token in another form.
const BASIC: &str = "basic";

impl WebhookConfiguration {
    /// `webhooks.header_name`: the header of a signature or header token; null for bearer and none.
    #[must_use]
    pub fn stored_header(&self) -> Option<String> {
        match self.authentication {
            Authentication::Signature | Authentication::HeaderToken => self.header_name.clone(),
            Authentication::Bearer | Authentication::None => None,
        }
    }

    /// Reads the configuration of a `webhook` node.
    ///
    /// # Errors
    /// Every problem of the configuration; one that was applied has none.
    pub fn read(configuration: &Value) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(Stage::Resolved);
        let read = Self::read_fields(&mut reader, configuration);
        let problems = reader.into_problems();
        match read {
            Some(read) if problems.is_empty() => Ok(read),
            _ => Err(problems),
        }
    }

    fn read_fields(reader: &mut Reader, configuration: &Value) -> Option<Self> {
        let fields = [
            "sender",
            "authentication",
            "header_name",
            "signature",
            "deduplication_header",
            "deduplication_key",
            "handshake",
            "when",
            "response",
            "rate",
        ];
        let map = reader.object("", configuration, &fields)?;
        let senders: Vec<_> = Sender::ALL.iter().map(|sender| sender.as_str()).collect();
        let sender = match map.get("sender") {
            None => Sender::Generic,
            Some(word) => reader.word("/sender", word, &senders)?.parse().ok()?,
        };
        let proof = Proof::read(reader, map, sender);
        let deduplication_header = read_header_name(reader, map, "", "deduplication_header");
        read_deduplication_key(reader, map);
        let handshakes = read_handshakes(reader, map, sender);
        if map.get("when").is_some_and(|when| !when.is_string()) {
            reader.problem(WHEN, "must be an expression such as root().data.body.action == \"opened\"");
        }
        response::check(reader, map);
        let rate = read_rate(reader, map);
        let Proof { authentication, header_name, scheme, token_form } = proof?;
        if deduplication_header.is_some() && deduplication_header == header_name {
            reader.problem("/deduplication_header", "is the header of the credential");
        }
        let is_said = map.contains_key("deduplication_header") || map.contains_key("deduplication_key");
        let preset = Preset::of(sender).map_or(Deduplication::None, |preset| preset.deduplication);
        let (deduplication_header, deduplication_data) = match preset {
            _ if is_said => (deduplication_header, None),
            Deduplication::Header(name) => (Some(name.to_owned()), None),
            Deduplication::Data(pointer) => (None, Some(pointer)),
            Deduplication::None => (None, None),
        };
        Some(Self {
            authentication,
            header_name,
            deduplication_header,
            deduplication_data,
            sender,
            scheme,
            token_form,
            handshakes: handshakes?,
            rate: rate?,
        })
    }
}

/// The proof that a sender must give.
struct Proof {
    authentication: Authentication,
    header_name: Option<String>,
    scheme: SignatureScheme,
    token_form: TokenForm,
}

impl Proof {
    fn read(reader: &mut Reader, map: &Map<String, Value>, sender: Sender) -> Option<Self> {
        if let Some(preset) = Preset::of(sender) {
            for field in ["authentication", "header_name", "signature"] {
                if map.contains_key(field) {
                    let message =
                        format!("is set by `sender: {sender}`; to say it by hand, leave `sender` out");
                    reader.problem(&child("", field), message);
                }
            }
            let header = preset.header.or(default_header(preset.authentication));
            return Some(Self {
                authentication: preset.authentication,
                header_name: header.map(str::to_owned),
                scheme: preset.scheme.unwrap_or_default(),
                token_form: TokenForm::Plain,
            });
        }
        let header_name = read_header_name(reader, map, "", "header_name");
        let scheme = map.get("signature").map(|value| SignatureScheme::read(reader, value));
        let word = reader.required("", map, "authentication")?;
        let words: Vec<_> = Authentication::ALL.iter().map(|word| word.as_str()).chain([BASIC]).collect();
        let word = reader.word("/authentication", word, &words)?;
        let token_form = if word == BASIC { TokenForm::Basic } else { TokenForm::Plain };
        let authentication = if word == BASIC { Authentication::HeaderToken } else { word.parse().ok()? };
        let chooses = matches!(authentication, Authentication::Signature | Authentication::HeaderToken);
        if map.contains_key("header_name") && (!chooses || word == BASIC) {
            reader.problem("/header_name", "is for the authentications signature and header_token only");
        }
        if scheme.is_some() && authentication != Authentication::Signature {
            reader.problem("/signature", "is for the authentication signature only");
        }
        let header_name = match token_form {
            TokenForm::Basic => Some("authorization".to_owned()),
            TokenForm::Plain => header_name.or_else(|| default_header(authentication).map(str::to_owned)),
        };
        let scheme = scheme.unwrap_or_else(|| Some(SignatureScheme::default()))?;
        Some(Self { authentication, header_name, scheme, token_form })
    }
}

fn read_rate(reader: &mut Reader, map: &Map<String, Value>) -> Option<Rate> {
    let most = FASTEST;
    let Some(value) = map.get("rate") else { return Some(most) };
    let map = reader.object("/rate", value, &["per_second", "burst"])?;
    let mut read = |field: &str, limit: u32| {
        let Some(value) = map.get(field) else { return Some(limit) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (1..=limit).contains(number));
        if number.is_none() {
            reader.problem(&child("/rate", field), format!("must be a whole number from 1 to {limit}"));
        }
        number
    };
    let (per_second, burst) = (read("per_second", most.per_second), read("burst", most.burst));
    Some(Rate { per_second: per_second?, burst: burst? })
}

/// Checks only that a template stands there: crate `definition` parses it, and its value is not
/// known before a request arrives.
fn read_deduplication_key(reader: &mut Reader, map: &Map<String, Value>) {
    let Some(value) = map.get("deduplication_key") else { return };
    if !value.as_str().is_some_and(holds_template) {
        let message = "must be a template such as {{ root().data.body.id }}: a key that is always the same makes all requests one";
        reader.problem(DEDUPLICATION_KEY, message);
    }
    if map.contains_key("deduplication_header") {
        reader.problem(DEDUPLICATION_KEY, "stands beside `deduplication_header`: a webhook has one of them");
    }
}

fn read_header_name(reader: &mut Reader, map: &Map<String, Value>, at: &str, field: &str) -> Option<String> {
    let value = map.get(field)?;
    let name = value.as_str().filter(|name| is_header_name(name));
    if name.is_none() {
        reader.problem(&child(at, field), "must be the name of a header");
    }
    name.map(str::to_ascii_lowercase)
}

/// Bytes of the name of a header.
const NAME_BYTES_MAX: usize = 128;

/// Whether the text can be the name of an HTTP header (RFC 9110, token).
pub(crate) fn is_header_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The place of the template of the deduplication key, a JSON pointer into the configuration.
pub const DEDUPLICATION_KEY: &str = "/deduplication_key";
/// The place of the expression that says which deliveries make a run.
pub const WHEN: &str = "/when";
/// The place of the answer that a delivery gets at once.
pub const RESPONSE: &str = "/response";

/// The trigger.
pub(crate) struct Webhook;

impl Trigger for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn templates(&self) -> &'static [FieldSpec] {
        const {
            &[
                FieldSpec::plain(DEDUPLICATION_KEY, FieldKind::Typed),
                FieldSpec::plain(WHEN, FieldKind::Expression),
                FieldSpec::plain("/response/body/**", FieldKind::Typed),
                FieldSpec::plain("/response/headers/*", FieldKind::Text),
            ]
        }
    }

    fn resource(&self, configuration: &Value) -> Option<Resource> {
        WebhookConfiguration::read(configuration).ok().map(Resource::Webhook)
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        let mut problems = WebhookConfiguration::read(configuration).err().unwrap_or_default();
        let header = configuration.get("deduplication_header").and_then(Value::as_str).unwrap_or_default();
        if is_credential(header) {
            problems.push(Problem {
                pointer: "/deduplication_header".to_owned(),
                message: "is a header of credentials, by its name: what it holds is not stored, and a key is"
                    .to_owned(),
            });
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> WebhookConfiguration {
        WebhookConfiguration::read(&value).unwrap()
    }

    #[test]
    fn each_authentication_has_its_header() {
        let check = |value: Value, authentication, header: Option<&str>| {
            let found = read(value);
            assert_eq!((found.authentication, found.header_name.as_deref()), (authentication, header));
        };
        check(
            json!({ "authentication": "signature" }),
            Authentication::Signature,
            Some("x-hub-signature-256"),
        );
        check(
            json!({ "authentication": "signature", "header_name": "X-Gitea-Signature" }),
            Authentication::Signature,
            Some("x-gitea-signature"),
        );
        check(json!({ "authentication": "bearer" }), Authentication::Bearer, Some("authorization"));
        check(json!({ "authentication": "header_token" }), Authentication::HeaderToken, Some("x-token"));
        check(json!({ "authentication": "none" }), Authentication::None, None);
    }

    #[test]
    fn what_is_wrong_with_a_configuration_is_all_said() {
        let check = |value: Value, expected: &[(&str, &str)]| {
            let problems = Webhook.check(&value);
            let found: Vec<_> =
                problems.iter().map(|problem| (problem.pointer.as_str(), problem.message.as_str())).collect();
            assert_eq!(found, expected);
        };
        check(json!({}), &[("", "`authentication` is missing")]);
        check(
            json!({ "authentication": "signatur", "header_name": "a b", "hxyzder": 1 }),
            &[
                ("/hxyzder", "unknown field `hxyzder`"),
                ("/header_name", "must be the name of a header"),
                (
                    "/authentication",
                    "must be one of signature, bearer, header_token, none, basic; did you mean `signature`?",
                ),
            ],
        );
        check(
            json!({ "authentication": "bearer", "header_name": "X-A" }),
            &[("/header_name", "is for the authentications signature and header_token only")],
        );
        check(
            json!({ "authentication": "header_token", "header_name": "X-Pass", "deduplication_header": "x-pass" }),
            &[("/deduplication_header", "is the header of the credential")],
        );
        let credentials = [(
            "/deduplication_header",
            "is a header of credentials, by its name: what it holds is not stored, and a key is",
        )];
        for header in [
            "Authorization",
            "cookie",
            "Proxy-Id",
            "X-Hub-Signature",
            "X-Old-Token",
            "x-api-key",
            "Client-SECRET",
        ] {
            check(json!({ "authentication": "none", "deduplication_header": header }), &credentials);
        }
        check(json!({ "authentication": "none", "deduplication_header": "X-GitHub-Delivery" }), &[]);
        let constant = "must be a template such as {{ root().data.body.id }}: a key that is always the same makes all requests one";
        let both = "stands beside `deduplication_header`: a webhook has one of them";
        check(
            json!({ "authentication": "none", "deduplication_key": "always", "deduplication_header": "X-Id" }),
            &[("/deduplication_key", constant), ("/deduplication_key", both)],
        );
        check(
            json!({ "authentication": "none", "deduplication_key": 1 }),
            &[("/deduplication_key", constant)],
        );
        check(json!({ "authentication": "none", "deduplication_key": "{{ root().data.body.id }}" }), &[]);
    }

    #[test]
    fn the_name_of_a_header_has_a_limit_on_both_sides() {
        assert!(is_header_name(&"x".repeat(NAME_BYTES_MAX)));
        assert!(!is_header_name(&"x".repeat(NAME_BYTES_MAX + 1)));
        assert!(!is_header_name(""));
        assert!(!is_header_name("a b") && !is_header_name("a:") && !is_header_name("ä"));
    }

    #[test]
    fn a_sender_says_the_rest() {
        for sender in Sender::ALL.iter().copied().filter(|sender| *sender != Sender::Generic) {
            let found = read(json!({ "sender": sender.as_str() }));
            assert_eq!(found.sender, sender);
            assert!(found.header_name.is_some(), "{sender}");
            assert_ne!(found.authentication, Authentication::None, "{sender}");
            assert!(Webhook.check(&json!({ "sender": sender.as_str() })).is_empty(), "{sender}");
        }
        let github = read(json!({ "sender": "github" }));
        assert_eq!(github.header_name.as_deref(), Some("x-hub-signature-256"));
        assert_eq!(github.deduplication_header.as_deref(), Some("x-github-delivery"));
        let by_hand = read(json!({ "sender": "github", "deduplication_key": "{{ root().data.body.id }}" }));
        assert_eq!((by_hand.deduplication_header, by_hand.deduplication_data), (None, None));
        assert_eq!(read(json!({ "sender": "stripe" })).deduplication_data, Some("/body/id"));
        assert_eq!(
            read(json!({ "sender": "slack" })).handshakes,
            [WebhookHandshake::Named(Handshake::UrlVerification)]
        );
        assert_eq!(read(json!({ "sender": "slack", "handshake": [] })).handshakes, []);
    }

    #[test]
    fn what_a_sender_says_is_not_said_again() {
        let pointers = |value: Value| {
            let problems = WebhookConfiguration::read(&value).unwrap_err();
            problems.into_iter().map(|problem| problem.pointer).collect::<Vec<_>>()
        };
        let both =
            json!({ "sender": "github", "authentication": "none", "header_name": "x-a", "signature": {} });
        assert_eq!(pointers(both), ["/authentication", "/header_name", "/signature"]);
        assert_eq!(pointers(json!({ "sender": "githb" })), ["/sender"]);
        assert_eq!(pointers(json!({ "authentication": "bearer", "signature": {} })), ["/signature"]);
        assert_eq!(
            pointers(json!({ "authentication": "none", "handshake": ["probe", "x"] })),
            ["/handshake/1"]
        );
        assert_eq!(pointers(json!({ "authentication": "basic", "header_name": "x-a" })), ["/header_name"]);
    }

    #[test]
    fn a_rate_is_within_the_installations_on_both_sides_i10() {
        let rate = |rate: Value| {
            WebhookConfiguration::read(&json!({ "authentication": "none", "rate": rate }))
                .map(|read| read.rate)
                .ok()
        };
        let most = FASTEST;
        assert_eq!(rate(json!({})), Some(most));
        assert_eq!(rate(json!({ "per_second": 1, "burst": 1 })), Some(Rate { per_second: 1, burst: 1 }));
        assert!(rate(json!({ "per_second": most.per_second, "burst": most.burst })).is_some());
        for wrong in [
            json!({ "per_second": 0 }),
            json!({ "per_second": most.per_second + 1 }),
            json!({ "burst": 0 }),
            json!({ "burst": most.burst + 1 }),
            json!({ "per_minute": 1 }),
            json!(5),
        ] {
            assert_eq!(rate(wrong), None);
        }
    }

    #[test]
    fn basic_authentication_is_a_token_in_another_form() {
        let basic = read(json!({ "authentication": "basic" }));
        assert_eq!((basic.authentication, basic.token_form), (Authentication::HeaderToken, TokenForm::Basic));
        assert_eq!(basic.header_name.as_deref(), Some("authorization"));
    }
}
