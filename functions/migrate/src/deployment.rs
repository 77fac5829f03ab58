//! The function as a custom resource of its own stack: migrations run before the functions that
//! need them.
//!
//! Source: CloudFormation User Guide, "Custom resource request objects" and "Custom resource
//! response objects".

use aws_client::send;
use http::Request;
use http_body_util::Full;
use process::DatabaseLogin;
use serde::{Deserialize, Serialize};

use crate::{Deps, Error, migrate, passwords};

/// The id that CloudFormation keeps: it never changes, so an update replaces nothing.
const PHYSICAL_RESOURCE_ID: &str = "sealflow-schema";

/// The event of a custom resource.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Deployment {
    request_type: RequestType,
    /// A presigned address. Anybody who has it can answer.
    #[serde(rename = "ResponseURL")]
    response_url: String,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
enum RequestType {
    Create,
    Update,
    Delete,
}

impl std::fmt::Debug for Deployment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Deployment({:?})", self.request_type)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    status: &'static str,
    reason: String,
    physical_resource_id: &'static str,
    stack_id: &'a str,
    request_id: &'a str,
    logical_resource_id: &'a str,
    data: Data,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    /// The migrations that ran, for the output of the stack.
    applied: String,
    /// The newest migration of this code. The functions' descriptions refer to it, so
    /// CloudFormation deploys the functions after the migration.
    schema: String,
}

impl Default for Data {
    fn default() -> Self {
        Self { applied: String::new(), schema: store::NEWEST_MIGRATION.to_string() }
    }
}

/// Migrates schema and roles, and sets the roles' passwords where the functions log in by password.
async fn bring_up_to_date(deps: &Deps) -> Result<Vec<String>, Error> {
    let applied = migrate(deps).await?;
    if matches!(deps.login, DatabaseLogin::Parameter(_)) {
        passwords::set_all(deps).await?;
    }
    Ok(applied)
}

/// Migrates when the stack is created or updated, and tells CloudFormation the outcome, also after
/// a failure.
pub(crate) async fn answer(deployment: Deployment, deps: &Deps) -> Result<(), Error> {
    let (status, reason, data) = match deployment.request_type {
        // The schema stays: it is the operator's data.
        RequestType::Delete => ("SUCCESS", "the database stays as it is".to_owned(), Data::default()),
        RequestType::Create | RequestType::Update => match bring_up_to_date(deps).await {
            Ok(applied) if applied.is_empty() => (
                "SUCCESS",
                "the schema was up to date".to_owned(),
                Data { applied: "none".into(), ..Data::default() },
            ),
            Ok(applied) => {
                ("SUCCESS", "migrated".to_owned(), Data { applied: applied.join(", "), ..Data::default() })
            }
            Err(error) => {
                tracing::error!(%error, "the deployment could not migrate");
                // A rollback of the stack deletes the log, so the answer names the cause too.
                let cause = deps.store.last_failure().map(|cause| format!(": {cause}"));
                ("FAILED", format!("{error}{}", cause.unwrap_or_default()), Data::default())
            }
        },
    };
    let answer = Answer {
        status,
        reason,
        physical_resource_id: PHYSICAL_RESOURCE_ID,
        stack_id: &deployment.stack_id,
        request_id: &deployment.request_id,
        logical_resource_id: &deployment.logical_resource_id,
        data,
    };
    let body = serde_json::to_vec(&answer).unwrap_or_default();
    // The presigned address was signed without a content type.
    let request = Request::put(&deployment.response_url).header("content-type", "").body(Full::from(body));
    let request = request.map_err(|_| Error::Deployment("its address is none".into()))?;
    match send(request).await {
        Ok((200..=299, _)) => Ok(()),
        Ok((code, _)) => Err(Error::Deployment(format!("it answers {code}"))),
        Err(error) => Err(Error::Deployment(error.to_string())),
    }
}
