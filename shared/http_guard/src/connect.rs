//! From a target to a connection, through the guard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Host;

use crate::settings::GuardSettings;
use crate::target::Target;
use crate::{HttpError, Network, tls};

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// A connection, plain or secure.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to targets.
pub(crate) struct Connector {
    network: Arc<dyn Network>,
    roots: RootCertStore,
    /// TLS of requests that say nothing about it.
    tls: TlsConnector,
}

impl Connector {
    pub(crate) fn new(settings: &GuardSettings, network: Arc<dyn Network>) -> Self {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
        roots.add_parsable_certificates(settings.extra_roots.iter().cloned());
        let config = tls::config(roots.clone(), None).expect("no certificate of a client is set");
        Self { network, roots, tls: Arc::new(config).into() }
    }

    /// TLS as a request needs it.
    pub(crate) fn tls_of(&self, request: &tls::RequestTls) -> Result<TlsConnector, HttpError> {
        if request.authorities.is_none() && request.client.is_none() {
            return Ok(self.tls.clone());
        }
        Ok(Arc::new(request.config(&self.roots)?).into())
    }

    /// Resolves once, checks every address, connects to one that passed, and shakes hands.
    pub(crate) async fn connect(
        &self,
        settings: &GuardSettings,
        target: &Target,
        tls: &TlsConnector,
    ) -> Result<Box<dyn Stream>, HttpError> {
        let work = async {
            let addresses = self.addresses(settings, target).await?;
            let stream = self.dial(&addresses, settings.connect_timeout).await?;
            secure(target, stream, tls).await
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
}

async fn secure(
    target: &Target,
    stream: TcpStream,
    tls: &TlsConnector,
) -> Result<Box<dyn Stream>, HttpError> {
    if !target.is_https() {
        return Ok(Box::new(stream));
    }
    let name = match target.host() {
        Host::Domain(name) => ServerName::try_from(name.to_owned())
            .map_err(|_| HttpError::InvalidUrl("its host can't have a certificate"))?,
        Host::Ipv4(ip) => ServerName::IpAddress(std::net::IpAddr::V4(ip).into()),
        Host::Ipv6(ip) => ServerName::IpAddress(std::net::IpAddr::V6(ip).into()),
    };
    let secured = tls.connect(name, stream).await;
    secured.map(|stream| Box::new(stream) as Box<dyn Stream>).map_err(|error| tls::error(&error))
}
