//! `/v1/organization`: the caller's own.

use std::sync::Arc;

use api_types::{ChangeOrganization, DeleteOrganizationQuery, Organization};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::limits::RETENTION_DAYS_MAX;
use store::api::{AuditObject, Audited, delete_organization, load_organization, set_retention};

use crate::Deps;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::error::{ApiError, NotFoundAs as _};
use crate::query::ApiQuery;
use crate::views;

/// `GET`: the organization.
pub(super) async fn show(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
) -> Result<Json<Organization>, ApiError> {
    let organization = load_organization(&deps.store, caller.organization_id).await;
    Ok(Json(views::organization(organization.not_found_as("organization")?, deps.retention_days_max)))
}

/// `PATCH`: how long its runs are kept.
pub(super) async fn change(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    body: JsonBody,
) -> Result<Json<Organization>, ApiError> {
    let change: ChangeOrganization = body.read()?;
    check_retention(change.retention_days, deps.retention_days_max)?;
    let now = deps.clock.now();
    let line = caller.line(&deps, AuditObject::new("organization", caller.organization_id));
    let row =
        set_retention(Audited::new(&deps.store, &line), caller.organization_id, change.retention_days, now)
            .await;
    let row = row.not_found_as("organization")?;
    tracing::info!(organization_id = %caller.organization_id, retention_days = ?change.retention_days, "retention set");
    Ok(Json(views::organization(row, deps.retention_days_max)))
}

fn check_retention(days: Option<i32>, operators_days: Option<i32>) -> Result<(), ApiError> {
    let Some(days) = days else { return Ok(()) };
    if !(1..=RETENTION_DAYS_MAX).contains(&days) {
        return Err(ApiError::Invalid(format!(
            "`retention_days` is 1 to {RETENTION_DAYS_MAX}, or null to keep runs for ever"
        )));
    }
    match operators_days {
        Some(most) if days > most => Err(ApiError::Invalid(format!(
            "`retention_days` is {most} at most: the operator of this installation keeps no run for longer"
        ))),
        _ => Ok(()),
    }
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
    let line = caller.line(&deps, AuditObject::new("organization", caller.organization_id));
    delete_organization(Audited::new(&deps.store, &line), caller.organization_id, deps.clock.now())
        .await
        .not_found_as("organization")?;
    tracing::info!(organization_id = %caller.organization_id, "organization deleted");
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_kept_for_a_day_at_least_and_for_no_longer_than_the_operator_says_i10() {
        let check = |days, operators_days, expected| {
            assert_eq!(
                check_retention(days, operators_days).is_ok(),
                expected,
                "{days:?} of {operators_days:?}"
            );
        };
        check(None, None, true);
        check(Some(0), None, false);
        check(Some(1), None, true);
        check(Some(RETENTION_DAYS_MAX), None, true);
        check(Some(RETENTION_DAYS_MAX + 1), None, false);
        check(Some(30), Some(30), true);
        check(Some(31), Some(30), false);
        // The operator's maximum counts then.
        check(None, Some(30), true);
    }
}
