//! Reads a decrypted parameter of Systems Manager, or by a special name a secret of Secrets
//! Manager.
//!
//! It sends one signed request without an SDK client: the client is ten times the code of
//! everything else that a function links.

use std::time::SystemTime;

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde::{Deserialize, Serialize};

use crate::{HttpsError, Identity, send};

const SERVICE: &str = "ssm";
const TARGET: &str = "AmazonSSM.GetParameter";

/// The error of a parameter that was not read. Of AWS's answer it has only the error code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// AWS refused, with this error code, such as `ParameterNotFound`.
    #[error("Systems Manager answers {0}")]
    Refused(String),
    /// AWS did not answer.
    #[error("Systems Manager can't be reached: {0}")]
    Unreachable(#[from] HttpsError),
    /// The request can't be made, or the answer has another shape.
    #[error("the parameter can't be read")]
    Unreadable,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetParameter<'a> {
    name: &'a str,
    with_decryption: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    parameter: Parameter,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    value: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type")]
    code: String,
}

/// The value of a parameter: its path, or `/aws/reference/secretsmanager/NAME` for a secret of
/// Secrets Manager. `AWS_ENDPOINT_URL_SSM`, else `AWS_ENDPOINT_URL`, names a stand-in.
///
/// Source: the Systems Manager API reference, `GetParameter`.
///
/// # Errors
/// [`ParameterError`]; the caller may ask again later.
pub async fn read_parameter(
    name: &str,
    identity: &Identity,
    now: SystemTime,
) -> Result<String, ParameterError> {
    let body = serde_json::to_vec(&GetParameter { name, with_decryption: true }).unwrap_or_default();
    let request =
        signed(&endpoint(&identity.region), body, identity, now).ok_or(ParameterError::Unreadable)?;
    let (status, body) = send(request).await?;
    if status != 200 {
        let refusal = serde_json::from_slice::<Refusal>(&body).map(|refusal| refusal.code);
        let code = refusal.ok().and_then(|code| Some(code.rsplit('#').next()?.to_owned()));
        return Err(ParameterError::Refused(
            code.filter(|code| is_word(code)).unwrap_or_else(|| status.to_string()),
        ));
    }
    let answer = serde_json::from_slice::<Answer>(&body).map_err(|_| ParameterError::Unreadable)?;
    Ok(answer.parameter.value)
}

fn is_word(code: &str) -> bool {
    code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn endpoint(region: &str) -> String {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    variable("AWS_ENDPOINT_URL_SSM")
        .or_else(|| variable("AWS_ENDPOINT_URL"))
        .unwrap_or_else(|| format!("https://ssm.{region}.{domain}"))
}

fn signed(
    endpoint: &str,
    body: Vec<u8>,
    identity: &Identity,
    now: SystemTime,
) -> Option<Request<Full<Bytes>>> {
    let uri = format!("{}/", endpoint.trim_end_matches('/'));
    let request = Request::post(&uri)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", TARGET)
        .body(())
        .ok()?;
    let credentials = identity.credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&credentials)
        .region(&identity.region)
        .name(SERVICE)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .ok()?;
    let headers =
        request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let signable = SignableRequest::new("POST", &uri, headers, SignableBody::Bytes(&body)).ok()?;
    let (instructions, _) = sign(signable, &parameters.into()).ok()?.into_parts();
    let mut request = request.map(|()| Full::new(Bytes::from(body)));
    instructions.apply_to_request_http1x(&mut request);
    Some(request)
}
