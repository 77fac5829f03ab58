//! The authorities by which a database's certificate is trusted.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, Der, TrustAnchor};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::StoreError;

/// The authorities of RDS and Aurora, which no public list has: the subject and public key of each,
/// one DER value after the other. `cargo xtask rds-roots` writes the file.
static RDS_ROOTS: &[u8] = include_bytes!("rds_roots.der");

const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

/// TLS that verifies the server's certificate and name: by `own_root` (PEM) alone where it is
/// given, else by the public authorities and those of RDS.
///
/// # Errors
/// [`StoreError::Setup`] when `own_root` is no certificate.
pub(super) fn connector(own_root: &str) -> Result<MakeRustlsConnect, StoreError> {
    let roots = if own_root.is_empty() { known_roots() } else { own_roots(own_root)? };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| StoreError::Setup("TLS can't be set up".into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn known_roots() -> RootCertStore {
    let mut roots = webpki_roots::TLS_SERVER_ROOTS.to_vec();
    roots.extend(rds_roots());
    RootCertStore { roots }
}

fn own_roots(text: &str) -> Result<RootCertStore, StoreError> {
    let problem = || StoreError::Setup("SEALFLOW_DATABASE_CA is no certificate in PEM".into());
    let mut roots = RootCertStore::empty();
    let pem = with_lines(text);
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(|_| problem())?).map_err(|_| problem())?;
    }
    if roots.is_empty() { Err(problem()) } else { Ok(roots) }
}

/// Restores PEM whose line breaks became spaces, or are spelled `\n`, on the way through parameters
/// and variables.
fn with_lines(text: &str) -> String {
    let mut lines = String::new();
    for part in text.split(PEM_BEGIN).skip(1) {
        let body = part.split(PEM_END).next().unwrap_or_default().replace("\\n", "\n");
        let body: String = body.split_whitespace().flat_map(|line| [line, "\n"]).collect();
        lines.extend([PEM_BEGIN, "\n", &body, PEM_END, "\n"]);
    }
    lines
}

fn rds_roots() -> Vec<TrustAnchor<'static>> {
    let (mut anchors, mut rest) = (Vec::new(), RDS_ROOTS);
    while let Some((subject, after)) = split_value(rest)
        && let Some((key, after)) = split_value(after)
    {
        anchors.push(TrustAnchor {
            subject: Der::from_slice(subject),
            subject_public_key_info: Der::from_slice(key),
            name_constraints: None,
        });
        rest = after;
    }
    anchors
}

/// The content of the DER value at the start, and the bytes after it. The file's values have two
/// bytes of length at most.
fn split_value(bytes: &'static [u8]) -> Option<(&'static [u8], &'static [u8])> {
    let (header, length) = match *bytes.get(1..4)? {
        [0x81, length, _] => (3, usize::from(length)),
        [0x82, high, low] => (4, usize::from(u16::from_be_bytes([high, low]))),
        [length @ ..=0x7f, ..] => (2, usize::from(length)),
        _ => return None,
    };
    let value = bytes.get(header..header + length)?;
    Some((value, &bytes[header + length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_root_of_rds_is_read_to_the_last_byte() {
        let roots = rds_roots();
        let bytes: usize =
            roots.iter().map(|root| root.subject.len() + root.subject_public_key_info.len()).sum();
        assert!(roots.len() > 80, "{}", roots.len());
        // Two headers of three to four bytes each are all that is not in an anchor.
        assert!(RDS_ROOTS.len() - bytes <= 8 * roots.len());
        let named = |name: &str| roots.iter().any(|root| contains(&root.subject, name));
        assert!(
            named("Amazon RDS eu-central-1 Root CA RSA2048 G1")
                && named("Amazon RDS us-east-1 Root CA ECC384 G1")
        );
        assert!(roots.iter().all(|root| root.subject_public_key_info.first() == Some(&0x30)));
    }

    fn contains(subject: &[u8], name: &str) -> bool {
        subject.windows(name.len()).any(|window| window == name.as_bytes())
    }

    #[test]
    fn an_own_root_is_read_however_its_lines_are_broken() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).unwrap().pem();
        for text in
            [pem.clone(), pem.replace('\n', " "), pem.trim().replace('\n', "\\n"), format!("{pem}{pem}")]
        {
            assert!(!own_roots(&text).unwrap().is_empty(), "{text}");
        }
        for text in ["text", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = connector(text).err().unwrap();
            assert_eq!(error.to_string(), "SEALFLOW_DATABASE_CA is no certificate in PEM");
        }
    }
}
