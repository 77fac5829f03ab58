//! Schema, roles and organizations: `{"migrate": {}}`, `{"passwords": {}}`, `{"bootstrap":
//! {"organization": "name"}}`, and what an operator does with organizations that are there.
//!
//! The function is invoked by hand (`sealflow admin migrate` prints the command) or, with
//! `MigrateOnDeploy`, by CloudFormation as a custom resource. It has no other trigger.

mod bootstrap;
mod deployment;
mod operate;
mod passwords;

use domain::ids::OrganizationId;
use process::{Clock, DatabaseLogin, Ids};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::operate::OrganizationChange;
use store::{RoleLogin, Store, StoreError};

pub use deployment::Deployment;

/// The dependencies of the function.
pub struct Deps {
    /// Postgres, as the owner of the schema.
    pub store: Store,
    /// The login of this function to the database, and so the kind of login of all functions.
    pub login: DatabaseLogin,
    /// The clock.
    pub clock: Clock,
    /// The source of ids.
    pub ids: Ids,
}

/// The task of the function.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Bring schema and roles up to date.
    Migrate {},
    /// Set the passwords of the functions' roles to the values of their parameters.
    Passwords {},
    /// Make an organization and its first token.
    Bootstrap {
        /// The organization's name.
        organization: String,
    },
    /// List organizations.
    Organizations {},
    /// Refuse the tokens and webhooks of an organization.
    Suspend {
        /// Its name or id.
        organization: String,
    },
    /// Take them again.
    Resume {
        /// Its name or id.
        organization: String,
    },
    /// Set how many requests a second an instance of the API takes of an organization.
    Limit {
        /// Its name or id.
        organization: String,
        /// At least 1; null: as many as its tokens may make.
        requests_per_second: Option<u32>,
    },
    /// Make an owner's token for an organization that has lost its own.
    Token {
        /// Its name or id.
        organization: String,
    },
}

/// An invocation by a person or by a deployment.
#[derive(Debug)]
pub enum Invocation {
    /// CloudFormation creates, updates or deletes the stack.
    Deployment(Deployment),
    /// A person asks.
    Request(Request),
}

impl Invocation {
    /// Reads a payload. It is read here, because the runtime's error would not name the valid
    /// requests.
    ///
    /// # Errors
    /// [`Error::Payload`], which names the valid requests.
    pub fn read(payload: Value) -> Result<Self, Error> {
        let read = if payload.get("ResponseURL").is_some() {
            serde_json::from_value(payload).map(Self::Deployment)
        } else {
            serde_json::from_value(payload).map(Self::Request)
        };
        read.map_err(|_| Error::Payload)
    }
}

/// The work that was done.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Response {
    /// The migrations that ran.
    Migrated {
        /// Their names, in order; empty when the schema was up to date.
        applied: Vec<String>,
    },
    /// Passwords that were set.
    PasswordsSet {
        /// The roles.
        roles: Vec<&'static str>,
    },
    /// The organization that was made.
    Bootstrapped {
        /// Its id.
        organization_id: OrganizationId,
        /// Its first token. Shown here and never again.
        token: String,
    },
    /// Organizations as they are now.
    Organizations {
        /// The newest first.
        organizations: Vec<operate::Organization>,
    },
    /// CloudFormation was told the outcome of a deployment.
    Deployed {},
}

/// The reason why nothing, or not all, was done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed, or refused a statement.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The parameters with the passwords can't be used.
    #[error("{0}")]
    Passwords(String),
    /// A payload that is no request.
    #[error(r#"the payload is none of {{"migrate":{{}}}}, {{"passwords":{{}}}}, {{"bootstrap":{{"organization":"NAME"}}}}, {{"organizations":{{}}}}, {{"suspend":…}}, {{"resume":…}}, {{"limit":{{"organization":"NAME","requests_per_second":10}}}} and {{"token":{{"organization":"NAME"}}}}"#)]
    Payload,
    /// CloudFormation could not be told the outcome; it waits until its time-out.
    #[error("CloudFormation was not told how it went: {0}")]
    Deployment(String),
}

