//! The caller: looked up by the token's SHA-256 with every request, so a revoked token fails at
//! once.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use domain::function::Actor;
use domain::ids::OrganizationId;
use store::api::authenticate_token;

use crate::Deps;
use crate::error::ApiError;
use crate::token::{bearer, sha256};

/// The caller of a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The one organization that the request reaches.
    pub(crate) organization_id: OrganizationId,
    /// The actor that is recorded as `created_by` and the like.
    pub(crate) actor: Actor,
}

impl FromRequestParts<Arc<Deps>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, deps: &Arc<Deps>) -> Result<Self, ApiError> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(bearer).ok_or(ApiError::Unauthorized)?;
        let caller = authenticate_token(&deps.store, &sha256(token), deps.clock.now())
            .await?
            .ok_or(ApiError::UnknownToken)?;
        Ok(Self { organization_id: caller.organization_id, actor: Actor::Token(caller.token_name) })
    }
}
