//! `/v1/me`: the caller.

use std::sync::Arc;

use api_types::Me;
use axum::Json;
use axum::extract::State;
use domain::access::Action;
use store::api::load_organization;

use crate::Deps;
use crate::auth::Caller;
use crate::error::{ApiError, NotFoundAs as _};

/// `GET`: who the caller is, and what it may do.
pub(super) async fn show(State(deps): State<Arc<Deps>>, caller: Caller) -> Result<Json<Me>, ApiError> {
    let organization =
        load_organization(&deps.store, caller.organization_id).await.not_found_as("organization")?;
    Ok(Json(Me {
        actor: caller.actor.clone().into(),
        organization_id: organization.id,
        organization_name: organization.name,
        role: caller.access.role(),
        grants: caller.access.grants().list(),
        actions: Action::ALL.iter().copied().filter(|action| caller.access.can(*action)).collect(),
        expires_at: caller.expires_at,
    }))
}
