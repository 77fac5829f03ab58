//! The field `authorization`: its forms, and the header that it becomes.
//!
//! | `type` | fields |
//! |---|---|
//! | `bearer` | `token` |
//! | `basic` | `username`, `password` |
//! | `header` | `name`, `value` |
//! | `oauth2_client_credentials` | `token_url`, `client_id`, `client_secret`; `auth_method`, `scope`, `audience` |
//! | `jwt_bearer` | `key`, `issuer`; `subject`, `audience`, `scope`, `key_id`, `algorithm`, `token_url` |
//! | `github_app` | `app_id`, `installation_id`, `key`; `api_url` |
//! | `aws_sigv4` | `access_key_id`, `secret_access_key`, `region`, `service`; `session_token` |
//! | `hmac` | `name`, `template` |
//!
//! Fields after the semicolon are optional.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::placement::Placement;
use serde_json::{Map, Value};
use url::Url;

use crate::credential::{
    AuthMethod, AwsSigV4, ClientCredentials, Credential, Exchange, Jwt, JwtAlgorithm, TOKEN_BYTES_MAX,
};
use crate::effect::Call;
use crate::shape::{Reader, child};

use super::header::{check_header_name, check_header_value};

pub(super) const AT: &str = "/authorization";
/// The address of GitHub's API.
const GITHUB_API_URL: &str = "https://api.github.com";
/// Bytes of the words, dates and MACs of a signature.
const SIGNATURE_BYTES: usize = 1024;

/// The field as the author wrote it.
pub(super) enum Authorization {
    Bearer { token: String },
    Basic { username: String, password: String },
    Header { name: String, value: String },
    Made(Credential),
}

const TYPES: &[&str] = &[
    "bearer",
    "basic",
    "header",
    "oauth2_client_credentials",
    "jwt_bearer",
    "github_app",
    "aws_sigv4",
    "hmac",
];

fn fields_of(word: &str) -> &'static [&'static str] {
    match word {
        "bearer" => &["type", "token"],
        "basic" => &["type", "username", "password"],
        "header" => &["type", "name", "value"],
        "oauth2_client_credentials" => {
            &["type", "token_url", "client_id", "client_secret", "auth_method", "scope", "audience"]
        }
        "jwt_bearer" => {
            &["type", "key", "issuer", "subject", "audience", "scope", "key_id", "algorithm", "token_url"]
        }
        "github_app" => &["type", "app_id", "installation_id", "key", "api_url"],
        "aws_sigv4" => &["type", "access_key_id", "secret_access_key", "session_token", "region", "service"],
        _ => &["type", "name", "template"],
    }
}

/// Reads the field.
pub(super) fn read(reader: &mut Reader, value: &Value) -> Option<Authorization> {
    let map = reader.map(AT, value)?;
    let word = reader.required(AT, map, "type")?;
    let word = reader.word("/authorization/type", word, TYPES)?;
    reader.object(AT, value, fields_of(word))?;
    let mut fields = Fields { reader, map };
    match word {
        "bearer" => Some(Authorization::Bearer { token: fields.line("token")? }),
        "basic" => {
            let (username, password) = (fields.line("username"), fields.line("password"));
            let (username, password) = (username?, password?);
            if username.contains(':') {
                fields.problem("username", "must not hold a colon");
            }
            Some(Authorization::Basic { username, password })
        }
        "header" => {
            let (name, value) = (fields.header_name(), fields.line("value"));
            Some(Authorization::Header { name: name?, value: value? })
        }
        "oauth2_client_credentials" => fields.client_credentials(),
        "jwt_bearer" => fields.jwt(),
        "github_app" => fields.github_app(),
        "aws_sigv4" => fields.aws_sigv4(),
        _ => {
            let (name, template) = (fields.header_name(), fields.line("template"));
            if fields.reader.is_template_stage() && template.is_some() {
                fields.problem("template", "has no code of the request: `{{ hmac(…) }}`; for a plain value there is the type `header`");
            }
            let pointer = "/authorization/template";
            Some(Authorization::Made(Credential::Signature { name: name?, value: template?, pointer }))
        }
    }
}

struct Fields<'r, 'v> {
    reader: &'r mut Reader,
    map: &'v Map<String, Value>,
}

impl Fields<'_, '_> {
    fn problem(&mut self, name: &str, message: &str) {
        self.reader.problem(&child(AT, name), message);
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.reader.required(AT, self.map, name)?;
        self.reader.text(&child(AT, name), value)
    }

    /// A text that becomes a part of a header.
    fn line(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        check_header_value(self.reader, &child(AT, name), &text);
        Some(text)
    }

