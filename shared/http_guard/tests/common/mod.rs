//! A world for the client: names, addresses and sites that are decided here, and a record of what
//! was reached.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_guard::{
    ClientCertificate, GuardSettings, GuardedClient, HttpError, Network, NetworkFuture, Request, Response,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A request as a site heard it: the head as text, and the body.
#[derive(Clone, Debug)]
pub struct Heard {
    pub head: String,
    pub body: Vec<u8>,
}

impl Heard {
    /// `GET /path`
    pub fn line(&self) -> &str {
        self.head.split(" HTTP/").next().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    }
}

#[derive(Default)]
struct State {
    dns: HashMap<String, Vec<Vec<IpAddr>>>,
    sites: HashMap<SocketAddr, u16>,
    resolved: Vec<String>,
    connected: Vec<SocketAddr>,
    heard: HashMap<String, Vec<Heard>>,
}

/// The world; it is also the client's network.
#[derive(Clone)]
pub struct World {
    state: Arc<Mutex<State>>,
    authority: Arc<Authority>,
}

struct Authority {
    certificate: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl World {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let signed = params.self_signed(&key).unwrap();
        let (certificate, pem) = (signed.der().clone(), signed.pem());
        let authority = Authority { certificate, pem, issuer: Issuer::new(params, key) };
        Self { state: Arc::default(), authority: Arc::new(authority) }
    }

    /// The answers of DNS for a name, call by call; the last answer stays.
    pub fn name(&self, name: &str, answers: &[&[&str]]) {
        let answers = answers.iter().map(|one| one.iter().map(|ip| ip.parse().unwrap()).collect());
        self.state.lock().unwrap().dns.insert(name.to_owned(), answers.collect());
    }

    /// A plain site at an address; `answer` gives the raw bytes of its response.
    pub async fn site(&self, address: &str, answer: impl Fn(&Heard) -> Vec<u8> + Send + Sync + 'static) {
        self.serve(address, None, answer).await;
    }

    /// A site with a certificate for `name` from the authority that [`World::client`] trusts.
    pub async fn secure_site(
        &self,
        address: &str,
        name: &str,
        answer: impl Fn(&Heard) -> Vec<u8> + Send + Sync + 'static,
    ) {
        self.serve(address, Some(self.acceptor(name, None)), answer).await;
    }

    /// A secure site that asks its callers for a certificate of the authority.
    pub async fn asking_site(
        &self,
        address: &str,
        name: &str,
        answer: impl Fn(&Heard) -> Vec<u8> + Send + Sync + 'static,
    ) {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        self.serve(address, Some(self.acceptor(name, Some(verifier))), answer).await;
    }

    fn acceptor(&self, name: &str, verifier: Option<Arc<dyn ClientCertVerifier>>) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority.issuer).unwrap().der().clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let config = builder
            .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// PEM of the authority's certificate.
    pub fn authority_pem(&self) -> String {
        self.authority.pem.clone()
    }

    /// A certificate of the authority for a client.
    pub fn client_certificate(&self) -> ClientCertificate {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
        let chain = params.signed_by(&key, &self.authority.issuer).unwrap().pem();
        ClientCertificate { chain, key: key.serialize_pem() }
    }

    async fn serve(
        &self,
        address: &str,
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Heard) -> Vec<u8> + Send + Sync + 'static,
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        self.state.lock().unwrap().sites.insert(address.parse().unwrap(), port);
        let (state, answer, address) = (Arc::clone(&self.state), Arc::new(answer), address.to_owned());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, answer) = (Arc::clone(&state), Arc::clone(&answer));
                let (address, tls) = (address.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            talk(stream, &state, &address, &*answer).await;
                        }
                        None => talk(stream, &state, &address, &*answer).await,
                    }
                });
            }
        });
    }

    pub fn client(&self, settings: GuardSettings) -> GuardedClient {
        let extra_roots = vec![self.authority.certificate.clone()];
        GuardedClient::with_network(GuardSettings { extra_roots, ..settings }, Arc::new(self.clone()))
    }

    /// Sends with default settings.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        send(&self.client(GuardSettings::default()), request).await
    }

    pub fn resolved(&self) -> Vec<String> {
        self.state.lock().unwrap().resolved.clone()
    }

    pub fn connected(&self) -> Vec<String> {
        self.state.lock().unwrap().connected.iter().map(SocketAddr::to_string).collect()
    }

    pub fn heard(&self, address: &str) -> Vec<Heard> {
        self.state.lock().unwrap().heard.get(address).cloned().unwrap_or_default()
    }
}

impl Network for World {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> NetworkFuture<'a, Vec<SocketAddr>> {
        Box::pin(async move {
            let mut state = self.state.lock().unwrap();
            state.resolved.push(host.to_owned());
            let answers = state.dns.get_mut(host).ok_or(io::ErrorKind::NotFound)?;
            let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
            Ok(answer.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
        })
    }

    fn connect(&self, address: SocketAddr) -> NetworkFuture<'_, TcpStream> {
        Box::pin(async move {
            let port = {
                let mut state = self.state.lock().unwrap();
                state.connected.push(address);
                *state.sites.get(&address).ok_or(io::ErrorKind::ConnectionRefused)?
            };
            TcpStream::connect(("127.0.0.1", port)).await
        })
    }
}

async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    state: &Mutex<State>,
    address: &str,
    answer: &(impl Fn(&Heard) -> Vec<u8> + Send + Sync),
) {
    let Some(heard) = read_request(&mut stream).await else { return };
    let response = answer(&heard);
    state.lock().unwrap().heard.entry(address.to_owned()).or_default().push(heard);
    // The client may hang up as soon as it has seen enough.
    let _ = stream.write_all(&response).await;
    let _ = stream.shutdown().await;
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Heard> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut heard = Heard { head, body: bytes.split_off(end + 4) };
            let length = heard.header("content-length").map_or(0, |length| length.parse().unwrap());
            while heard.body.len() < length {
                if stream.read_buf(&mut heard.body).await.ok()? == 0 {
                    return None;
                }
            }
            return Some(heard);
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Sends with a client, and drops the head of an answer that broke off.
pub async fn send(client: &GuardedClient, request: Request) -> Result<Response, HttpError> {
    client.send(request).await.map_err(|failed| failed.error)
}

/// A GET without secrets.
pub fn get(url: &str) -> Request {
    Request {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: vec![],
        body: vec![].into(),
        redirects: http_guard::Redirects::Follow(domain::limits::HTTP_REDIRECTS_MAX),
        timeout: Duration::from_secs(10),
        used_secret: false,
        allowed_hosts: vec![],
        tls: http_guard::RequestTls::default(),
        hop_count: 1,
    }
}

/// A response with a body.
pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A redirect.
pub fn redirect(status: u16, location: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

/// Settings with an allow-list.
pub fn allowing(hosts: &[&str]) -> GuardSettings {
    let allow = hosts.iter().map(|host| host.parse().unwrap()).collect();
    GuardSettings { allow, ..GuardSettings::default() }
}
