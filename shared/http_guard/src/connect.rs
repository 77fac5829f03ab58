//! From a target to a connection, through the guard.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Host;

use crate::settings::GuardSettings;
use crate::target::Target;
use crate::{HttpError, Network};

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// A connection, plain or secure.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to targets.
pub(crate) struct Connector {
    network: Arc<dyn Network>,
    tls: TlsConnector,
}

impl Connector {
    pub(crate) fn new(settings: &GuardSettings, network: Arc<dyn Network>) -> Self {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
        roots.add_parsable_certificates(settings.extra_roots.iter().cloned());
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring's provider has the suites of TLS 1.2 and 1.3")
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { network, tls: Arc::new(config).into() }
    }

    /// Resolves once, checks every address, connects to one that passed, and shakes hands.
    pub(crate) async fn connect(
        &self,
        settings: &GuardSettings,
        target: &Target,
    ) -> Result<Box<dyn Stream>, HttpError> {
        let work = async {
            let addresses = self.addresses(settings, target).await?;
            let stream = self.dial(&addresses, settings.connect_timeout).await?;
            self.secure(target, stream).await
        };
        tokio::time::timeout(settings.connect_timeout, work).await.unwrap_or(Err(HttpError::Timeout))
    }

    /// The addresses that pass the guard. An address that doesn't pass is never tried, and a name
    /// without one that passes is refused.
    async fn addresses(
        &self,
        settings: &GuardSettings,
        target: &Target,
    ) -> Result<Vec<SocketAddr>, HttpError> {
        let port = target.port();
        let answers = match target.host() {
            Host::Ipv4(ip) => vec![(ip, port).into()],
            Host::Ipv6(ip) => vec![(ip, port).into()],
            Host::Domain(name) => self.network.resolve(name, port).await.map_err(|_| HttpError::Dns)?,
        };
        if answers.is_empty() {
            return Err(HttpError::Dns);
        }
        let listed = settings.listed(target.host_text(), port);
        let admitted: Vec<_> = answers
            .into_iter()
            // The port is always the URL's, never a resolver's.
            .map(|answer| SocketAddr::new(answer.ip(), port))
            .filter(|address| settings.admits(*address, listed))
            .take(ADDRESSES_MAX)
            .collect();
        if admitted.is_empty() { Err(HttpError::AddressRefused) } else { Ok(admitted) }
    }

    /// A connection to the first address that accepts one. Each address gets its share of the time,
    /// so that a dead one leaves time for the next.
    async fn dial(&self, addresses: &[SocketAddr], time: Duration) -> Result<TcpStream, HttpError> {
        let share = time / u32::try_from(addresses.len()).expect("at most ADDRESSES_MAX");
        for address in addresses {
            if let Ok(Ok(stream)) = tokio::time::timeout(share, self.network.connect(*address)).await {
                // Without this option a small request waits for the peer's delayed acknowledgement.
                // If it can't be set, the request is only slower.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
        }
        Err(HttpError::Connect)
    }

    async fn secure(&self, target: &Target, stream: TcpStream) -> Result<Box<dyn Stream>, HttpError> {
        if !target.is_https() {
            return Ok(Box::new(stream));
        }
        let name = match target.host() {
            Host::Domain(name) => ServerName::try_from(name.to_owned())
                .map_err(|_| HttpError::InvalidUrl("its host can't have a certificate"))?,
            Host::Ipv4(ip) => ServerName::IpAddress(std::net::IpAddr::V4(ip).into()),
            Host::Ipv6(ip) => ServerName::IpAddress(std::net::IpAddr::V6(ip).into()),
        };
        let secured = self.tls.connect(name, stream).await;
        secured.map(|stream| Box::new(stream) as Box<dyn Stream>).map_err(|error| tls_error(&error))
    }
}

/// A refusal by rustls is final; a connection that broke during the handshake is not.
fn tls_error(error: &io::Error) -> HttpError {
    let refused = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    refused.map_or(HttpError::Connect, |error| HttpError::Tls(tls_fault(error)))
}

/// The fault in words for the author: who has to change what.
fn tls_fault(error: &rustls::Error) -> &'static str {
    use rustls::{AlertDescription, CertificateError, Error};
    match error {
        Error::InvalidCertificate(fault) => match fault {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the target's certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the target's certificate is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the target's certificate is for other names than the URL's host"
            }
            CertificateError::UnknownIssuer => {
                "the target's certificate is from an authority that is not known here, or the target leaves out a certificate of its chain"
            }
            CertificateError::Revoked => "the target's certificate was revoked",
            _ => "the target's certificate was not accepted",
        },
        Error::InvalidMessage(_) => {
            "the target does not speak TLS at this port; perhaps the URL has to begin with http://"
        }
        Error::PeerIncompatible(_)
        | Error::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity) => {
            "the target speaks neither TLS 1.2 nor TLS 1.3 with a cipher that is accepted"
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure) => {
            "the target refused the handshake: it may have no cipher in common, or not know the URL's host"
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => "the target does not know the URL's host",
        Error::AlertReceived(AlertDescription::CertificateRequired | AlertDescription::BadCertificate) => {
            "the target asks for a certificate of the client"
        }
        Error::AlertReceived(_) => "the target refused the handshake",
        _ => "the target's certificate or TLS version was not accepted",
    }
}
