//! `/v1/members`: the people of an organization. A member is a person's token, with an e-mail address
//! as its name. It counts as itself, whoever invited it.

use std::sync::Arc;

use api_types::{ChangeMember, MemberList, NewMember, NewTokenAnswer, PageQuery, Token};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::actor::ActorKind;
use domain::limits::TOKEN_NAME_CHARS_MAX;
use store::api::{AuditObject, Audited, change_member, find_token, list_tokens, revoke_token};

use super::tokens::{Made, asked_access, make};
use crate::Deps;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::cursor::{list_answer, page_request};
use crate::error::{ApiError, NotFoundAs as _};
use crate::query::ApiQuery;
use crate::views;

/// `GET`: members, newest first.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<MemberList>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let page = list_tokens(&deps.store, caller.organization_id, ActorKind::Member, page).await?;
    Ok(list_answer(page, views::token))
}

/// `POST`: makes a member.
pub(super) async fn invite(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    body: JsonBody,
) -> Result<(StatusCode, Json<NewTokenAnswer>), ApiError> {
    let new: NewMember = body.read()?;
    check_email(&new.email)?;
    check_may_invite(&caller)?;
    let access = asked_access(&caller, &new.role, new.grants.as_deref())?;
    let made = Made { kind: ActorKind::Member, name: &new.email, access, expires_in: new.expires_in_seconds };
    make(&deps, &caller, made).await
}

/// `PATCH`: gives a member another role.
pub(super) async fn change(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(member): Path<String>,
    body: JsonBody,
) -> Result<Json<Token>, ApiError> {
    let change: ChangeMember = body.read()?;
    check_may_invite(&caller)?;
    let access = asked_access(&caller, &change.role, change.grants.as_deref())?;
    let found = find(&deps, &caller, &member).await?;
    let line = caller.line(&deps, AuditObject::new("member", found.id).named(&found.name));
    let store = Audited::new(&deps.store, &line);
    let row = change_member(store, caller.organization_id, found.id, access).await.not_found_as("member")?;
    tracing::info!(organization_id = %caller.organization_id, member_id = %row.id, role = %access.role(), "member changed");
    Ok(Json(views::token(row)))
}

/// `DELETE`: removes a member.
pub(super) async fn remove(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    Path(member): Path<String>,
) -> Result<StatusCode, ApiError> {
    let found = find(&deps, &caller, &member).await?;
    let line = caller.line(&deps, AuditObject::new("member", found.id).named(&found.name));
    let now = deps.clock.now();
    let store = Audited::new(&deps.store, &line);
    revoke_token(store, caller.organization_id, found.id, now).await.not_found_as("member")?;
    tracing::info!(organization_id = %caller.organization_id, member_id = %found.id, "member removed");
    Ok(StatusCode::NO_CONTENT)
}

async fn find(deps: &Deps, caller: &Caller, reference: &str) -> Result<store::api::TokenRow, ApiError> {
    find_token(&deps.store, caller.organization_id, ActorKind::Member, reference).await.not_found_as("member")
}

/// Refuses a program that a person made: what it invites or raises would stay when it is revoked.
fn check_may_invite(caller: &Caller) -> Result<(), ApiError> {
    if caller.made_by.is_none() {
        return Ok(());
    }
    Err(ApiError::Escalation(
        "a member invites and changes members, or a token of the operator; this token was made by another",
    ))
}

/// The address is a name here: nothing is sent to it.
fn check_email(email: &str) -> Result<(), ApiError> {
    let parts = email.split_once('@').filter(|(user, host)| {
        !user.is_empty()
            && host.contains('.')
            && !host.contains('@')
            && !host.starts_with('.')
            && !host.ends_with('.')
    });
    let is_plain = !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if parts.is_some() && is_plain && email.chars().count() <= TOKEN_NAME_CHARS_MAX {
        return Ok(());
    }
    Err(ApiError::Invalid(format!(
        "`email` is an address such as ann@example.com, of at most {TOKEN_NAME_CHARS_MAX} characters"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_an_address_as_its_name_i10() {
        let check = |email: &str, is_ok: bool| assert_eq!(check_email(email).is_ok(), is_ok, "{email}");
        check("ann@example.com", true);
        check("ann.b+ci@mail.example.com", true);
        for email in [
            "",
            "ann",
            "@example.com",
            "ann@",
            "ann@example",
            "a@b@c.d",
            "ann @example.com",
            "ann@.com",
            "a@b.c\n",
        ] {
            check(email, false);
        }
        let long = |chars: usize| format!("{}@example.com", "a".repeat(chars - 12));
        check(&long(TOKEN_NAME_CHARS_MAX), true);
        check(&long(TOKEN_NAME_CHARS_MAX + 1), false);
    }
}
