//! The caller: looked up by the token's SHA-256 with every request, so a revoked token fails at
//! once. Each route names its action; a request whose caller may not do it ends here.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use domain::access::{Access, Action};
use domain::actor::Actor;
use domain::ids::{OrganizationId, TokenId};
use http_event::SourceIp;
use jiff::Timestamp;
use store::api::{AuditLine, AuditObject, Person, authenticate_token, note_read};

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
    /// Its role and grants.
    pub(crate) access: Access,
    /// The token that made its token; None for a member, and for what the operator made.
    pub(crate) made_by: Option<TokenId>,
    /// The person, as whom it votes and starts runs.
    pub(crate) person: Person,
    /// The time from which its token is refused; None: never.
    pub(crate) expires_at: Option<Timestamp>,
    /// The action of the route.
    pub(crate) action: Action,
    source_ip: Option<String>,
}

/// Whether an answer shows what runs carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// The caller may read it.
    Shown,
    /// The caller sees states, reasons and times.
    Hidden,
}

impl Payload {
    /// The value, where it is shown.
    pub(crate) fn of<T>(self, value: T) -> Option<T> {
        match self {
            Self::Shown => Some(value),
            Self::Hidden => None,
        }
    }
}

impl Caller {
    /// Refuses what the caller may not do beside the action of the route.
    pub(crate) fn require(&self, action: Action) -> Result<(), ApiError> {
        if self.access.can(action) { Ok(()) } else { Err(ApiError::Forbidden(action)) }
    }

    /// Whether the caller sees what runs carry.
    pub(crate) fn payload(&self) -> Payload {
        if self.access.can(Action::DataRead) { Payload::Shown } else { Payload::Hidden }
    }

    /// The audit line of a write.
    pub(crate) fn line(&self, deps: &Deps, object: AuditObject) -> AuditLine {
        let at = deps.clock.now();
        AuditLine {
            id: deps.ids.next(at),
            organization_id: self.organization_id,
            actor: self.actor.clone(),
            action: self.action,
            object,
            source_ip: self.source_ip.clone(),
            at,
        }
    }

    /// Notes that the caller reads rows of a list, if there are any.
    pub(crate) async fn note_rows_read<T>(
        &self,
        deps: &Deps,
        object: AuditObject,
        rows: &[T],
    ) -> Result<(), ApiError> {
        if rows.is_empty() { Ok(()) } else { self.note_read(deps, object).await }
    }

    /// Notes that the caller reads what runs carry, before it is shown; once an hour for an object.
    pub(crate) async fn note_read(&self, deps: &Deps, object: AuditObject) -> Result<(), ApiError> {
        if self.payload() == Payload::Hidden { Ok(()) } else { self.note_shown(deps, object).await }
    }

    /// As [`Caller::note_read`], where the caller is shown something although it sees no data
    /// elsewhere.
    pub(crate) async fn note_shown(&self, deps: &Deps, object: AuditObject) -> Result<(), ApiError> {
        let line = AuditLine { action: Action::DataRead, ..self.line(deps, object) };
        let key = line.read_key();
        if deps.limits.is_noted(&key) {
            return Ok(());
        }
        note_read(&deps.store, &line).await?;
        deps.limits.noted(key);
        Ok(())
    }
}

impl FromRequestParts<Arc<Deps>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, deps: &Arc<Deps>) -> Result<Self, ApiError> {
        // A route that names no action is closed.
        let action = *parts.extensions.get::<Action>().ok_or(ApiError::Internal)?;
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = sha256(header.and_then(bearer).ok_or(ApiError::Unauthorized)?);
        let now = deps.clock.now();
        let source = parts.extensions.get::<SourceIp>().map(|source| source.0);
        deps.limits.take(&token, source, now)?;
        let found = authenticate_token(&deps.store, &token, now).await?;
        let Some(found) = found else {
            deps.limits.forget(&token);
            return Err(ApiError::UnknownToken);
        };
        deps.limits.know(&token, &found);
        if found.is_suspended {
            return Err(ApiError::Suspended);
        }
        deps.limits.note_use(&deps.store, &token, now).await;
        let caller = Self {
            organization_id: found.organization_id,
            actor: found.actor,
            access: found.access,
            made_by: found.made_by,
            person: found.person,
            expires_at: found.expires_at,
            action,
            source_ip: source.map(|source| source.to_string()),
        };
        caller.require(action)?;
        Ok(caller)
    }
}
