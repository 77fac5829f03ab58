//! Schema and first organization: `{"migrate": {}}` and `{"bootstrap": {"organization": "name"}}`.
//!
//! Invoked by hand (`sealflow admin migrate`, `sealflow admin bootstrap`) or by a deployment; it has no other way in.

use process::{Clock, Ids};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use store::{BootstrapIds, Store, StoreError};
use uuid::Uuid;

/// What the function works with.
pub struct Deps {
    /// Postgres, as the owner of the schema.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// The source of ids.
    pub ids: Ids,
}

/// What to do.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Bring the schema up to date.
    Migrate {},
    /// Make an organization and its first token.
    Bootstrap {
        /// The organization's name.
        organization: String,
    },
}

/// What was done.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Response {
    /// The migrations that ran.
    Migrated {
        /// Their names, in order; empty when the schema was up to date.
        applied: Vec<String>,
    },
    /// The organization that was made.
    Bootstrapped {
        /// Its id.
        organization_id: Uuid,
        /// Its first token. Shown here and never again.
        token: String,
    },
}

/// Handles a request.
///
/// # Errors
/// [`StoreError`]: nothing was changed by a bootstrap; a migration that failed left those before it.
pub async fn handle(request: Request, deps: &Deps) -> Result<Response, StoreError> {
    match request {
        Request::Migrate {} => {
            let applied = store::migrate(&deps.store).await?;
            tracing::info!(applied = applied.len(), "migrated");
            Ok(Response::Migrated { applied })
        }
        Request::Bootstrap { organization } => bootstrap(&organization, deps).await,
    }
}

/// As `organizations.name` in the schema.
const ORGANIZATION_NAME_CHARS_MAX: usize = 128;

async fn bootstrap(name: &str, deps: &Deps) -> Result<Response, StoreError> {
    if !(1..=ORGANIZATION_NAME_CHARS_MAX).contains(&name.chars().count()) {
        return Err(StoreError::Setup(format!(
            "an organization's name has 1 to {ORGANIZATION_NAME_CHARS_MAX} characters"
        )));
    }
    let now = deps.clock.now();
    let ids = BootstrapIds { organization_id: deps.ids.next(now), token_id: deps.ids.next(now) };
    let token = new_token()?;
    store::bootstrap(&deps.store, ids, name, digest(&SHA256, token.as_bytes()).as_ref(), now).await?;
    tracing::info!(organization_id = %ids.organization_id, "bootstrapped");
    Ok(Response::Bootstrapped { organization_id: ids.organization_id, token })
}

/// 256 random bits; the prefix lets people and scanners see what it is.
fn new_token() -> Result<String, StoreError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|_| StoreError::Setup("the system has no random numbers".into()))?;
    Ok(format!("sf_{}", hex::encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_as_they_are_documented() {
        let read = |text| serde_json::from_str::<Request>(text);
        assert!(matches!(read(r#"{"migrate":{}}"#), Ok(Request::Migrate {})));
        assert!(
            matches!(read(r#"{"bootstrap":{"organization":"demo"}}"#), Ok(Request::Bootstrap { organization }) if organization == "demo")
        );
        assert!(read(r#"{"drop":{}}"#).is_err());
    }

    #[test]
    fn tokens_differ() {
        let (one, other) = (new_token().unwrap(), new_token().unwrap());
        assert!(one != other && one.starts_with("sf_") && one.len() == 67);
    }
}
