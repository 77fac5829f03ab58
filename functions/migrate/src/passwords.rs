//! The passwords of the functions' roles. Each comes from its own parameter, which only its
//! function and this one may read.

use database_login::PasswordParameter;
use process::DatabaseLogin;
use store::{FUNCTION_ROLES, set_passwords};

use crate::{Deps, Error};

/// The fewest characters of a password: the database may be reachable from anywhere.
const PASSWORD_CHARS_MIN: usize = 12;

/// Sets the password of each role to the value of the parameter with the role's name. These
/// parameters have the same path as the parameter of this function.
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
    // All passwords are read before one is set: a missing parameter changes nothing.
    let mut passwords = Vec::new();
    for role in FUNCTION_ROLES {
        let parameter = PasswordParameter::new(format!("{path}/{role}"), identity.clone(), deps.clock);
        let password = parameter.read().await.map_err(|error| Error::Passwords(error.to_string()))?;
        check_length(&format!("{path}/{role}"), &password)?;
        passwords.push((role, password));
    }
    set_passwords(&deps.store, &passwords).await?;
    tracing::info!(roles = passwords.len(), "passwords set");
    Ok(passwords.into_iter().map(|(role, _)| role).collect())
}

/// Refuses a short password. Blanks around it don't count.
fn check_length(parameter: &str, password: &str) -> Result<(), Error> {
    if password.trim().chars().count() < PASSWORD_CHARS_MIN {
        return Err(Error::Passwords(format!(
            "the parameter {parameter} has fewer than {PASSWORD_CHARS_MIN} characters: no password was set"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_so_many_characters_or_is_refused_i1_i10() {
        let name = "/sealflow/database/api";
        for short in
            ["", &" ".repeat(PASSWORD_CHARS_MIN), &format!(" {} ", "q".repeat(PASSWORD_CHARS_MIN - 1))]
        {
            let error = check_length(name, short).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains('q'), "{error}");
        }
        assert!(check_length(name, &"q".repeat(PASSWORD_CHARS_MIN)).is_ok());
    }
}
