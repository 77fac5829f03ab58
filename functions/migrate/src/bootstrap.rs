//! An organization and its first token.

use domain::ids::OrganizationId;
use ring::digest::{SHA256, digest};
use store::{BootstrapIds, StoreError};

use crate::{Deps, Response};

/// The limit of `organizations.name` in the schema.
const ORGANIZATION_NAME_CHARS_MAX: usize = 128;

pub(crate) async fn bootstrap(name: &str, deps: &Deps) -> Result<Response, StoreError> {
    if !(1..=ORGANIZATION_NAME_CHARS_MAX).contains(&name.chars().count()) {
        return Err(StoreError::Setup(format!(
            "an organization's name has 1 to {ORGANIZATION_NAME_CHARS_MAX} characters"
        )));
    }
    let now = deps.clock.now();
    let ids = BootstrapIds {
        organization_id: OrganizationId(deps.ids.next(now)),
        token_id: deps.ids.next(now),
        line_id: deps.ids.next(now),
    };
    let token = new_token()?;
    store::bootstrap(&deps.store, ids, name, digest(&SHA256, token.as_bytes()).as_ref(), now).await?;
    tracing::info!(organization_id = %ids.organization_id, "bootstrapped");
    Ok(Response::Bootstrapped { organization_id: ids.organization_id, token })
}

/// A token of 256 random bits. By its prefix people and scanners recognise it as a token.
pub(crate) fn new_token() -> Result<String, StoreError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|_| StoreError::Setup("the system has no random numbers".into()))?;
    Ok(format!("sf_{}", hex::encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ() {
        let (one, other) = (new_token().unwrap(), new_token().unwrap());
        assert!(one != other && one.starts_with("sf_") && one.len() == 67);
    }
}
