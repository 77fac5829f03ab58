//! `/v1/organization`: the caller's own.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use store::api::{OrganizationRow, delete_organization, load_organization};

use crate::Deps;
use crate::auth::Caller;
use crate::error::{ApiError, NotFoundAs as _};

/// `GET`: the organization.
pub(super) async fn show(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
) -> Result<Json<OrganizationRow>, ApiError> {
    let organization = load_organization(&deps.store, caller.organization_id).await;
    Ok(Json(organization.not_found_as("organization")?))
}

/// `DELETE`: ends the organization with its secrets, webhooks and runs. Its tokens are of no use from then on.
pub(super) async fn delete(State(deps): State<Arc<Deps>>, caller: Caller) -> Result<StatusCode, ApiError> {
    delete_organization(&deps.store, caller.organization_id, &caller.name, deps.clock.now())
        .await
        .not_found_as("organization")?;
    tracing::info!(organization_id = %caller.organization_id, "organization deleted");
    Ok(StatusCode::NO_CONTENT)
}
