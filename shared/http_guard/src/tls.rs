//! TLS: the authorities that are trusted, and the certificate that a client shows.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::HttpError;

/// Certificates of one PEM text.
const CERTIFICATES_MAX: usize = 20;

/// TLS as one request needs it, where a target inside a company is not served by a public
/// authority, or asks for a certificate. It may hold secrets, so it can't be printed.
#[derive(Clone, Default)]
pub struct RequestTls {
    /// PEM of the authorities that are trusted in place of the public ones.
    pub authorities: Option<String>,
    /// The certificate that the client shows.
    pub client: Option<ClientCertificate>,
}

/// A certificate with its key. It holds a secret, so it can't be printed.
#[derive(Clone)]
pub struct ClientCertificate {
    /// PEM of the certificate and of those that lead to its authority.
    pub chain: String,
    /// PEM of the private key.
    pub key: String,
}

/// The configuration of a client that trusts these authorities and shows this certificate.
pub(crate) fn config(
    roots: RootCertStore,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring's provider has the suites of TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    let mut config = match client {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

impl RequestTls {
    /// The configuration for this request; `public` are the authorities that are trusted otherwise.
    pub(crate) fn config(&self, public: &RootCertStore) -> Result<ClientConfig, HttpError> {
        let roots = match &self.authorities {
            None => public.clone(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem)? {
                    roots.add(certificate).map_err(|_| HttpError::InvalidTls(NO_AUTHORITY))?;
                }
                roots
            }
        };
        let client = match &self.client {
            None => None,
            Some(ClientCertificate { chain, key }) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                    .map_err(|_| HttpError::InvalidTls("the key is no PEM of a private key"))?;
                Some((certificates(chain)?, key))
            }
        };
        config(roots, client).map_err(|_| {
            HttpError::InvalidTls("the key can't be used, or does not belong to the certificate")
        })
    }
}

const NO_AUTHORITY: &str = "a certificate can't be used as an authority";

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, HttpError> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).take(CERTIFICATES_MAX + 1).collect();
    match found {
        Ok(found) if found.is_empty() => Err(HttpError::InvalidTls("there is no PEM of a certificate")),
        Ok(found) if found.len() > CERTIFICATES_MAX => {
            Err(HttpError::InvalidTls("there are more than 20 certificates"))
        }
        Ok(found) => Ok(found),
        Err(_) => Err(HttpError::InvalidTls("a certificate is no PEM")),
    }
}

/// A refusal by rustls is final; a connection that broke during the handshake is not.
pub(crate) fn error(error: &io::Error) -> HttpError {
    let refused = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    refused.map_or(HttpError::Connect, |error| HttpError::Tls(fault(error)))
}

/// The refusal of a client's certificate. In TLS 1.3 it comes after the handshake, with the first
/// read, and before the target has read a request (RFC 8446, section 4.4.2.4).
pub(crate) fn late_refusal(error: &hyper::Error) -> Option<HttpError> {
    use rustls::AlertDescription::{
        AccessDenied, BadCertificate, CertificateExpired, CertificateRequired, CertificateRevoked,
        CertificateUnknown, UnknownCA, UnsupportedCertificate,
    };
    let source = std::error::Error::source(error)?.downcast_ref::<io::Error>()?;
    let refused = source.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::AlertReceived(alert) = refused else { return None };
    let is_refusal = matches!(
        alert,
        AccessDenied
            | BadCertificate
            | CertificateExpired
            | CertificateRequired
            | CertificateRevoked
            | CertificateUnknown
            | UnknownCA
            | UnsupportedCertificate
    );
    is_refusal.then(|| HttpError::Tls(fault(refused)))
}

/// The fault in words for the author: who has to change what.
fn fault(error: &rustls::Error) -> &'static str {
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
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the target asks for a certificate of the client: `tls` names one"
        }
        Error::AlertReceived(
            AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate,
        ) => "the target does not accept the client's certificate, or asks for one",
        Error::AlertReceived(_) => "the target refused the handshake",
        _ => "the target's certificate or TLS version was not accepted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pem_text_has_so_many_certificates_on_both_sides_i10() {
        let one = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.pem();
        let read = |count: usize| certificates(&one.repeat(count)).map(|found| found.len());
        assert_eq!(read(CERTIFICATES_MAX), Ok(CERTIFICATES_MAX));
        assert!(matches!(read(CERTIFICATES_MAX + 1), Err(HttpError::InvalidTls(_))));
    }
}
