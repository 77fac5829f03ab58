//! Requests by which a sender asks whether somebody is there.

use domain::webhook::Handshake;
use http_content::without_byte_order_mark;
use serde_json::{Map, Value, json};

use super::sender::Preset;
use super::{Sender, WebhookConfiguration, read_header_name};
use crate::credential_names::is_credential;
use crate::shape::{Reader, item};

/// Characters of a challenge that is sent back.
const CHALLENGE_CHARS_MAX: usize = 4_096;

/// Handshakes of one webhook: anybody may ask for them.
const HANDSHAKES_MAX: usize = 10;
/// Bytes of the name of a parameter or field.
const FIELD_BYTES_MAX: usize = 128;

/// A handshake of a webhook: one that has a name, or one that its author describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookHandshake {
    /// One of the known ones.
    Named(Handshake),
    /// `GET` with a challenge, which is sent back.
    Echo {
        /// Where the challenge stands.
        challenge: Challenge,
        /// The field of a JSON answer; None: the answer is the challenge as text.
        json: Option<String>,
    },
}

/// Where a challenge stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// In the parameter of this name (Dropbox, Strava).
    Query(String),
    /// In the header of this name, in lower case (Okta).
    Header(String),
}

/// A request that may be a handshake.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The text after the `?`.
    pub query: &'a str,
    /// A header by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    /// The body of a delivery that is authentic, without its content coding, or None.
    pub body: Option<&'a [u8]>,
}

/// The answer to a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeAnswer {
    /// The body.
    pub text: String,
    /// Whether it is JSON; otherwise it is text.
    pub is_json: bool,
}

/// Answers a handshake; None: the request is none that this webhook takes.
#[must_use]
pub fn handshake_answer(configuration: &WebhookConfiguration, asked: &Asked<'_>) -> Option<HandshakeAnswer> {
    let found =
        configuration.handshakes.iter().find_map(|handshake| Some((answer(handshake, asked)?, handshake)));
    let probe = WebhookHandshake::Named(Handshake::Probe);
    let is_probed = configuration.handshakes.contains(&probe) && matches!(asked.method, "GET" | "HEAD");
    let (challenge, handshake) = found.or_else(|| is_probed.then(|| (String::new(), &probe)))?;
    if challenge.chars().count() > CHALLENGE_CHARS_MAX {
        return None;
    }
    Some(match handshake {
        WebhookHandshake::Echo { json: Some(field), .. } => {
            HandshakeAnswer { text: json!({ field: challenge }).to_string(), is_json: true }
        }
        _ => HandshakeAnswer { text: challenge, is_json: false },
    })
}

/// The challenge of this handshake, if the request has it.
fn answer(handshake: &WebhookHandshake, asked: &Asked<'_>) -> Option<String> {
    let parameter = |name: &str| {
        let mut pairs = form_urlencoded::parse(asked.query.as_bytes());
        pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    };
    match (handshake, asked.method) {
        (WebhookHandshake::Named(Handshake::HubChallenge), "GET") => parameter("hub.challenge"),
        (WebhookHandshake::Named(Handshake::ValidationToken), "POST") => parameter("validationToken"),
        (WebhookHandshake::Named(Handshake::UrlVerification), "POST") => url_verification(asked.body?),
        (WebhookHandshake::Echo { challenge, .. }, "GET") => match challenge {
            Challenge::Query(name) => parameter(name),
            Challenge::Header(name) => (asked.header)(name),
        },
        _ => None,
    }
}

/// One handshake or a list of them; those of the sender if nothing is said.
pub(super) fn read_handshakes(
    reader: &mut Reader,
    map: &Map<String, Value>,
    sender: Sender,
) -> Option<Vec<WebhookHandshake>> {
    let Some(value) = map.get("handshake") else {
        let known = Preset::of(sender).map_or(&[][..], |preset| preset.handshakes);
        return Some(known.iter().copied().map(WebhookHandshake::Named).collect());
    };
    match value.as_array() {
        None => read_handshake(reader, "/handshake", value).map(|handshake| vec![handshake]),
        Some(list) if list.len() > HANDSHAKES_MAX => {
            reader.problem("/handshake", format!("must have at most {HANDSHAKES_MAX} handshakes"));
            None
        }
        Some(list) => {
            let all: Vec<_> = list
                .iter()
                .enumerate()
                .map(|(index, one)| read_handshake(reader, &item("/handshake", index), one))
                .collect();
            all.into_iter().collect()
        }
    }
}

