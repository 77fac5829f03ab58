//! Applying a definition: check, compare, plan, make credentials, write in one transaction, wake.

mod credentials;
mod plan;
mod secrets;

use definition_check::{Changes, Checked, Problem, difference};
use domain::ids::{WebhookId, WorkflowId};
use domain::webhook::Authentication;
use jiff::Timestamp;
use serde::Serialize;
use store::StoreError;
use store::api::{
    WebhookRow, WorkflowRow, WorkflowWrite, apply_workflow, list_webhooks, load_workflow_named,
};

use crate::Deps;
use crate::auth::Caller;
use crate::error::ApiError;
use credentials::{Credentials, make_credentials};
use plan::{Current, Plan, plan};

/// Times that an apply without an expected version is planned, each against what another apply left.
const PLANS_MAX: u32 = 5;

/// What a caller asks of an apply.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ApplyOptions {
    /// The version that the caller knows; 0: there is no such workflow yet. None: whatever there is.
    pub(crate) expected_version: Option<i64>,
    /// Whether anything is written.
    pub(crate) mode: ApplyMode,
}

/// Whether an apply writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ApplyMode {
    /// It does.
    #[default]
    Write,
    /// It says what it would change.
    Check,
}

/// The answer of an apply.
#[derive(Debug, Serialize)]
pub(crate) struct ApplyAnswer {
    /// The workflow as it is now; null when a check finds that there is none yet.
    workflow: Option<WorkflowRow>,
    /// Whether something was written.
    applied: bool,
    changes: Changes,
    warnings: Vec<Problem>,
    webhooks: Vec<WebhookView>,
}

/// A webhook in an answer. A key or token stands there once: in the answer of the apply or rotation that made it.
#[derive(Debug, Serialize)]
pub(crate) struct WebhookView {
    pub(crate) id: WebhookId,
    pub(crate) workflow_id: WorkflowId,
    pub(crate) node_id: String,
    pub(crate) url: String,
    pub(crate) authentication: Authentication,
    pub(crate) header_name: Option<String>,
    pub(crate) deduplication_header: Option<String>,
    /// Until when the key or token before a rotation is taken.
    pub(crate) previous_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signing_key: Option<ShownOnce>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<ShownOnce>,
}

/// A credential on its way into the one answer that shows it.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct ShownOnce(pub(crate) String);

impl std::fmt::Debug for ShownOnce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[shown once]")
    }
}

impl WebhookView {
    /// A webhook that is there already.
    pub(crate) fn of_row(row: WebhookRow, public_url: &str) -> Self {
        Self {
            id: row.id,
            workflow_id: row.workflow_id,
            node_id: row.node_id,
            url: webhook_url(public_url, &row.address),
            authentication: row.authentication,
            header_name: row.header_name,
            deduplication_header: row.deduplication_header,
            previous_until: row.previous_until,
            signing_key: None,
            token: None,
        }
    }
}

fn webhook_url(public_url: &str, address: &str) -> String {
    format!("{public_url}/hooks/{address}")
}

/// Applies a definition, or says what applying it would change.
///
/// # Errors
/// [`ApiError::Definition`] with every error of it; [`ApiError::Conflict`] when the workflow does not have the expected version.
pub(crate) async fn apply(
    deps: &Deps,
    caller: &Caller,
    text: &str,
    options: ApplyOptions,
) -> Result<ApplyAnswer, ApiError> {
    let checked = match definition_check::check(text) {
        Ok(checked) => checked,
        Err(refused) => {
            let findings = secrets::find_problems(deps, caller, &refused.secret_refs).await?;
            return Err(ApiError::Definition(refused.with_found(findings.errors)));
        }
    };
    let mut plans = 1;
    loop {
        match apply_once(deps, caller, &checked, options).await {
            Err(ApplyError::Outdated(why)) if options.expected_version.is_some() || plans == PLANS_MAX => {
                return Err(ApiError::Conflict(why.to_owned()));
            }
            Err(ApplyError::Outdated(_)) => plans += 1,
            Err(ApplyError::Failed(error)) => return Err(error),
            Ok(answer) => return Ok(answer),
        }
    }
}

