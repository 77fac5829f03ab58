//! The causes of a missing connection, in our own words: the text of a server or a library may
//! quote sent values.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use super::login::NoPassword;
use crate::StoreError;

/// The cause for which a connection was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectFailure {
    #[error("dns: the host's name has no address")]
    Dns,
    #[error("refused: nobody listens there, or a security group refuses")]
    Refused,
    #[error("timed out: no route, a security group that drops, or a server that does not answer")]
    TimedOut,
    #[error("unreachable: the network has no way there")]
    Unreachable,
    #[error("closed: the server or something between ended the connection")]
    Closed,
    #[error("no TLS: the server offers none, and nothing is sent in the clear")]
    NoTls,
    #[error("certificate: unknown authority (SEALFLOW_DATABASE_CA names one of your own)")]
    UnknownAuthority,
    #[error("certificate: wrong name; the URL's host is not in it")]
    WrongName,
    #[error("certificate: expired, or not valid yet: is the clock right?")]
    Expired,
    #[error("certificate: not valid")]
    BadCertificate,
    #[error("TLS: no handshake with the server")]
    Handshake,
    #[error("no password: {0}")]
    NoPassword(NoPassword),
    #[error("login refused: {0}")]
    LoginRefused(&'static str),
    #[error("role missing: run migrate, which makes the roles")]
    RoleMissing,
    #[error("database missing: the URL names one that is not there")]
    DatabaseMissing,
    #[error("too many connections: the role's CONNECTION LIMIT or the server's max_connections is used up")]
    TooManyConnections,
    #[error("starting or stopping: the server takes no connections at the moment")]
    Starting,
    #[error("the server refused the connection (SQLSTATE {0})")]
    Server(String),
    #[error("{0}")]
    Setup(String),
}

/// Questions about the login itself.
const ROLE_ADVICE: &str =
    "may the role log in from here, and does it need a password or token (SEALFLOW_DATABASE_LOGIN)?";

impl ConnectFailure {
    /// The failure behind an error of connecting; `advice` names the thing to look at when the
    /// login is refused.
    pub(super) fn of(error: &tokio_postgres::Error, advice: Option<&'static str>) -> Self {
        if let Some(db) = error.as_db_error() {
            // A missing role and a refused one have a code in common; the server's routine tells
            // them apart.
            let is_missing = db.routine() == Some("InitializeSessionUserId");
            return match db.code().code() {
                "28000" if is_missing => Self::RoleMissing,
                "28000" | "28P01" => Self::LoginRefused(advice.unwrap_or(ROLE_ADVICE)),
                "3D000" => Self::DatabaseMissing,
                "53300" => Self::TooManyConnections,
                "57P01" | "57P02" | "57P03" => Self::Starting,
                code => Self::Server(code.to_owned()),
            };
        }
        let causes: Vec<_> = std::iter::successors(error.source(), |cause| (*cause).source()).collect();
        if let Some(fault) = causes.iter().find_map(|cause| tls_error(*cause)) {
            return Self::of_tls(fault);
        }
        match causes.iter().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => Self::Refused,
            Some(io::ErrorKind::TimedOut) => Self::TimedOut,
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => Self::Unreachable,
            Some(
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::BrokenPipe,
            ) => Self::Closed,
            // Every other error of the system before a connection is one of the resolver.
            Some(_) => Self::Dns,
            None if error.is_closed() => Self::Closed,
            // An error of TLS without a cause means that the server refuses TLS.
            None if error.to_string().contains("TLS") => Self::NoTls,
            None => Self::LoginRefused(advice.unwrap_or(ROLE_ADVICE)),
        }
    }

    fn of_tls(fault: &rustls::Error) -> Self {
        match fault {
            rustls::Error::InvalidCertificate(fault) => match fault {
                CertificateError::UnknownIssuer => Self::UnknownAuthority,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Self::WrongName
                }
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::Expired,
                _ => Self::BadCertificate,
            },
            _ => Self::Handshake,
        }
    }

    /// Whether the server refused the login.
    pub(super) fn is_refused_login(&self) -> bool {
        matches!(self, Self::LoginRefused(_))
    }
}

impl From<ConnectFailure> for StoreError {
    fn from(failure: ConnectFailure) -> Self {
        match failure {
            ConnectFailure::Setup(text) => Self::Setup(text),
            _ => Self::Unavailable { sqlstate: None },
        }
    }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref::<rustls::Error>().or_else(|| {
        // `source` of an io::Error skips the error inside it.
        error.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>()
    })
}
