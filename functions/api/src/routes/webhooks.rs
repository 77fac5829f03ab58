//! `/v1/webhooks`: where a workflow is posted to.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use store::api::list_webhooks;

use super::query_workflow;
use crate::Deps;
use crate::apply::WebhookView;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::query::ApiQuery;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    workflow: Option<String>,
}

/// `GET`: the live webhooks of one workflow, without keys and tokens.
pub(super) async fn list(
    State(deps): State<Arc<Deps>>,
    caller: Caller,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<Value>, ApiError> {
    let workflow_id = query_workflow(&deps, &caller, query.workflow.as_deref())
        .await?
        .ok_or_else(|| ApiError::Invalid("`workflow` is missing: the id or name of a workflow".to_owned()))?;
    let rows = list_webhooks(&deps.store, caller.organization_id, workflow_id).await?;
    let views: Vec<_> = rows.into_iter().map(|row| WebhookView::of_row(row, &deps.public_url)).collect();
    Ok(Json(json!({ "webhooks": views })))
}