/// Handles an invocation.
///
/// # Errors
/// [`Error`]. A failed bootstrap changed nothing. After a failed migration those before it stay.
pub async fn handle(invocation: Invocation, deps: &Deps) -> Result<Response, Error> {
    match invocation {
        Invocation::Request(Request::Migrate {}) => Ok(Response::Migrated { applied: migrate(deps).await? }),
        Invocation::Request(Request::Passwords {}) => {
            Ok(Response::PasswordsSet { roles: Box::pin(passwords::set_all(deps)).await? })
        }
        Invocation::Request(Request::Bootstrap { organization }) => {
            Ok(bootstrap::bootstrap(&organization, deps).await?)
        }
        Invocation::Request(Request::Organizations {}) => Ok(operate::list(deps).await?),
        Invocation::Request(Request::Suspend { organization }) => {
            Ok(operate::change(&organization, OrganizationChange::Suspend, deps).await?)
        }
        Invocation::Request(Request::Resume { organization }) => {
            Ok(operate::change(&organization, OrganizationChange::Resume, deps).await?)
        }
        Invocation::Request(Request::Limit { organization, requests_per_second }) => {
            let most = requests_per_second.map(|most| i32::try_from(most.max(1)).unwrap_or(i32::MAX));
            Ok(operate::change(&organization, OrganizationChange::Limit(most), deps).await?)
        }
        Invocation::Request(Request::Token { organization }) => {
            Ok(operate::token(&organization, deps).await?)
        }
        Invocation::Deployment(deployment) => {
            // An HTTP client's future is deeply nested: without the box it passes the compiler's
            // limit.
            Box::pin(deployment::answer(deployment, deps)).await?;
            Ok(Response::Deployed {})
        }
    }
}

async fn migrate(deps: &Deps) -> Result<Vec<String>, StoreError> {
    let login = match deps.login {
        DatabaseLogin::Url => RoleLogin::Url,
        DatabaseLogin::Iam => RoleLogin::Iam,
        DatabaseLogin::Parameter(_) => RoleLogin::Password,
    };
    let applied = store::migrate(&deps.store, login).await?;
    tracing::info!(applied = applied.len(), "migrated");
    Ok(applied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_as_they_are_documented() {
        let read = |text| Invocation::read(serde_json::from_str(text).unwrap());
        assert!(matches!(read(r#"{"migrate":{}}"#), Ok(Invocation::Request(Request::Migrate {}))));
        assert!(matches!(read(r#"{"passwords":{}}"#), Ok(Invocation::Request(Request::Passwords {}))));
        let bootstrap = read(r#"{"bootstrap":{"organization":"demo"}}"#);
        assert!(
            matches!(bootstrap, Ok(Invocation::Request(Request::Bootstrap { organization })) if organization == "demo")
        );
        let said = read(r#"{"bootstrap":{"organisation":"demo"}}"#).unwrap_err().to_string();
        assert_eq!(
            said,
            r#"the payload is none of {"migrate":{}}, {"passwords":{}}, {"bootstrap":{"organization":"NAME"}}, {"organizations":{}}, {"suspend":…}, {"resume":…}, {"limit":{"organization":"NAME","requests_per_second":10}} and {"token":{"organization":"NAME"}}"#
        );
        let deployment = r#"{"RequestType":"Create","ResponseURL":"https://s3.test/x?sig=1","StackId":"s","RequestId":"r",
            "ResourceType":"AWS::CloudFormation::CustomResource","LogicalResourceId":"Migrated","ServiceToken":"arn",
            "ResourceProperties":{"ServiceToken":"arn","Schema":"8"}}"#;
        assert!(matches!(read(deployment), Ok(Invocation::Deployment(_))));
    }
}
