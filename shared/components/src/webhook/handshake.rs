//! Requests by which a sender asks whether somebody is there.

use super::{Handshake, WebhookConfiguration};

/// Characters of a challenge that is sent back.
const CHALLENGE_CHARS_MAX: usize = 4_096;

/// The text that answers a handshake; None: the request is none that this webhook takes.
///
/// `method` is in capitals, `query` the text after the `?`, and `body` the JSON body of a delivery
/// that is authentic, or None.
#[must_use]
pub fn handshake_answer(
    configuration: &WebhookConfiguration,
    method: &str,
    query: &str,
    body: Option<&[u8]>,
) -> Option<String> {
    let parameter = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    };
    let answers = configuration.handshakes.iter().find_map(|handshake| match (handshake, method) {
        (Handshake::HubChallenge, "GET") => parameter("hub.challenge"),
        (Handshake::ValidationToken, "POST") => parameter("validationToken"),
        (Handshake::UrlVerification, "POST") => url_verification(body?),
        _ => None,
    });
    let probed = configuration.handshakes.contains(&Handshake::Probe) && matches!(method, "GET" | "HEAD");
    let answer = answers.or_else(|| probed.then(String::new))?;
    (answer.chars().count() <= CHALLENGE_CHARS_MAX).then_some(answer)
}

fn url_verification(body: &[u8]) -> Option<String> {
    let body: serde_json::Value =
        serde_json::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).ok()?;
    (body.get("type")?.as_str()? == "url_verification")
        .then(|| body.get("challenge")?.as_str().map(str::to_owned))
        .flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(handshake: serde_json::Value, method: &str, query: &str, body: Option<&str>) -> Option<String> {
        let configuration =
            WebhookConfiguration::read(&json!({ "authentication": "none", "handshake": handshake })).unwrap();
        handshake_answer(&configuration, method, query, body.map(str::as_bytes))
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
}