    /// None where the field is there and could not be read.
    fn optional(&mut self, name: &str) -> Option<Option<String>> {
        if self.map.contains_key(name) { self.text(name).map(Some) } else { Some(None) }
    }

    fn header_name(&mut self) -> Option<String> {
        let name = self.line("name")?;
        check_header_name(self.reader, "/authorization/name", &name);
        Some(name)
    }

    fn word(&mut self, name: &str, words: &[&'static str]) -> Option<&'static str> {
        match self.map.get(name) {
            None => words.first().copied(),
            Some(value) => self.reader.word(&child(AT, name), value, words),
        }
    }

    /// The literal URL of an issuer: no data and no secret chooses the server that receives a
    /// credential.
    fn issuer_url(&mut self, name: &str) -> Option<String> {
        let value = self.reader.required(AT, self.map, name)?;
        if self.reader.is_open(value) {
            self.problem(name, "must be literal: no template chooses whom a credential is shown to");
            return None;
        }
        let text = self.text(name)?;
        let url = Url::parse(&text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.fragment().is_none()
        });
        if url.is_none() {
            self.problem(
                name,
                "must be a whole https URL without user name (such as https://idp.example.com/oauth/token)",
            );
        }
        url.map(Into::into)
    }

    fn client_credentials(&mut self) -> Option<Authorization> {
        let token_url = self.issuer_url("token_url");
        let (client_id, client_secret) = (self.text("client_id"), self.text("client_secret"));
        let (scope, audience) = (self.optional("scope"), self.optional("audience"));
        let auth_method = match self.word("auth_method", &["client_secret_basic", "client_secret_post"])? {
            "client_secret_post" => AuthMethod::Post,
            _ => AuthMethod::Basic,
        };
        Some(Authorization::Made(Credential::ClientCredentials(ClientCredentials {
            token_url: token_url?,
            client_id: client_id?,
            client_secret: client_secret?,
            auth_method,
            scope: scope?,
            audience: audience?,
        })))
    }

    fn jwt(&mut self) -> Option<Authorization> {
        let token_url = if self.map.contains_key("token_url") {
            self.issuer_url("token_url").map(Some)
        } else {
            Some(None)
        };
        let (key, issuer) = (self.text("key"), self.text("issuer"));
        let (subject, audience) = (self.optional("subject"), self.optional("audience"));
        let (scope, key_id) = (self.optional("scope"), self.optional("key_id"));
        let algorithm = match self.word("algorithm", &["RS256", "ES256"])? {
            "ES256" => JwtAlgorithm::Es256,
            _ => JwtAlgorithm::Rs256,
        };
        let token_url = token_url?;
        // The audience of a token is its issuer, identified by the token endpoint (RFC 7523,
        // section 3).
        let audience = audience?.or_else(|| token_url.clone());
        Some(Authorization::Made(Credential::Jwt(Jwt {
            key: key?,
            algorithm,
            key_id: key_id?,
            issuer: issuer?,
            subject: subject?,
            audience,
            scope: scope?,
            exchange: token_url.map_or(Exchange::Itself, Exchange::Grant),
        })))
    }

    fn github_app(&mut self) -> Option<Authorization> {
        let api_url = if self.map.contains_key("api_url") {
            self.issuer_url("api_url")
        } else {
            Some(GITHUB_API_URL.to_owned())
        };
        let (app_id, key) = (self.text("app_id"), self.text("key"));
        let installation_id = self.text("installation_id");
        if let Some(id) = &installation_id
            && (id.is_empty() || id.len() > 20 || !id.bytes().all(|byte| byte.is_ascii_digit()))
        {
            self.problem(
                "installation_id",
                "must be a number, as GitHub's webhooks have it in `installation.id`",
            );
            return None;
        }
        let url = installation_url(&api_url?, &installation_id?);
        Some(Authorization::Made(Credential::Jwt(Jwt {
            key: key?,
            algorithm: JwtAlgorithm::Rs256,
            key_id: None,
            issuer: app_id?,
            subject: None,
            audience: None,
            scope: None,
            exchange: Exchange::Installation(url),
        })))
    }

    fn aws_sigv4(&mut self) -> Option<Authorization> {
        let access_key_id = self.line("access_key_id");
        let secret_access_key = self.text("secret_access_key");
        let session_token = if self.map.contains_key("session_token") {
            self.line("session_token").map(Some)
        } else {
            Some(None)
        };
        let (region, service) = (self.line("region"), self.line("service"));
        Some(Authorization::Made(Credential::AwsSigV4(AwsSigV4 {
            access_key_id: access_key_id?,
            secret_access_key: secret_access_key?,
            session_token: session_token?,
            region: region?,
            service: service?,
        })))
    }
}

fn installation_url(api_url: &str, id: &str) -> String {
    format!("{}/app/installations/{id}/access_tokens", api_url.trim_end_matches('/'))
}

/// The headers that the field sets, as far as literal text in it shows.
pub(super) fn header_names(value: &Value) -> Vec<&str> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.contains("{{"));
    match text("type") {
        Some("header" | "hmac") => text("name").into_iter().collect(),
        Some("aws_sigv4") => {
            vec!["Authorization", "X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Security-Token"]
        }
        Some(_) => vec!["Authorization"],
        None => Vec::new(),
    }
}

