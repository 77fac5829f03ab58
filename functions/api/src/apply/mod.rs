//! Applying a definition: check, compare, plan, make credentials, write in one transaction, wake.

pub(crate) mod blueprints;
mod credentials;
mod schedules;
mod secrets;

use api_types::{Applied, Webhook};
use apply_plan::{Current, CurrentWebhook, Plan, Wanted, plan};
use components::webhook::WebhookConfiguration;
use definition_check::{Checked, NodeSecretRef, Refused, difference};
use domain::access::Action;
use domain::definition::Definition;
use domain::ids::WorkflowId;
use domain::limits::NODES_MAX;
use domain::node_write::SecretRefWrite;
use jiff::Timestamp;
use store::StoreError;
use store::api::{
    AuditObject, Audited, WebhookRow, WorkflowRow, WorkflowWrite, apply_workflow, list_webhooks,
    load_workflow_named,
};

use uuid::Uuid;

use crate::Deps;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::views;
use credentials::{Credentials, make_credentials};

/// The most plans of one apply without an expected version: another apply makes a new plan
/// necessary.
const PLANS_MAX: u32 = 5;

/// The options of an apply.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ApplyOptions {
    /// The version that the workflow must have; 0: the workflow must not exist yet. None: any
    /// version.
    pub(crate) expected_version: Option<i64>,
    /// Whether the apply writes.
    pub(crate) mode: ApplyMode,
}

/// Whether an apply writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ApplyMode {
    /// The changes are written.
    #[default]
    Write,
    /// The changes are only reported.
    Check,
}

