//! Request bodies: their size, their content type, and reading without repeating them in errors.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use domain::limits::API_BODY_BYTES_MAX;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::error::ApiError;

/// The mark that some editors put before a text in UTF-8. It is no part of it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A body with the content type of JSON. It may hold secrets, so it is wiped when dropped.
pub(crate) struct JsonBody(Zeroizing<Vec<u8>>);

/// A body in UTF-8 with the content type of YAML or JSON.
pub(crate) struct DefinitionBody(pub(crate) String);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let media_type = media_type(request.headers());
        let (is_json, says_nothing) = (is_json(media_type), media_type.is_empty());
        let mut bytes = Zeroizing::new(read(request).await?);
        // `curl -X POST` sends neither a body nor a type: nothing is said, so everything is left at
        // its default.
        if says_nothing && bytes.is_empty() {
            return Ok(Self(Zeroizing::new(b"{}".to_vec())));
        }
        if !is_json {
            return Err(ApiError::MediaType("JSON (`Content-Type: application/json`)"));
        }
        if bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(Self(bytes))
    }
}

impl<S: Send + Sync> FromRequest<S> for DefinitionBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let media_type = media_type(request.headers());
        if !is_json(media_type) && !is_yaml(media_type) {
            return Err(ApiError::MediaType("YAML or JSON (`Content-Type: application/yaml`)"));
        }
        let bytes = read(request).await?;
        String::from_utf8(bytes)
            .map(Self)
            .map_err(|_| ApiError::Invalid("the body is not UTF-8 text".to_owned()))
    }
}

impl JsonBody {
    /// The raw bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the body. The error names the place and never the text there, which may be a secret.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.0).map_err(|error| {
            let text = error.to_string();
            // The name of a field that is missing is ours. Other texts may quote the body.
            let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
            let what = match (error.classify(), missing) {
                (_, Some(field)) => format!("has no `{field}`"),
                (serde_json::error::Category::Data, None) => "is not of the expected shape".to_owned(),
                _ => "is not valid JSON".to_owned(),
            };
            ApiError::Invalid(format!("the body {what} (line {}, column {})", error.line(), error.column()))
        })
    }
}

async fn read(request: Request) -> Result<Vec<u8>, ApiError> {
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > API_BODY_BYTES_MAX) {
        return Err(ApiError::TooLarge(API_BODY_BYTES_MAX));
    }
    let bytes = axum::body::to_bytes(request.into_body(), API_BODY_BYTES_MAX).await;
    // The body came whole with the invocation, so its size is the only possible error.
    bytes.map(Vec::from).map_err(|_| ApiError::TooLarge(API_BODY_BYTES_MAX))
}

fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

fn is_json(media_type: &str) -> bool {
    media_type.eq_ignore_ascii_case("application/json") || media_type.to_ascii_lowercase().ends_with("+json")
}

fn is_yaml(media_type: &str) -> bool {
    ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(media_type))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(content_type: &str, body: impl Into<Body>) -> Request {
        Request::builder().header(header::CONTENT_TYPE, content_type).body(body.into()).unwrap()
    }

    #[tokio::test]
    async fn bodies_of_another_kind_are_refused() {
        let check = async |content_type: &str, json: bool, yaml: bool| {
            assert_eq!(
                JsonBody::from_request(request(content_type, "{}"), &()).await.is_ok(),
                json,
                "{content_type}"
            );
            let definition = DefinitionBody::from_request(request(content_type, "{}"), &()).await;
            assert_eq!(definition.is_ok(), yaml, "{content_type}");
        };
        check("application/json", true, true).await;
        check("Application/JSON; charset=utf-8", true, true).await;
        check("application/yaml", false, true).await;
        check("text/plain", false, false).await;
        check("", false, false).await;
    }

    #[tokio::test]
    async fn a_body_has_a_limit_on_both_sides() {
        let read = async |bytes: usize| {
            JsonBody::from_request(request("application/json", vec![b' '; bytes]), &()).await
        };
        assert_eq!(
            read(API_BODY_BYTES_MAX).await.map(|body| body.bytes().len()).ok(),
            Some(API_BODY_BYTES_MAX)
        );
        assert!(matches!(read(API_BODY_BYTES_MAX + 1).await, Err(ApiError::TooLarge(_))));
    }

    #[test]
    fn an_error_never_repeats_the_body() {
        let check = |body: &str| {
            let error = JsonBody(Zeroizing::new(body.into())).read::<Vec<u32>>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            assert!(error.contains("line 1"), "{error}");
        };
        check(r#"["hunter2"]"#);
        check(r#"[hunter2]"#);
        check(r#"{"hunter2": 1}"#);
    }
}
