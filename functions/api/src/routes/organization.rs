//! `/v1/organization`: the caller's own.

use std::sync::Arc;

use api_types::{DeleteOrganizationQuery, Organization};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use store::api::{delete_organization, load_organization};

use crate::Deps;
use crate::auth::Caller;
use crate::error::{ApiError, NotFoundAs as _};
use crate::query::ApiQuery;
use crate::views;

/// `GET`: the organization.
pub(super) async fn show(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
) -> Result<Json<Organization>, ApiError> {
    let organization = load_organization(&deps.store, caller.organization_id).await;
    Ok(Json(views::organization(organization.not_found_as("organization")?)))
}

/// `DELETE`: ends the organization, whose name is repeated, with its secrets, webhooks and runs.
/// Its tokens are of no use from then on.
pub(super) async fn delete(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<DeleteOrganizationQuery>,
) -> Result<StatusCode, ApiError> {
    let organization = load_organization(&deps.store, caller.organization_id).await;
    if query.name != Some(organization.not_found_as("organization")?.name) {
        return Err(ApiError::Invalid(
            "deleting an organization takes all of its secrets, webhooks and runs along: repeat its name, `?name=NAME`".to_owned(),
        ));
    }
    delete_organization(&deps.store, caller.organization_id, deps.clock.now())
        .await
        .not_found_as("organization")?;
    tracing::info!(organization_id = %caller.organization_id, "organization deleted");
    Ok(StatusCode::NO_CONTENT)
}
