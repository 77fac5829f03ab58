//! `/v1/tokens`: the tokens that may call the API. A token is shown once. It ends when it is
//! revoked or its time is over.

use std::sync::Arc;

use api_types::{NewTokenAnswer, PageQuery, ShownOnce, Token, TokenList};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::access::{Access, Grant, Grants, Role};
use domain::actor::ActorKind;
use domain::limits::TOKEN_NAME_CHARS_MAX;
use domain::words::UnknownWord;
use jiff::{SignedDuration, Timestamp};
use store::api::{AuditObject, Audited, NewToken, create_token, find_token, list_tokens, revoke_token};

use crate::Deps;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::cursor::{list_answer, page_request};
use crate::error::{ApiError, NotFoundAs as _};
use crate::query::ApiQuery;
use crate::token::{new_token, sha256};
use crate::views;

/// The longest life of a token that has an end, seconds: ten years.
const EXPIRES_IN_SECONDS_MAX: u64 = 10 * 365 * 24 * 3600;

/// `GET`: the tokens, newest first.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<TokenList>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let page = list_tokens(&deps.store, caller.organization_id, ActorKind::Token, page).await?;
    Ok(list_answer(page, views::token))
}

/// `POST`: makes a token.
pub(super) async fn create(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    body: JsonBody,
) -> Result<(StatusCode, Json<NewTokenAnswer>), ApiError> {
    let new: api_types::NewToken = body.read()?;
    check_name(&new.name)?;
    let access = asked_access(&caller, &new.role, new.grants.as_deref())?;
    let made = Made { kind: ActorKind::Token, name: &new.name, access, expires_in: new.expires_in_seconds };
    make(&deps, &caller, made).await
}

/// `POST …/revoke`: the token is refused from now on, and so are the tokens that it made. A second
/// revocation is no error.
pub(super) async fn revoke(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Json<Token>, ApiError> {
    let found = find_token(&deps.store, caller.organization_id, ActorKind::Token, &reference).await;
    let found = found.not_found_as("token")?;
    let line = caller.line(&deps, AuditObject::new("token", found.id).named(&found.name));
    let store = Audited::new(&deps.store, &line);
    let revoked = revoke_token(store, caller.organization_id, found.id, deps.clock.now()).await;
    let row = revoked.not_found_as("token")?;
    tracing::info!(organization_id = %caller.organization_id, token_id = %row.id, "token revoked");
    Ok(Json(views::token(row)))
}

/// A token or a member that is to be made.
pub(super) struct Made<'m> {
    pub(super) kind: ActorKind,
    pub(super) name: &'m str,
    pub(super) access: Access,
    /// Seconds.
    pub(super) expires_in: Option<u64>,
}

/// Makes a token or a member.
pub(super) async fn make(
    deps: &Deps,
    caller: &Caller,
    made: Made<'_>,
) -> Result<(StatusCode, Json<NewTokenAnswer>), ApiError> {
    let Made { kind, name, access, expires_in } = made;
    let now = deps.clock.now();
    let expires_at = expires_in.map(|seconds| expires_at(now, seconds)).transpose()?;
    if let Some(end) = caller.expires_at.filter(|end| expires_at.is_none_or(|at| at > *end)) {
        return Err(ApiError::Invalid(format!(
            "`expires_in_seconds` must end by {end}, as the token does that makes this one"
        )));
    }
    let token = new_token()?;
    let id = deps.ids.next(now);
    let new = NewToken {
        id,
        kind,
        name,
        access,
        token_sha256: &sha256(&token),
        expires_at,
        created_by: &caller.actor,
    };
    let line = caller.line(deps, AuditObject::new(kind.as_str(), id).named(name));
    let row = create_token(Audited::new(&deps.store, &line), caller.organization_id, &new, now).await?;
    tracing::info!(organization_id = %caller.organization_id, token_id = %row.id, %kind, role = %access.role(), "token made");
    let answer = NewTokenAnswer { row: views::token(row), token: ShownOnce(token) };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// The access that is asked for. Nobody gives what they don't have.
pub(super) fn asked_access(
    caller: &Caller,
    role: &str,
    grants: Option<&[String]>,
) -> Result<Access, ApiError> {
    let wrong = |field: &str, error: UnknownWord| ApiError::Invalid(format!("`{field}` {error}"));
    let role: Role = role.parse().map_err(|error| wrong("role", error))?;
    let grants =
        grants.map(|grants| grants.iter().map(|grant| grant.parse()).collect::<Result<Vec<Grant>, _>>());
    let grants = grants.transpose().map_err(|error| wrong("grants", error))?;
    let access = match grants {
        Some(grants) => Access::new(role, Grants::of(&grants)),
        // The usual grants, as far as the caller has them.
        None => {
            let usual = Access::new(role, role.usual_grants());
            if usual.role() > caller.access.role() { usual } else { usual.and(caller.access) }
        }
    };
    if caller.access.covers(access) {
        return Ok(access);
    }
    Err(ApiError::Escalation("nobody gives more than they have: name a role and grants that are yours too"))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if !(1..=TOKEN_NAME_CHARS_MAX).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(ApiError::Invalid(format!(
            "`name` has 1 to {TOKEN_NAME_CHARS_MAX} characters, none of them a control character"
        )));
    }
    if uuid::Uuid::parse_str(name).is_ok() {
        return Err(ApiError::Invalid("`name` looks like an id, by which tokens are found too".to_owned()));
    }
    Ok(())
}

fn expires_at(now: Timestamp, seconds: u64) -> Result<Timestamp, ApiError> {
    let in_bounds = (1..=EXPIRES_IN_SECONDS_MAX).contains(&seconds);
    let at = i64::try_from(seconds)
        .ok()
        .map(SignedDuration::from_secs)
        .and_then(|life| now.checked_add(life).ok());
    at.filter(|_| in_bounds).ok_or_else(|| {
        ApiError::Invalid(format!("`expires_in_seconds` is from 1 to {EXPIRES_IN_SECONDS_MAX}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_limit_on_both_sides_and_is_no_id_i10() {
        let check = |name: &str, is_ok: bool| assert_eq!(check_name(name).is_ok(), is_ok, "{name}");
        check("", false);
        check("ci", true);
        check(&"x".repeat(TOKEN_NAME_CHARS_MAX), true);
        check(&"x".repeat(TOKEN_NAME_CHARS_MAX + 1), false);
        check("a\u{1b}b", false);
        check("01890a5d-ac96-774b-bcce-b302099a8057", false);
    }

    #[test]
    fn a_life_has_a_limit_on_both_sides_i10() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let check =
            |seconds: u64, is_ok: bool| assert_eq!(expires_at(now, seconds).is_ok(), is_ok, "{seconds}");
        check(0, false);
        check(1, true);
        check(EXPIRES_IN_SECONDS_MAX, true);
        check(EXPIRES_IN_SECONDS_MAX + 1, false);
        check(u64::MAX, false);
    }
}
