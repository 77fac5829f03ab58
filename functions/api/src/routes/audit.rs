//! `/v1/audit`: who did what.

use std::sync::Arc;

use api_types::{AuditList, AuditQuery};
use axum::Json;
use axum::extract::State;
use store::api::{AuditFilter, list_audit_lines};

use super::query_time;
use crate::Deps;
use crate::auth::Caller;
use crate::cursor::{list_answer, page_request};
use crate::error::ApiError;
use crate::query::ApiQuery;
use crate::views;

/// `GET`: lines, newest first.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<AuditQuery>,
) -> Result<Json<AuditList>, ApiError> {
    let page = page_request(query.cursor.as_deref(), query.limit)?;
    let filter = AuditFilter {
        action: query.action,
        actor: query.actor,
        object: query.object,
        since: query_time(query.since.as_deref(), "since")?,
    };
    let page = list_audit_lines(&deps.store, caller.organization_id, &filter, page).await?;
    Ok(list_answer(page, views::audit_line))
}
