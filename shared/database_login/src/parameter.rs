//! Login with a password that only the function's role may read.

use std::sync::{Mutex, PoisonError};

use aws_client::{Identity, read_parameter};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use process::Clock;
use store::{AskPassword, NoPassword};
use zeroize::Zeroizing;

use crate::system_time;

const ADVICE: &str = "is the parameter the role's password? migrate sets those of the functions with {\"passwords\":{}}; its own is set by hand";

/// Reads a password from a parameter of Systems Manager once, and keeps it until the server refuses
/// it.
pub struct PasswordParameter {
    name: String,
    identity: Identity,
    clock: Clock,
    kept: Mutex<Option<Zeroizing<String>>>,
}

impl PasswordParameter {
    /// The parameter `name`, read as `identity`.
    #[must_use]
    pub fn new(name: String, identity: Identity, clock: Clock) -> Self {
        Self { name, identity, clock, kept: Mutex::default() }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Zeroizing<String>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The password, read anew.
    ///
    /// # Errors
    /// [`NoPassword`] names the parameter and the reason.
    pub async fn read(&self) -> Result<Zeroizing<String>, NoPassword> {
        let read = read_parameter(&self.name, &self.identity, system_time(self.clock.now())).await;
        read.map(Zeroizing::new).map_err(|error| NoPassword(format!("the parameter {}: {error}", self.name)))
    }
}

impl AskPassword for PasswordParameter {
    fn password<'a>(
        &'a self,
        _role: &'a str,
        _host: &'a str,
        _port: u16,
    ) -> BoxFuture<'a, Result<Zeroizing<String>, NoPassword>> {
        async move {
            if let Some(password) = self.kept().clone() {
                return Ok(password);
            }
            let password = self.read().await?;
            *self.kept() = Some(password.clone());
            Ok(password)
        }
        .boxed()
    }

    fn refused(&self) {
        *self.kept() = None;
    }

    fn advice(&self) -> &'static str {
        ADVICE
    }
}
