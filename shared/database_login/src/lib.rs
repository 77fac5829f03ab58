//! The login of a function's role to Postgres: by a token of IAM, by a password that only the role
//! can read, or by the URL alone.

mod parameter;
mod token;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use process::{Clock, DatabaseLogin, Settings};
use store::{Login, Store, StoreError, StoreSettings};

pub use parameter::PasswordParameter;
pub use token::IamToken;

/// The store of a function, as its settings describe it. Nothing is sent before the first
/// statement.
///
/// # Errors
/// [`StoreError::Setup`] names the wrong setting.
pub fn open(settings: &Settings, application_name: &'static str, clock: Clock) -> Result<Store, StoreError> {
    let identity = || {
        aws_client::identity()
            .map_err(|error| StoreError::Setup(format!("no login to the database: {error}")))
    };
    let login = match &settings.database_login {
        DatabaseLogin::Url => Login::Url,
        DatabaseLogin::Iam => Login::Asked(Arc::new(IamToken::new(identity()?, move || clock.now()))),
        DatabaseLogin::Parameter(name) => {
            Login::Asked(Arc::new(PasswordParameter::new(name.clone(), identity()?, clock)))
        }
    };
    Store::new(StoreSettings {
        url: settings.database_url.clone(),
        application_name,
        login,
        own_root: settings.database_root.clone(),
        connect_timeout: settings.database_connect_timeout,
    })
}

/// The same instant as a [`SystemTime`], for crates that take no other.
fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(at.as_microsecond()).unwrap_or(0))
}
