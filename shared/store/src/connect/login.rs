//! The credential with which a role logs in.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

/// The credential of a role beside its name.
#[derive(Clone, Default)]
pub enum Login {
    /// The credential in the URL: none, or on one machine a password.
    #[default]
    Url,
    /// A password that is asked for before each connection.
    Asked(Arc<dyn AskPassword>),
}

/// Gives the password of a role.
pub trait AskPassword: Send + Sync {
    /// The password of `role` at `host:port`, for one connection.
    fn password<'a>(
        &'a self,
        role: &'a str,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<Zeroizing<String>, NoPassword>>;

    /// The server has refused the last password: a kept one must be asked for anew.
    fn refused(&self);

    /// The thing to look at when the server refuses the login, as a question.
    fn advice(&self) -> &'static str;
}

/// No password could be had. The text says the cause and holds no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoPassword(pub String);

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Url => "Login::Url",
            Self::Asked(_) => "Login::Asked",
        })
    }
}
