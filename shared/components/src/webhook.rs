//! `webhook`: an HTTP request from outside.

use std::collections::BTreeMap;

use domain::json::{JsonError, parse_strict};
use domain::webhook::Authentication;
use serde_json::{Map, Value, json};

use crate::credential_names::is_credential;
use crate::headers::canonical_header_name;
use crate::{
    component::Problem,
    shape::{Reader, Stage, child, holds_template},
    trigger::{Resource, Trigger},
};

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
}

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
        let fields = ["authentication", "header_name", "deduplication_header", "deduplication_key"];
        let map = reader.object("", configuration, &fields)?;
        let header_name = read_header_name(reader, map, "header_name");
        let deduplication_header = read_header_name(reader, map, "deduplication_header");
        read_deduplication_key(reader, map);
        let word = reader.required("", map, "authentication")?;
        let words: Vec<_> =
            Authentication::ALL.iter().map(|authentication| authentication.as_str()).collect();
        let authentication: Authentication = reader.word("/authentication", word, &words)?.parse().ok()?;
        let chooses = matches!(authentication, Authentication::Signature | Authentication::HeaderToken);
        if map.contains_key("header_name") && !chooses {
            reader.problem("/header_name", "is for the authentications signature and header_token only");
        }
        let header_name = header_name.or_else(|| default_header(authentication).map(str::to_owned));
        if deduplication_header.is_some() && deduplication_header == header_name {
            reader.problem("/deduplication_header", "is the header of the credential");
        }
        Some(Self { authentication, header_name, deduplication_header })
    }
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

