//! The operator's commands for organizations.

use domain::ids::OrganizationId;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde::Serialize;
use store::StoreError;
use store::operate::{
    OperatedOrganization, OrganizationChange, change_organization, find_organization, list_organizations,
    make_owner,
};

use crate::bootstrap::new_token;
use crate::{Deps, Response};

/// An organization, as the answer shows it.
#[derive(Serialize)]
pub struct Organization {
    id: OrganizationId,
    name: String,
    created_at: Timestamp,
    suspended_at: Option<Timestamp>,
    requests_per_second_max: Option<i32>,
    workflows: i64,
    tokens: i64,
}

impl From<OperatedOrganization> for Organization {
    fn from(row: OperatedOrganization) -> Self {
        let OperatedOrganization {
            id,
            name,
            created_at,
            suspended_at,
            requests_per_second_max,
            workflows,
            tokens,
        } = row;
        Self { id, name, created_at, suspended_at, requests_per_second_max, workflows, tokens }
    }
}

pub(crate) async fn list(deps: &Deps) -> Result<Response, StoreError> {
    let organizations = list_organizations(&deps.store).await?.into_iter().map(Into::into).collect();
    Ok(Response::Organizations { organizations })
}

pub(crate) async fn change(
    reference: &str,
    change: OrganizationChange,
    deps: &Deps,
) -> Result<Response, StoreError> {
    let organization_id = find_organization(&deps.store, reference).await?;
    let now = deps.clock.now();
    let row = change_organization(&deps.store, organization_id, change, deps.ids.next(now), now).await?;
    tracing::info!(%organization_id, ?change, "organization changed by the operator");
    Ok(Response::Organizations { organizations: vec![row.into()] })
}

/// A token of an owner, named for the time at which the operator made it.
pub(crate) async fn token(reference: &str, deps: &Deps) -> Result<Response, StoreError> {
    let organization_id = find_organization(&deps.store, reference).await?;
    let (now, token) = (deps.clock.now(), new_token()?);
    let ids = (deps.ids.next(now), deps.ids.next(now));
    let name = format!("operator {}", now.strftime("%Y-%m-%dT%H:%M:%SZ"));
    let hash = digest(&SHA256, token.as_bytes());
    make_owner(&deps.store, organization_id, ids, &name, hash.as_ref(), now).await?;
    tracing::info!(%organization_id, "owner's token made by the operator");
    Ok(Response::Bootstrapped { organization_id, token })
}
