//! A server that asks for IAM tokens, as RDS does. It ends TLS before a real Postgres and asks for
//! a password in clear text. The password must be a request that was signed just now, for this
//! server and this role. The check shares no code with the making of tokens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{BufMut, BytesMut};
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ring::digest::{SHA256, digest};
use ring::hmac;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The name in its certificate.
pub const HOST: &str = "db.sealflow.test";
/// The only access key that it accepts.
pub const ACCESS_KEY_ID: &str = "AKIDLOGIN";
/// The region that tokens must name.
pub const REGION: &str = "eu-central-1";

/// The faults that the server may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Server {
    /// No fault.
    #[default]
    Right,
    /// It offers no TLS.
    PlainText,
    /// Its certificate has another name.
    OtherName,
    /// Its certificate has expired.
    Expired,
    /// It does not know the role any more.
    RoleMissing,
}

/// The rules by which the server accepts a login.
pub struct Policy {
    /// The secret key behind [`ACCESS_KEY_ID`].
    pub secret_key: String,
    /// The session token that the request must hold.
    pub session_token: String,
    /// The host that tokens must be for.
    pub host: String,
    /// The port that tokens must be for; None: the server's own.
    pub port: Option<u16>,
    /// A password that is accepted in place of a token.
    pub password: Option<String>,
}

/// A running server.
pub struct LoginServer {
    port: u16,
    root: String,
    shift_seconds: Arc<AtomicI64>,
    seen: Arc<Mutex<Vec<String>>>,
}

struct Shared {
    policy: Policy,
    server: Server,
    port: u16,
    /// The Postgres behind it, and the password of its roles.
    target: (String, String),
    shift_seconds: Arc<AtomicI64>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl LoginServer {
    /// Starts a server before the Postgres at `url`. The role in `url` does not matter; its
    /// password is used for every role.
    ///
    /// # Panics
    /// When it can't be set up.
    pub async fn start(url: &str, policy: Policy, server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (user, rest) = url.split_once('@').expect("a URL with a user");
        let password = user.rsplit_once(':').map(|(_, password)| password).unwrap_or_default();
        let host_port = rest.split('/').next().unwrap_or_default();
        let (acceptor, root) = acceptor(server);
        let (shift_seconds, seen) = (Arc::new(AtomicI64::new(0)), Arc::new(Mutex::default()));
        let shared = Arc::new(Shared {
            policy,
            server,
            port,
            target: (host_port.to_owned(), password.to_owned()),
            shift_seconds: Arc::clone(&shift_seconds),
            seen: Arc::clone(&seen),
        });
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
                tokio::spawn(async move { shared.serve(client, acceptor).await });
            }
        });
        Self { port, root, shift_seconds, seen }
    }

    /// `postgres://ROLE@HOST:PORT/DATABASE`, with the address beside the name, so that DNS is not
    /// asked.
    #[must_use]
    pub fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@{HOST}:{}/{database}?hostaddr=127.0.0.1", self.port)
    }

    /// The authority of its certificate, in PEM.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Sets the server's clock off from ours by so much.
    pub fn shift_clock(&self, by: SignedDuration) {
        self.shift_seconds.store(by.as_secs(), Ordering::SeqCst);
    }

    /// Every password that it was given.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn acceptor(server: Server) -> (TlsAcceptor, String) {
    let mut root = CertificateParams::new(Vec::new()).expect("no names");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().expect("a key")).expect("a root");
    let name = if server == Server::OtherName { "other.sealflow.test" } else { HOST };
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    if server == Server::Expired {
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
    }
    let key = KeyPair::generate().expect("a key");
    let certificate = parameters.signed_by(&key, &root).expect("a certificate");
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("its own key");
    (TlsAcceptor::from(Arc::new(config)), root.pem())
}

impl Shared {
    async fn serve(&self, mut client: TcpStream, acceptor: TlsAcceptor) -> Option<()> {
        // SSLRequest: a length and a code.
        let mut request = [0; 8];
        client.read_exact(&mut request).await.ok()?;
        if self.server == Server::PlainText {
            client.write_all(b"N").await.ok()?;
            return None;
        }
        client.write_all(b"S").await.ok()?;
        let mut client = acceptor.accept(client).await.ok()?;
        let startup = read_startup(&mut client).await?;
        if self.server == Server::RoleMissing {
            refuse(&mut client, "28000", "InitializeSessionUserId").await;
            return None;
        }
        ask_for_password(&mut client).await?;
        let password = read_password(&mut client).await?;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(password.clone());
        if !self.is_let_in(&password, startup.get("user")?) {
            refuse(&mut client, "28000", "auth_failed").await;
            return None;
        }
        let mut server = TcpStream::connect(&self.target.0).await.ok()?;
        server.write_all(&startup_message(&startup)).await.ok()?;
        // The real server asks for its own password.
        let mut asked = [0; 9];
        server.read_exact(&mut asked).await.ok()?;
        server.write_all(&message(b'p', self.target.1.as_bytes())).await.ok()?;
        copy_bidirectional(&mut client, &mut server).await.ok()?;
        Some(())
    }