fn read_handshake(reader: &mut Reader, at: &str, value: &Value) -> Option<WebhookHandshake> {
    if !value.is_object() {
        let words: Vec<_> = Handshake::ALL.iter().map(|handshake| handshake.as_str()).collect();
        return Some(WebhookHandshake::Named(reader.word(at, value, &words)?.parse().ok()?));
    }
    let map = reader.object(at, value, &["query", "header", "json"])?;
    let query = map.get("query").map(|name| read_name(reader, &format!("{at}/query"), name));
    let header = map.contains_key("header").then(|| read_header_name(reader, map, at, "header"));
    let json = map.get("json").map(|name| read_name(reader, &format!("{at}/json"), name));
    if header.iter().flatten().any(|name| is_credential(name)) {
        reader.problem(&format!("{at}/header"), "carries credentials, which are sent back to nobody");
    }
    let challenge = match (query, header) {
        (Some(name), None) => Challenge::Query(name?),
        (None, Some(name)) => Challenge::Header(name?),
        _ => {
            reader.problem(at, "needs exactly one of `query` and `header`: where the challenge stands");
            return None;
        }
    };
    let json = match json {
        Some(name) => Some(name?),
        None => None,
    };
    Some(WebhookHandshake::Echo { challenge, json })
}

fn read_name(reader: &mut Reader, at: &str, value: &Value) -> Option<String> {
    let name = reader.text(at, value)?;
    if (1..=FIELD_BYTES_MAX).contains(&name.len()) {
        return Some(name);
    }
    reader.problem(at, format!("must be a name of 1 to {FIELD_BYTES_MAX} bytes"));
    None
}