impl Authorization {
    /// The header of the field; None where the executor makes it.
    pub(super) fn header(&self) -> Option<(String, String)> {
        let standard = |value: String| Some(("Authorization".to_owned(), value));
        match self {
            Self::Bearer { token } => standard(format!("Bearer {token}")),
            Self::Basic { username, password } => {
                standard(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
            }
            Self::Header { name, value } => Some((name.clone(), value.clone())),
            Self::Made(_) => None,
        }
    }

    /// The most bytes of the headers that the field becomes, in this request or in one to an
    /// issuer. The bound does not depend on the characters of secrets.
    pub(super) fn bytes_max(&self, call: &Call<'_>) -> usize {
        let most = |name: &str, text: &str| call.bytes_max(&child(AT, name), text.len());
        match self {
            Self::Bearer { token } => most("token", token),
            Self::Basic { username, password } => {
                (most("username", username) + 1 + most("password", password)).div_ceil(3) * 4
            }
            Self::Header { name, value } => name.len() + most("value", value),
            Self::Made(Credential::ClientCredentials(client)) => {
                // Percent-encoding makes three bytes of one.
                let plain =
                    3 * (most("client_id", &client.client_id) + most("client_secret", &client.client_secret));
                ((plain + 1).div_ceil(3) * 4).max(TOKEN_BYTES_MAX)
            }
            Self::Made(Credential::Jwt(jwt)) => {
                let optional =
                    |name: &str, text: &Option<String>| text.as_ref().map_or(0, |text| most(name, text));
                let issuer = most("issuer", &jwt.issuer).max(most("app_id", &jwt.issuer));
                let claims = issuer
                    + optional("subject", &jwt.subject)
                    + optional("audience", &jwt.audience)
                    + optional("key_id", &jwt.key_id)
                    + optional("scope", &jwt.scope);
                // JSON makes at most six bytes of one.
                (SIGNATURE_BYTES + (6 * claims).div_ceil(3) * 4).max(TOKEN_BYTES_MAX)
            }
            Self::Made(Credential::AwsSigV4(keys)) => {
                let session = keys.session_token.as_ref().map_or(0, |token| most("session_token", token));
                SIGNATURE_BYTES
                    + most("access_key_id", &keys.access_key_id)
                    + session
                    + keys.region.len()
                    + keys.service.len()
            }
            Self::Made(Credential::Signature { name, value, .. }) => name.len() + most("template", value),
        }
    }
}

/// The place of the field's secret in the request, or in the request to an issuer.
pub(super) fn placement(configuration: &Value, field: &str) -> Placement {
    let text =
        |name: &str| configuration.pointer(&child(AT, name)).and_then(Value::as_str).unwrap_or_default();
    match (text("type"), field) {
        ("header" | "hmac", _) => Placement::header(text("name")),
        ("oauth2_client_credentials", "client_id" | "client_secret")
            if text("auth_method") == "client_secret_post" =>
        {
            Placement::Body
        }
        ("jwt_bearer" | "github_app", "key") | ("aws_sigv4", "secret_access_key") => Placement::Signing,
        // A token is exchanged in the body of a form.
        ("jwt_bearer", _) if !text("token_url").is_empty() => Placement::Body,
        ("aws_sigv4", "session_token") => Placement::header("x-amz-security-token"),
        _ => Placement::Authorization,
    }
}

/// The pointer and the URL of the issuer that receives the credential, in addition to the request's
/// own URL.
pub(super) fn issuer_url(configuration: &Value) -> Option<(&'static str, String)> {
    let text = |name: &str| configuration.pointer(&child(AT, name)).and_then(Value::as_str);
    match text("type")? {
        "oauth2_client_credentials" | "jwt_bearer" => {
            text("token_url").map(|url| ("/authorization/token_url", url.to_owned()))
        }
        "github_app" => {
            Some(("/authorization/api_url", text("api_url").unwrap_or(GITHUB_API_URL).to_owned()))
        }
        _ => None,
    }
}
