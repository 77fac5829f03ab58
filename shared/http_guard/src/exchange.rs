//! One request and its response on a connection of its own.

use domain::limits::HTTP_RESPONSE_BYTES_MAX;
use http::header::{self, HeaderMap};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::connect::Stream;
use crate::redirects::is_redirect;
use crate::request::Outgoing;
use crate::target::Target;
use crate::{Head, HttpError, cookies, tls};

/// Bytes of the names and values of a response's headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Headers of a response.
const RESPONSE_HEADERS_MAX: usize = 100;

/// A response as it came over the wire.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body, still encoded. It is empty for a redirect that is followed: its body is never read.
    pub(crate) body: Vec<u8>,
}

/// Sends one request and reads its response. The connection is driven here and dropped at the end.
/// Nothing of it outlives the call, so unrequested data of a target never reaches another request.
pub(crate) async fn exchange(
    stream: Box<dyn Stream>,
    target: &Target,
    outgoing: &Outgoing,
    seen: &mut Option<Head>,
) -> Result<Answer, HttpError> {
    let request = build(target, outgoing)?;
    let (mut sender, connection) = http1::Builder::new()
        // hyper checks this limit between reads and may exceed it; the exact limit is checked
        // below.
        .max_buf_size(2 * HEAD_BYTES_MAX)
        .max_headers(RESPONSE_HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| classify(&error))?;
    let conversation = async move {
        let response = sender.send_request(request).await.map_err(|error| classify(&error))?;
        let (head, body) = response.into_parts();
        if head.status.is_informational() {
            return Err(HttpError::ResponseInvalid);
        }
        *seen = Some(Head::of(head.status, &head.headers));
        let bytes: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if bytes > HEAD_BYTES_MAX {
            return Err(HttpError::ResponseTooLarge);
        }
        let body = if outgoing.follows && is_redirect(head.status, &head.headers) {
            Vec::new()
        } else {
            read(body).await?
        };
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    tokio::pin!(conversation, connection);
    tokio::select! {
        biased;
        answer = &mut conversation => return answer,
        // The connection ends first when the target closes it after the response. The conversation
        // still gets the data that was read.
        _ = &mut connection => {}
    }
    conversation.await
}

fn build(target: &Target, outgoing: &Outgoing) -> Result<http::Request<Full<bytes::Bytes>>, HttpError> {
    let mut request = http::Request::new(Full::new(outgoing.body.clone()));
    *request.method_mut() = outgoing.method.clone();
    *request.uri_mut() = target.path_and_query()?.into();
    *request.headers_mut() = outgoing.headers.clone();
    request.headers_mut().insert(header::HOST, target.host_header()?);
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    if let Some(cookie) = cookies::header(outgoing) {
        request.headers_mut().insert(header::COOKIE, cookie);
    }
    let has_body = !outgoing.body.is_empty();
    if has_body || matches!(outgoing.method, Method::POST | Method::PUT | Method::PATCH) {
        request.headers_mut().insert(header::CONTENT_LENGTH, outgoing.body.len().into());
    }
    Ok(request)
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, HttpError> {
    let bytes_max = u64::try_from(HTTP_RESPONSE_BYTES_MAX).expect("4 MiB fits");
    if body.size_hint().lower() > bytes_max {
        return Err(HttpError::ResponseTooLarge);
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| classify(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > HTTP_RESPONSE_BYTES_MAX {
            return Err(HttpError::ResponseTooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn classify(error: &hyper::Error) -> HttpError {
    if let Some(refusal) = tls::late_refusal(error) {
        refusal
    } else if error.is_parse_too_large() {
        HttpError::ResponseTooLarge
    } else if error.is_parse() {
        HttpError::ResponseInvalid
    } else {
        HttpError::ConnectionLost
    }
}