/// How one try of an apply ends.
enum ApplyError {
    /// Another apply came between: plan again, unless the caller expects a version.
    Outdated(&'static str),
    /// It can't be applied.
    Failed(ApiError),
}

impl<E: Into<ApiError>> From<E> for ApplyError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

async fn apply_once(
    deps: &Deps,
    caller: &Caller,
    checked: &Checked,
    options: ApplyOptions,
) -> Result<ApplyAnswer, ApplyError> {
    let current = load_current(deps, caller, &checked.definition.name).await?;
    check_version(options.expected_version, current.as_ref())?;
    let now = deps.clock.now();
    let changes = difference(current.as_ref().map(|current| &current.definition), &checked.definition);
    let mut warnings = checked.warnings.clone();
    let findings = secrets::find_problems(deps, caller, &checked.secret_refs).await?;
    if !findings.errors.is_empty() {
        return Err(ApiError::Definition(findings.errors).into());
    }
    warnings.extend(findings.warnings);
    let plan = plan(current.as_ref(), checked, &mut || deps.ids.next(now));
    let is_written = options.mode == ApplyMode::Write && !(changes.is_empty() && plan.is_empty());
    let (workflow, webhooks) = if is_written {
        let (workflow, webhooks) = write(deps, caller, checked, current, plan, now).await?;
        (Some(workflow), webhooks)
    } else {
        let (workflow, webhooks) = current.map(|current| (current.workflow, current.webhooks)).unzip();
        let views = webhooks.unwrap_or_default().into_iter();
        (workflow, views.map(|row| WebhookView::of_row(row, &deps.public_url)).collect())
    };
    Ok(ApplyAnswer { workflow, applied: is_written, changes, warnings, webhooks })
}

async fn load_current(deps: &Deps, caller: &Caller, name: &str) -> Result<Option<Current>, ApiError> {
    let Some((workflow, definition)) = load_workflow_named(&deps.store, caller.organization_id, name).await?
    else {
        return Ok(None);
    };
    let webhooks = list_webhooks(&deps.store, caller.organization_id, workflow.id).await?;
    Ok(Some(Current { workflow, definition, webhooks }))
}

fn check_version(expected: Option<i64>, current: Option<&Current>) -> Result<(), ApiError> {
    let version = current.map_or(0, |current| current.workflow.version);
    match expected {
        Some(0) if version > 0 => {
            Err(ApiError::Conflict(format!("the workflow is there already, with version {version}")))
        }
        Some(expected) if expected != version => {
            let has = if version == 0 { "is not there".to_owned() } else { format!("has version {version}") };
            Err(ApiError::Conflict(format!("the workflow {has}; version {expected} was expected")))
        }
        _ => Ok(()),
    }
}

async fn write(
    deps: &Deps,
    caller: &Caller,
    checked: &Checked,
    current: Option<Current>,
    plan: Plan,
    now: Timestamp,
) -> Result<(WorkflowRow, Vec<WebhookView>), ApplyError> {
    let workflow_id = current.as_ref().map_or_else(|| deps.ids.next(now), |current| current.workflow.id);
    let made = make_credentials(deps, caller.organization_id, &plan).await?;
    let write = WorkflowWrite {
        organization_id: caller.organization_id,
        workflow_id,
        version_planned: current.as_ref().map(|current| current.workflow.version),
        definition: checked.definition.clone(),
        nodes: plan.nodes,
        nodes_removed: plan.nodes_removed,
        secret_refs: plan.secret_refs,
        webhooks: made.webhooks.clone(),
        webhooks_changed: made.webhooks_changed.clone(),
        webhooks_removed: plan.webhooks_removed,
        applied_by: caller.actor.clone(),
        now,
    };
    let version = match apply_workflow(&deps.store, &write).await {
        Err(StoreError::Conflict(why)) => return Err(ApplyError::Outdated(why)),
        applied => applied?,
    };
    tracing::info!(%workflow_id, version, "workflow applied");
    deps.wake_nodes(caller.organization_id, workflow_id, plan.node_ids_to_wake).await;
    let webhooks = webhook_views(deps, workflow_id, current.as_ref(), &write, &made);
    Ok((applied_row(current, write, version), webhooks))
}

fn applied_row(current: Option<Current>, write: WorkflowWrite, version: i64) -> WorkflowRow {
    let (created_by, created_at) = current.map_or((write.applied_by.to_string(), write.now), |current| {
        (current.workflow.created_by, current.workflow.created_at)
    });
    WorkflowRow {
        id: write.workflow_id,
        name: write.definition.name,
        description: write.definition.description,
        timeout_seconds: write.definition.timeout_seconds.map(i64::from),
        version,
        created_by,
        created_at,
        updated_at: write.now,
        deleted_at: None,
    }
}

/// The webhooks as they are after the apply, those that got a credential with it.
fn webhook_views(
    deps: &Deps,
    workflow_id: WorkflowId,
    current: Option<&Current>,
    write: &WorkflowWrite,
    made: &Credentials,
) -> Vec<WebhookView> {
    let mut views = Vec::new();
    for row in current.map(|current| current.webhooks.as_slice()).unwrap_or_default() {
        if write.webhooks_removed.contains(&row.id) {
            continue;
        }
        let mut view = WebhookView::of_row(row.clone(), &deps.public_url);
        if let Some(change) = write.webhooks_changed.iter().find(|change| change.id == row.id) {
            view.authentication = change.authentication;
            view.header_name.clone_from(&change.header_name);
            view.deduplication_header.clone_from(&change.deduplication_header);
            if change.credential.is_some() {
                view.previous_until = None;
            }
            (view.signing_key, view.token) = made.shown(row.id);
        }
        views.push(view);
    }
    for hook in &write.webhooks {
        let (signing_key, token) = made.shown(hook.id);
        views.push(WebhookView {
            id: hook.id,
            workflow_id,
            node_id: hook.node_id.clone(),
            url: webhook_url(&deps.public_url, &hook.address),
            authentication: hook.authentication.to_owned(),
            header_name: hook.header_name.clone(),
            deduplication_header: hook.deduplication_header.clone(),
            previous_until: None,
            signing_key,
            token,
        });
    }
    views.sort_by(|one, other| one.node_id.cmp(&other.node_id));
    views
}
