//! The passwords of the functions' roles, each from the parameter that only its function (and this one) may read.

use database_login::PasswordParameter;
use process::DatabaseLogin;
use store::{FUNCTION_ROLES, set_passwords};

use crate::{Deps, Error};

/// Characters of a password: the database may be reachable from anywhere.
const PASSWORD_CHARS_MIN: usize = 12;

/// Sets every role's password to what the parameter of its name says, beside the one of this function's own role.
pub(crate) async fn set_all(deps: &Deps) -> Result<Vec<&'static str>, Error> {
    let DatabaseLogin::Parameter(own) = &deps.login else {
        return Err(Error::Passwords(
            "the functions don't log in by password: SEALFLOW_DATABASE_LOGIN is not parameter:NAME".into(),
        ));
    };
    let (path, _) = own.rsplit_once('/').ok_or_else(|| {
        Error::Passwords(format!("the parameter {own} has no path that the others could stand beside"))
    })?;
    let identity = aws_client::identity().map_err(|error| Error::Passwords(error.to_string()))?;
    // All are read before one is set: a missing parameter changes nothing.
    let mut passwords = Vec::new();
    for role in FUNCTION_ROLES {
        let parameter = PasswordParameter::new(format!("{path}/{role}"), identity.clone(), deps.clock);
        let password = parameter.read().await.map_err(|error| Error::Passwords(error.to_string()))?;
        if password.trim().len() < PASSWORD_CHARS_MIN {
            return Err(Error::Passwords(format!(
                "the parameter {path}/{role} has fewer than {PASSWORD_CHARS_MIN} characters: no password was set"
            )));
        }
        passwords.push((role, password));
    }
    set_passwords(&deps.store, &passwords).await?;
    tracing::info!(roles = passwords.len(), "passwords set");
    Ok(passwords.into_iter().map(|(role, _)| role).collect())
}