/// Applies a definition, or only reports the changes that this would make.
///
/// # Errors
/// [`ApiError::Definition`] with every error of the definition; [`ApiError::Conflict`] when the
/// workflow does not have the expected version.
pub(crate) async fn apply(
    deps: &Deps,
    caller: &Caller,
    text: &str,
    options: ApplyOptions,
) -> Result<Applied, ApiError> {
    let mut plans = 1;
    loop {
        // A blueprint may have been deleted meanwhile.
        let library = blueprints::library(deps, caller, text).await?;
        let checked = match definition_check::check_within(text, deps.deployment, &library) {
            Ok(checked) => checked,
            Err(refused) => return Err(refusal(deps, caller, refused).await?),
        };
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

/// The answer for a definition with errors: they are told together with those of its secrets.
async fn refusal(deps: &Deps, caller: &Caller, refused: Refused) -> Result<ApiError, ApiError> {
    let findings = secrets::find_problems(deps, caller, &refused.secret_refs).await?;
    Ok(ApiError::Definition(refused.with_found(findings.errors)))
}

/// The workflow as it was applied last.
struct CurrentWorkflow {
    workflow: WorkflowRow,
    definition: Definition,
    /// Its live webhooks.
    webhooks: Vec<WebhookRow>,
}

fn plan_apply(
    current: Option<&CurrentWorkflow>,
    checked: &Checked,
    next_id: &mut dyn FnMut() -> Uuid,
) -> Plan {
    let webhooks: Vec<CurrentWebhook> = current.map_or(Vec::new(), |current| {
        let webhook = |row: &WebhookRow| CurrentWebhook {
            id: row.id,
            node_id: row.node_id.clone(),
            authentication: row.authentication,
            header_name: row.header_name.clone(),
            deduplication_header: row.deduplication_header.clone(),
        };
        current.webhooks.iter().map(webhook).collect()
    });
    let secret_ref = |secret: &NodeSecretRef| SecretRefWrite {
        node_id: secret.node_id.clone(),
        secret_name: secret.name.clone(),
        secret_key: secret.key.clone(),
        field: secret.pointer.clone(),
    };
    let secret_refs: Vec<SecretRefWrite> = checked.secret_refs.iter().map(secret_ref).collect();
    let current = current.map(|current| Current { definition: &current.definition, webhooks: &webhooks });
    plan(current, Wanted { definition: &checked.definition, secret_refs: &secret_refs }, next_id)
}

/// The failure of one try of an apply.
enum ApplyError {
    /// Another apply came between: plan again, unless the caller expects a version.
    Outdated(&'static str),
    /// The apply fails.
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
) -> Result<Applied, ApplyError> {
    let current = load_current(deps, caller, &checked.definition.name).await?;
    check_version(options.expected_version, current.as_ref())?;
    let now = deps.clock.now();
    let before = current.as_ref().map(|current| current.definition.authored());
    let changes = difference(before.as_ref(), &checked.definition.authored());
    let mut warnings = checked.warnings.clone();
    let findings = secrets::find_problems(deps, caller, &checked.secret_refs).await?;
    if !findings.errors.is_empty() {
        return Err(ApiError::Definition(findings.errors).into());
    }
    warnings.extend(findings.warnings);
    let plan = plan_apply(current.as_ref(), checked, &mut || deps.ids.next(now));
    // A webhook that is there would get another key, or none.
    if plan.webhooks_changed.iter().any(|wanted| wanted.needs_credential) {
        caller.require(Action::WebhooksWrite)?;
    }
    let is_written = options.mode == ApplyMode::Write && !(changes.is_empty() && plan.is_empty());
    let (workflow, webhooks) = if is_written {
        let (workflow, webhooks) = write(deps, caller, checked, current, plan, now).await?;
        (Some(workflow), webhooks)
    } else {
        let (workflow, webhooks) = current.map(|current| (current.workflow, current.webhooks)).unzip();
        let views = webhooks.unwrap_or_default().into_iter();
        (workflow, views.map(|row| views::webhook(row, &deps.public_url)).collect())
    };
    Ok(Applied {
        workflow: workflow.map(views::workflow),
        applied: is_written,
        changes: views::changes(changes),
        warnings: warnings.into_iter().map(views::definition_problem).collect(),
        webhooks,
    })
}

async fn load_current(deps: &Deps, caller: &Caller, name: &str) -> Result<Option<CurrentWorkflow>, ApiError> {
    let Some((workflow, definition)) = load_workflow_named(&deps.store, caller.organization_id, name).await?
    else {
        return Ok(None);
    };
    // A workflow has no more webhooks than nodes.
    let nodes_max = u32::try_from(NODES_MAX).expect("it is small");
    let (webhooks, _) =
        list_webhooks(&deps.store, caller.organization_id, Some(workflow.id), None, nodes_max).await?;
    let webhooks = webhooks.into_iter().map(|listed| listed.row).collect();
    Ok(Some(CurrentWorkflow { workflow, definition, webhooks }))
}

fn check_version(expected: Option<i64>, current: Option<&CurrentWorkflow>) -> Result<(), ApiError> {
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
    current: Option<CurrentWorkflow>,
    plan: Plan,
    now: Timestamp,
) -> Result<(WorkflowRow, Vec<Webhook>), ApplyError> {
    let workflow_id = current.as_ref().map_or_else(|| deps.ids.next(now), |current| current.workflow.id);
    let made = make_credentials(deps, caller.organization_id, &plan).await?;
    let write = WorkflowWrite {
        organization_id: caller.organization_id,
        workflow_id,
        version_planned: current.as_ref().map(|current| current.workflow.version),
        definition: checked.definition.clone(),
        blueprints: blueprints::used(&checked.definition.nodes),
        nodes: plan.nodes,
        nodes_removed: plan.nodes_removed,
        schedules: schedules::write(&plan.schedules, workflow_id, now),
        schedules_removed: plan.schedules_removed,
        error_handlers: plan.error_handlers,
        merges: plan.merges,
        joins_changed: plan.joins_changed,
        secret_refs: plan.secret_refs,
        webhooks: made.webhooks.clone(),
        webhooks_changed: made.webhooks_changed.clone(),
        webhooks_removed: plan.webhooks_removed,
        applied_by: caller.actor.clone(),
        now,
    };
    let line = caller.line(deps, AuditObject::new("workflow", workflow_id).named(&write.definition.name));
    let applied = match apply_workflow(Audited::new(&deps.store, &line), &write).await {
        Err(StoreError::Conflict(why)) => return Err(ApplyError::Outdated(why)),
        applied => applied?,
    };
    let version = applied.version;
    tracing::info!(%workflow_id, version, "workflow applied");
    deps.wake_nodes(caller.organization_id, workflow_id, plan.node_ids_to_wake).await;
    deps.wake_held(&applied.held).await;
    schedules::send(deps, caller.organization_id, workflow_id, &write.schedules, now).await;
    let webhooks = webhook_views(deps, workflow_id, current.as_ref(), &write, &made);
    Ok((applied_row(current, write, version), webhooks))
}

fn applied_row(current: Option<CurrentWorkflow>, write: WorkflowWrite, version: i64) -> WorkflowRow {
    let (created_by, created_at) = current.map_or((write.applied_by.clone(), write.now), |current| {
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

/// The webhooks after the apply. A webhook with a new credential shows it.
fn webhook_views(
    deps: &Deps,
    workflow_id: WorkflowId,
    current: Option<&CurrentWorkflow>,
    write: &WorkflowWrite,
    made: &Credentials,
) -> Vec<Webhook> {
    let mut views = Vec::new();
    for row in current.map(|current| current.webhooks.as_slice()).unwrap_or_default() {
        if write.webhooks_removed.contains(&row.id) {
            continue;
        }
        let mut view = views::webhook(row.clone(), &deps.public_url);
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
        views.push(Webhook {
            workflow_name: None,
            id: hook.id,
            workflow_id,
            node_id: hook.node_id.clone(),
            url: views::webhook_url(&deps.public_url, &hook.address),
            authentication: hook.authentication.to_owned(),
            header_name: hook.header_name.clone(),
            deduplication_header: hook.deduplication_header.clone(),
            previous_until: None,
            sender: None,
            deliveries: None,
            signing_key,
            token,
        });
    }
    for view in &mut views {
        let node = write.definition.nodes.iter().find(|node| node.id == view.node_id);
        let configuration = node.and_then(|node| WebhookConfiguration::read(&node.configuration).ok());
        view.sender = configuration.map(|configuration| configuration.sender);
    }
    views.sort_by(|one, other| one.node_id.cmp(&other.node_id));
    views
}