fn read_header_name(reader: &mut Reader, map: &Map<String, Value>, field: &str) -> Option<String> {
    let value = map.get(field)?;
    let name = value.as_str().filter(|name| is_header_name(name));
    if name.is_none() {
        reader.problem(&child("", field), "must be the name of a header");
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

/// The trigger.
pub(crate) struct Webhook;

impl Trigger for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn templates(&self) -> &'static [&'static str] {
        &[DEDUPLICATION_KEY]
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

/// A request whose credential is already checked.
#[derive(Clone, Copy)]
pub struct WebhookRequest<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// Names and values, as they arrived.
    pub headers: &'a [(String, String)],
    /// The text after the `?`, still encoded; empty for none.
    pub query: &'a str,
    /// The raw body.
    pub body: &'a [u8],
    /// Whether a text holds a credential of the webhook: a sender may put one anywhere, for example
    /// in a renamed header.
    pub holds_credential: &'a dyn Fn(&str) -> bool,
}

/// The fault of a request that was refused; nothing of the request is stored.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BodyError {
    /// The request declares its body as JSON, and the JSON was refused.
    #[error("the body can't be taken: {0}")]
    Json(#[source] JsonError),
    /// The body is neither JSON nor text.
    #[error("the body is not UTF-8 text")]
    NotText,
    /// A form, query, header or text holds NUL, which Postgres can't keep.
    #[error("the request holds the character U+0000")]
    Nul,
}

/// The data of the event that a request becomes: `body`, `headers`, `query`, `method`.
///
/// The body is JSON if its content type says so, or if it has no content type and is valid JSON. A
/// form becomes a map, any other body text. Header names are canonical (`X-Github-Event`), each
/// with the list of its values. A name in the form or the query has its text, or a list where it
/// stands more than once. Headers and query parameters with credentials are left out, by their
/// names and by their values. The body is the sender's and stays whole.
///
/// # Errors
/// [`BodyError`]; the caller answers 400.
pub fn event_data(
    configuration: &WebhookConfiguration,
    request: &WebhookRequest<'_>,
) -> Result<Value, BodyError> {
    let mut headers: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (name, value) in request.headers {
        let name = name.to_ascii_lowercase();
        let is_left_out = is_credential(&name)
            || Some(&name) == configuration.header_name.as_ref()
            || (request.holds_credential)(value);
        if !is_left_out {
            headers
                .entry(canonical_header_name(&name))
                .or_default()
                .push(Value::String(no_nul(value.clone())?));
        }
    }
    let holds_credential =
        |value: &Value| value.as_str().is_some_and(|text| (request.holds_credential)(text));
    let mut query = form_map(request.query.as_bytes())?;
    query.retain(|name, value| {
        let holds_credential = match value {
            Value::Array(values) => values.iter().any(holds_credential),
            value => holds_credential(value),
        };
        !is_credential(name) && !holds_credential && !(request.holds_credential)(name)
    });
    let body = body_data(request)?;
    Ok(json!({ "body": body, "headers": headers, "query": query, "method": request.method }))
}

fn body_data(request: &WebhookRequest<'_>) -> Result<Value, BodyError> {
    let content_type = request
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .map(|(_, value)| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    match content_type.as_deref() {
        Some(kind) if kind == "application/json" || kind == "text/json" || kind.ends_with("+json") => {
            parse_strict(request.body).map_err(BodyError::Json)
        }
        Some("application/x-www-form-urlencoded") => Ok(Value::Object(form_map(request.body)?)),
        None | Some("") => match parse_strict(request.body) {
            Err(JsonError::Syntax { .. }) => text_data(request.body),
            read => read.map_err(BodyError::Json),
        },
        Some(_) => text_data(request.body),
    }
}

fn text_data(body: &[u8]) -> Result<Value, BodyError> {
    let text = std::str::from_utf8(body).map_err(|_| BodyError::NotText)?;
    Ok(Value::String(no_nul(text.to_owned())?))
}

/// A map from each name to its text, or to a list where the name stands more than once.
fn form_map(form: &[u8]) -> Result<Map<String, Value>, BodyError> {
    let mut map = Map::new();
    for (name, value) in form_urlencoded::parse(form) {
        let value = Value::String(no_nul(value.into_owned())?);
        match map.get_mut(name.as_ref()) {
            None => {
                map.insert(no_nul(name.into_owned())?, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Ok(map)
}

fn no_nul(text: String) -> Result<String, BodyError> {
    if text.contains('\0') { Err(BodyError::Nul) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
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
            json!({ "authentication": "signatur", "header_name": "a b", "heder": 1 }),
            &[
                ("/heder", "unknown field `heder`"),
                ("/header_name", "must be the name of a header"),
                (
                    "/authentication",
                    "must be one of signature, bearer, header_token, none; did you mean `signature`?",
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

    fn data(headers: &[(&str, &str)], query: &str, body: &[u8]) -> Result<Value, BodyError> {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let configuration = read(json!({ "authentication": "header_token", "header_name": "X-Pass" }));
        let holds_credential = &|text: &str| text.contains("known-credential");
        let request = WebhookRequest { method: "POST", headers: &headers, query, body, holds_credential };
        event_data(&configuration, &request)
    }

    #[test]
    fn a_body_is_json_a_form_or_text_as_the_sender_says() {
        let check = |content_type: &str, body: &str, expected: Value| {
            let headers = [("Content-Type", content_type)];
            assert_eq!(data(&headers, "", body.as_bytes()).unwrap()["body"], expected, "{content_type}");
        };
        check("application/json; charset=utf-8", r#"{"a": 1}"#, json!({ "a": 1 }));
        check("application/vnd.x+json", "[]", json!([]));
        check(
            "application/x-www-form-urlencoded",
            "a=1&b=x+y&a=2&a=3",
            json!({ "a": ["1", "2", "3"], "b": "x y" }),
        );
        check("text/plain", r#"{"a": 1}"#, json!(r#"{"a": 1}"#));
        assert_eq!(data(&[], "", b"[1]").unwrap()["body"], json!([1]));
        assert_eq!(data(&[], "", b"hello").unwrap()["body"], json!("hello"));
        assert_eq!(data(&[], "", b"").unwrap()["body"], json!(""));
    }

    #[test]
    fn what_can_not_be_kept_is_refused() {
        let json = [("content-type", "application/json")];
        assert_eq!(data(&json, "", b"{"), Err(BodyError::Json(JsonError::Syntax { line: 1, column: 1 })));
        assert_eq!(data(&json, "", br#""\u0000""#), Err(BodyError::Json(JsonError::Character)));
        assert_eq!(data(&[], "", &b"[".repeat(20_000)), Err(BodyError::Json(JsonError::Depth)));
        assert_eq!(data(&[("content-type", "image/png")], "", &[0xff, 0xfe]), Err(BodyError::NotText));
        assert_eq!(data(&[("content-type", "text/plain")], "", b"a\0"), Err(BodyError::Nul));
        let form = [("content-type", "application/x-www-form-urlencoded")];
        assert_eq!(data(&form, "", b"a%00=1"), Err(BodyError::Nul));
        assert_eq!(data(&[], "a=%00", b""), Err(BodyError::Nul));
    }

    #[test]
    fn credentials_are_left_out_of_headers_and_query_i1() {
        let headers = [
            ("Authorization", "Bearer x"),
            ("Cookie", "x"),
            ("Proxy-Authorization", "x"),
            ("X-Pass", "x"),
            ("X-Hub-Signature", "x"),
            ("X-Gitlab-Token", "x"),
            ("Client-Secret", "x"),
            ("X-API-Key", "x"),
            ("X-GitHub-Event", "push"),
            ("x-github-event", "again"),
        ];
        let query =
            "access_token=x&api_key=x&Secret=x&password=x&access_key=x&client_credential=x&page=1&page=2";
        let found = data(&headers, query, b"{}").unwrap();
        assert_eq!(found["headers"], json!({ "X-Github-Event": ["push", "again"] }));
        assert_eq!(found["query"], json!({ "page": ["1", "2"] }));
        assert_eq!(found["method"], "POST");
    }

    #[test]
    fn a_known_credential_is_left_out_wherever_in_headers_and_query_it_stands_i1() {
        let headers = [("X-Old", "known-credential"), ("Referer", "/x?known-credential"), ("X-Kept", "x")];
        let query = "old=known-credential&known-credential=1&two=x&two=a+known-credential&page=1";
        let found = data(&headers, query, br#""known-credential""#).unwrap();
        assert_eq!(found["headers"], json!({ "X-Kept": ["x"] }));
        assert_eq!(found["query"], json!({ "page": "1" }));
        assert_eq!(found["body"], "known-credential", "the body is the sender's");
    }

    #[test]
    fn a_template_in_a_body_stays_text_i2() {
        let body = br#"{"{{ secrets(\"a\").b }}": "{{ secrets(\"a\").b }}"}"#;
        let found = data(&[], "", body).unwrap();
        assert_eq!(found["body"], json!({ "{{ secrets(\"a\").b }}": "{{ secrets(\"a\").b }}" }));
    }
}