fn url_verification(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(without_byte_order_mark(body)).ok()?;
    (body.get("type")?.as_str()? == "url_verification")
        .then(|| body.get("challenge")?.as_str().map(str::to_owned))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(handshake: &Value) -> Result<WebhookConfiguration, Vec<crate::Problem>> {
        WebhookConfiguration::read(&json!({ "authentication": "none", "handshake": handshake }))
    }

    fn answered(handshake: &Value, asked: &Asked<'_>) -> Option<HandshakeAnswer> {
        handshake_answer(&read(handshake).unwrap(), asked)
    }

    fn answer(handshake: Value, method: &str, query: &str, body: Option<&str>) -> Option<String> {
        let asked = Asked { method, query, header: &|_| None, body: body.map(str::as_bytes) };
        let answer = answered(&handshake, &asked)?;
        assert!(!answer.is_json);
        Some(answer.text)
    }

    #[test]
    fn each_handshake_has_its_answer_and_no_other() {
        let said = |text: &str| Some(text.to_owned());
        let slack = r#"{"type":"url_verification","token":"t","challenge":"c-1"}"#;
        assert_eq!(answer(json!("url_verification"), "POST", "", Some(slack)), said("c-1"));
        let marked = format!("\u{feff}{slack}");
        assert_eq!(answer(json!("url_verification"), "POST", "", Some(&marked)), said("c-1"));
        assert_eq!(answer(json!("url_verification"), "POST", "", None), None, "it is not authentic");
        assert_eq!(answer(json!("url_verification"), "POST", "", Some(r#"{"type":"event"}"#)), None);
        assert_eq!(answer(json!("url_verification"), "GET", "", None), None);
        let hub = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=x";
        assert_eq!(answer(json!("hub_challenge"), "GET", hub, None), said("1158201444"));
        assert_eq!(answer(json!("hub_challenge"), "GET", "", None), None);
        assert_eq!(answer(json!("hub_challenge"), "POST", hub, Some("{}")), None);
        assert_eq!(answer(json!("validation_token"), "POST", "validationToken=a%20b", None), said("a b"));
        assert_eq!(answer(json!("validation_token"), "POST", "", Some("{}")), None);
        assert_eq!(answer(json!("probe"), "HEAD", "", None), said(""));
        assert_eq!(answer(json!(["probe", "hub_challenge"]), "GET", hub, None), said("1158201444"));
        assert_eq!(answer(json!(["probe", "hub_challenge"]), "GET", "", None), said(""));
        assert_eq!(answer(json!([]), "GET", hub, None), None);
        assert_eq!(answer(json!("probe"), "POST", "", Some("{}")), None);
    }

    #[test]
    fn a_challenge_has_a_limit_on_both_sides_i10() {
        let of = |chars: usize| {
            answer(json!("hub_challenge"), "GET", &format!("hub.challenge={}", "c".repeat(chars)), None)
        };
        assert!(of(CHALLENGE_CHARS_MAX).is_some());
        assert!(of(CHALLENGE_CHARS_MAX + 1).is_none());
    }

    #[test]
    fn handshakes_and_their_names_have_limits_on_both_sides_i10() {
        let of = |count: usize| read(&json!(vec!["probe"; count])).is_ok();
        assert!(of(HANDSHAKES_MAX) && !of(HANDSHAKES_MAX + 1));
        for field in ["query", "json"] {
            let named = |bytes: usize| {
                let mut handshake = json!({ "query": "a" });
                handshake[field] = json!("x".repeat(bytes));
                read(&handshake).is_ok()
            };
            assert!(named(FIELD_BYTES_MAX) && !named(FIELD_BYTES_MAX + 1) && !named(0), "{field}");
        }
    }

    #[test]
    fn a_challenge_is_sent_back_as_its_author_says() {
        let header = |name: &str| (name == "x-okta-verification-challenge").then(|| "c\"1".to_owned());
        let ask = |handshake: Value, method: &str, query: &str| {
            let asked = Asked { method, query, header: &header, body: None };
            answered(&handshake, &asked).map(|answer| (answer.text, answer.is_json))
        };
        let said = |text: &str, is_json: bool| Some((text.to_owned(), is_json));
        // Dropbox, Strava and Okta, from their public descriptions; not tried against them.
        assert_eq!(ask(json!({ "query": "challenge" }), "GET", "challenge=a%2Bb"), said("a+b", false));
        let strava = json!({ "query": "hub.challenge", "json": "hub.challenge" });
        assert_eq!(
            ask(strava.clone(), "GET", "hub.verify_token=S&hub.challenge=15f7&hub.mode=subscribe"),
            said(r#"{"hub.challenge":"15f7"}"#, true)
        );
        let okta = json!([{ "header": "X-Okta-Verification-Challenge", "json": "verification" }]);
        assert_eq!(ask(okta.clone(), "GET", ""), said(r#"{"verification":"c\"1"}"#, true));
        assert_eq!(ask(strava, "GET", "hub.mode=subscribe"), None);
        for method in ["POST", "HEAD"] {
            assert_eq!(ask(okta.clone(), method, ""), None, "{method}");
        }
        assert_eq!(ask(json!([{ "header": "x-other" }, "probe"]), "GET", ""), said("", false));
    }

    #[test]
    fn what_is_no_handshake_is_told_with_its_place() {
        let check = |handshake: Value, pointer: &str, message: &str| {
            let problems = read(&handshake).unwrap_err();
            let found: Vec<_> =
                problems.iter().map(|problem| (problem.pointer.as_str(), problem.message.as_str())).collect();
            assert_eq!(found, [(pointer, message)], "{handshake}");
        };
        let one = "needs exactly one of `query` and `header`: where the challenge stands";
        check(json!([{}]), "/handshake/0", one);
        check(json!({ "query": "a", "header": "b" }), "/handshake", one);
        check(json!({ "header": "a b" }), "/handshake/header", "must be the name of a header");
        check(
            json!({ "header": "Authorization" }),
            "/handshake/header",
            "carries credentials, which are sent back to nobody",
        );
        check(
            json!({ "query": "a", "jsn": "b" }),
            "/handshake/jsn",
            "unknown field `jsn`; did you mean `json`?",
        );
        check(json!({ "query": ["a"] }), "/handshake/query", "must be text, not a list");
    }
}
