//! A code over the request as it is sent.

use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use secret_text::{Context, Refused, Rendered, RequestPart, RequestText, SecretField};
use url::Url;
use zeroize::Zeroizing;

use crate::component_set::Render;

/// A request that is made and not sent yet.
pub struct SentRequest<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The URL, as the one parser writes it.
    pub url: &'a Url,
    /// Names and values.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
}

/// A field that is rendered when the request is made.
pub struct LateField {
    /// The field.
    pub field: SecretField,
    /// The instant of the attempt.
    pub sent_at: Timestamp,
    /// The values that it refers to, by name and key.
    pub values: Vec<(String, String, Zeroizing<String>)>,
    /// The renderer.
    pub render: Render,
}

impl LateField {
    /// Renders the field over a request, in which values of these lengths stand.
    ///
    /// # Errors
    /// [`Refused`], as for any field.
    pub fn render(&self, request: &SentRequest<'_>, value_bytes: &[usize]) -> Result<Rendered, Refused> {
        let hash = hex::encode(digest(&SHA256, request.body));
        let values = WithRequest { field: self, request, hash: &hash, value_bytes };
        (self.render)(&self.field.parts, Context::Signature, self.sent_at, &values)
    }

    fn value(&self, name: &str, key: &str) -> Option<&str> {
        let found = self.values.iter().find(|(known, known_key, _)| known == name && known_key == key);
        found.map(|(_, _, value)| value.as_str())
    }
}

struct WithRequest<'a> {
    field: &'a LateField,
    request: &'a SentRequest<'a>,
    hash: &'a str,
    value_bytes: &'a [usize],
}

impl WithRequest<'_> {
    fn bytes(&self, part: RequestPart) -> &[u8] {
        match part {
            RequestPart::Method => self.request.method.as_bytes(),
            RequestPart::Path => self.request.url.path().as_bytes(),
            RequestPart::Query => self.request.url.query().unwrap_or_default().as_bytes(),
            RequestPart::Body => self.request.body,
            RequestPart::BodySha256 => self.hash.as_bytes(),
        }
    }
}

impl secret_text::Secrets for WithRequest<'_> {
    fn value_bytes(&self, name: &str, key: &str) -> usize {
        self.field.value(name, key).map_or(0, str::len)
    }

    fn request_bytes(&self, part: RequestPart) -> usize {
        self.bytes(part).len()
    }
}

impl secret_text::Values for WithRequest<'_> {
    fn get(&self, name: &str, key: &str) -> Option<&str> {
        self.field.value(name, key)
    }

    fn request(&self, part: RequestPart) -> Option<RequestText<'_>> {
        Some(RequestText { bytes: self.bytes(part), value_bytes: self.value_bytes })
    }
}
