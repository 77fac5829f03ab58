//! A single HTTPS request to AWS, where an SDK client is not worth its size: to read a parameter of
//! SSM, or to answer a deployment.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The longest time of the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The error of a request without an answer. The text is our own, for an address may be a
/// credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpsError {
    /// Time ran out.
    #[error("no answer in time")]
    TimedOut,
    /// No connection, or a broken one.
    #[error("no connection")]
    NoConnection,
    /// The answer is too long or broke off.
    #[error("the answer can't be read")]
    BadAnswer,
}

/// Sends a request and returns the answer's status and body. The server is verified against the
/// public authorities; plain http is used only for an `http` address, such as a stand-in's. There
/// is no proxy, no redirect and no kept connection.
///
/// # Errors
/// [`HttpsError`]: it is then unknown whether the server acted on the request.
pub async fn send(request: Request<Full<Bytes>>) -> Result<(u16, Bytes), HttpsError> {
    timeout(TIMEOUT, exchange(request)).await.unwrap_or(Err(HttpsError::TimedOut))
}

async fn exchange(request: Request<Full<Bytes>>) -> Result<(u16, Bytes), HttpsError> {
    let host = request.uri().host().ok_or(HttpsError::NoConnection)?.to_owned();
    let is_tls = request.uri().scheme_str() == Some("https");
    let port = request.uri().port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|_| HttpsError::NoConnection)?;
    if !is_tls {
        return talk(stream, request).await;
    }
    let name = ServerName::try_from(host).map_err(|_| HttpsError::NoConnection)?;
    let stream = tls()?.connect(name, stream).await.map_err(|_| HttpsError::NoConnection)?;
    talk(stream, request).await
}

fn tls() -> Result<TlsConnector, HttpsError> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| HttpsError::NoConnection)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut request: Request<Full<Bytes>>,
) -> Result<(u16, Bytes), HttpsError> {
    let authority = request.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    if let Some(Ok(authority)) = authority {
        request.headers_mut().insert(HOST, authority);
    }
    // A request to an origin server has the path alone.
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).parse::<Uri>();
    *request.uri_mut() = path.map_err(|_| HttpsError::NoConnection)?;
    let (mut sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|_| HttpsError::NoConnection)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(|_| HttpsError::NoConnection)?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((status, body.map_err(|_| HttpsError::BadAnswer)?.to_bytes()))
    };
    // The connection is driven by this future, and ends with it.
    tokio::pin!(connection, answer);
    tokio::select! {
        answer = &mut answer => answer,
        _ = &mut connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// The result of a request to a server that sends `answer` and closes.
    async fn exchange(answer: Vec<u8>) -> Result<(u16, usize), HttpsError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = client.read(&mut request).await;
            let _ = client.write_all(&answer).await;
        });
        let request = Request::get(uri).body(Full::default()).unwrap();
        send(request).await.map(|(status, body)| (status, body.len()))
    }

    #[tokio::test]
    async fn an_answer_has_a_limit_on_both_sides_i10() {
        let of = |bytes: usize| {
            let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n").into_bytes();
            answer.resize(answer.len() + bytes, b'x');
            answer
        };
        assert_eq!(exchange(of(ANSWER_BYTES_MAX)).await, Ok((200, ANSWER_BYTES_MAX)));
        assert_eq!(exchange(of(ANSWER_BYTES_MAX + 1)).await, Err(HttpsError::BadAnswer));
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error_without_an_address() {
        assert_eq!(exchange(b"SSH-2.0".to_vec()).await, Err(HttpsError::NoConnection));
        let request = Request::get("http://127.0.0.1:1/?token=canary").body(Full::default()).unwrap();
        let error = send(request).await.unwrap_err();
        assert!(!error.to_string().contains("canary"));
    }
}