    fn is_let_in(&self, password: &str, user: &str) -> bool {
        if let Some(expected) = &self.policy.password {
            return password == expected;
        }
        self.is_token(password, user).is_some()
    }

    /// Checks a token as RDS does: AWS Signature Version 4 over a presigned GET, in every part.
    fn is_token(&self, token: &str, user: &str) -> Option<()> {
        let host = format!("{}:{}", self.policy.host, self.policy.port.unwrap_or(self.port));
        let query = token.strip_prefix(&format!("{host}/?"))?;
        let mut parts: BTreeMap<&str, &str> =
            query.split('&').map(|part| part.split_once('=')).collect::<Option<_>>()?;
        let signature = parts.remove("X-Amz-Signature")?;
        let is = |name: &str, expected: &str| parts.get(name).is_some_and(|value| decode(value) == expected);
        let date = decode(parts.get("X-Amz-Date")?);
        let scope = format!("{}/{REGION}/rds-db/aws4_request", date.get(..8)?);
        let right = is("Action", "connect")
            && is("DBUser", user)
            && is("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
            && is("X-Amz-Credential", &format!("{ACCESS_KEY_ID}/{scope}"))
            && is("X-Amz-SignedHeaders", "host")
            && is("X-Amz-Security-Token", &self.policy.session_token);
        let made = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", &date).ok()?;
        let made = made.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        let lasts: i64 = parts.get("X-Amz-Expires")?.parse().ok()?;
        let now = self.now();
        let in_time = made <= now + SignedDuration::from_mins(5)
            && lasts <= 900
            && now <= made + SignedDuration::from_secs(lasts);
        // The names of a BTreeMap are in order, as the canonical query needs them.
        let query: Vec<String> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let empty = hex::encode(digest(&SHA256, b""));
        let canonical = format!("GET\n/\n{}\nhost:{host}\n\nhost\n{empty}", query.join("&"));
        let hash = hex::encode(digest(&SHA256, canonical.as_bytes()));
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}");
        let start = format!("AWS4{}", self.policy.secret_key).into_bytes();
        let key = [&date[..8], REGION, "rds-db", "aws4_request"]
            .iter()
            .fold(start, |key, part| mac(&key, part.as_bytes()));
        let expected = hex::encode(mac(&key, to_sign.as_bytes()));
        (right && in_time && signature == expected).then_some(())
    }

    #[expect(clippy::disallowed_methods, reason = "a server has a clock of its own")]
    fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_secs(self.shift_seconds.load(Ordering::SeqCst))
    }
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The parameters of a StartupMessage.
async fn read_startup(client: &mut (impl AsyncRead + Unpin)) -> Option<BTreeMap<String, String>> {
    let length = client.read_u32().await.ok()? as usize;
    let mut body = vec![0; length.checked_sub(4).filter(|length| *length < 10_000)?];
    client.read_exact(&mut body).await.ok()?;
    let mut words =
        body.get(4..)?.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let mut parameters = BTreeMap::new();
    while let (Some(name), Some(value)) = (words.next().filter(|name| !name.is_empty()), words.next()) {
        parameters.insert(name, value);
    }
    Some(parameters)
}

fn startup_message(parameters: &BTreeMap<String, String>) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_u32(196_608);
    for word in parameters.iter().flat_map(|(name, value)| [name, value]) {
        body.put_slice(word.as_bytes());
        body.put_u8(0);
    }
    body.put_u8(0);
    let mut message = BytesMut::new();
    message.put_u32(u32::try_from(body.len() + 4).expect("it is short"));
    message.put_slice(&body);
    message
}

async fn ask_for_password(client: &mut (impl AsyncWrite + Unpin)) -> Option<()> {
    client.write_all(b"R\x00\x00\x00\x08\x00\x00\x00\x03").await.ok()
}

async fn read_password(client: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    if client.read_u8().await.ok()? != b'p' {
        return None;
    }
    let length = client.read_u32().await.ok()? as usize;
    let mut body = vec![0; length.checked_sub(4).filter(|length| *length < 10_000)?];
    client.read_exact(&mut body).await.ok()?;
    Some(String::from_utf8_lossy(body.strip_suffix(&[0])?).into_owned())
}

/// A message with a text.
fn message(kind: u8, text: &[u8]) -> BytesMut {
    let mut message = BytesMut::new();
    message.put_u8(kind);
    message.put_u32(u32::try_from(text.len() + 5).expect("it is short"));
    message.put_slice(text);
    message.put_u8(0);
    message
}

/// Sends an ErrorResponse with a server's text.
async fn refuse(client: &mut (impl AsyncWrite + Unpin), sqlstate: &str, routine: &str) {
    let fields = format!("SFATAL\0VFATAL\0C{sqlstate}\0MPAM authentication failed\0R{routine}\0");
    let _ = client.write_all(&message(b'E', fields.as_bytes())).await;
    let _ = client.shutdown().await;
}
