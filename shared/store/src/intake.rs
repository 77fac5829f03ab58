//! The beginning of runs: the load of a webhook, and the intake of any trigger's event. The rows are
//! written by the function `begin_run` of the database (`migrations/V19__one_intake.sql`), which also
//! holds the deduplication of deliveries.

use std::time::Duration;

use domain::ids::{EventId, ExecutionId, ItemId, OrganizationId, RunId, TokenId, WebhookId, WorkflowId};
use domain::root::PlannedRoot;
use domain::webhook::Authentication;
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::types::{column, word};
use crate::{Store, StoreError, Tx};

/// A webhook, with all columns that an instance may keep in its memory.
#[derive(Clone, Debug)]
pub struct StoredWebhook {
    /// `webhooks.id`
    pub id: WebhookId,
    /// `webhooks.version`
    pub version: i64,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// `workflows.version`
    pub workflow_version: i64,
    /// The organization.
    pub organization_id: OrganizationId,
    /// Whether the operator has suspended the organization.
    pub is_suspended: bool,
    /// The trigger node.
    pub node_id: String,
    /// `signature`, `bearer`, `header_token` or `none`.
    pub authentication: Authentication,
    /// The header of the signature or token, lower case.
    pub header_name: Option<String>,
    /// The header whose value identifies a delivery, lower case.
    pub deduplication_header: Option<String>,
    /// The sealed signing key.
    pub signing_keys: Option<Vec<u8>>,
    /// The name of the sealed key's entry.
    pub current_key_name: Option<String>,
    /// The sealed signing key before a rotation.
    pub previous_signing_keys: Option<Vec<u8>>,
    /// SHA-256 of the token.
    pub token_sha256: Option<Vec<u8>>,
    /// SHA-256 of the token before a rotation.
    pub previous_token_sha256: Option<Vec<u8>>,
    /// The time until which the previous key or token is accepted.
    pub previous_until: Option<Timestamp>,
    /// `workflows.name`
    pub workflow_name: String,
    /// `workflows.description`
    pub workflow_description: String,
    /// `workflows.nodes`
    pub nodes: Value,
    /// `workflows.edges`
    pub edges: Value,
}

/// Loads a live webhook by its public address.
///
/// # Errors
/// See [`StoreError`].
pub async fn load_webhook(store: &Store, address: &str) -> Result<Option<StoredWebhook>, StoreError> {
    let rows = store
        .query(
            "/* load_webhook */
             SELECT h.id, h.version, h.workflow_id, w.version AS workflow_version,
                 w.organization_id, o.suspended_at IS NOT NULL AS is_suspended, h.node_id, h.authentication, h.header_name,
                 h.deduplication_header, h.signing_keys, h.current_key_name,
                 h.previous_signing_keys, h.token_sha256, h.previous_token_sha256, h.previous_until,
                 w.name, w.description, w.nodes, w.edges
             FROM webhooks h
             JOIN workflows w
               ON w.id = h.workflow_id AND coalesce(w.deleted_at, 'infinity') = 'infinity'
             JOIN organizations o ON o.id = w.organization_id AND o.deleted_at IS NULL
             WHERE h.address = $1 AND coalesce(h.deleted_at, 'infinity') = 'infinity'",
            &[(&address, Type::TEXT)],
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(StoredWebhook {
        id: column(row, "id")?,
        version: column(row, "version")?,
        workflow_id: column(row, "workflow_id")?,
        workflow_version: column(row, "workflow_version")?,
        organization_id: column(row, "organization_id")?,
        is_suspended: column(row, "is_suspended")?,
        node_id: column(row, "node_id")?,
        authentication: word(row, "authentication")?,
        header_name: column(row, "header_name")?,
        deduplication_header: column(row, "deduplication_header")?,
        signing_keys: column(row, "signing_keys")?,
        current_key_name: column(row, "current_key_name")?,
        previous_signing_keys: column(row, "previous_signing_keys")?,
        token_sha256: column(row, "token_sha256")?,
        previous_token_sha256: column(row, "previous_token_sha256")?,
        previous_until: column(row, "previous_until")?,
        workflow_name: column(row, "name")?,
        workflow_description: column(row, "description")?,
        nodes: column(row, "nodes")?,
        edges: column(row, "edges")?,
    }))
}

/// A run that begins: the event of a trigger, planned with one version of the definition, and the
/// items that it becomes.
#[derive(Clone, Copy, Debug)]
pub struct NewRun<'a> {
    /// `workflow_events.id`, which is the run's id too.
    pub event_id: EventId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// `workflows.version` of the definition that has the targets.
    pub version_planned: i64,
    /// The trigger node.
    pub node_id: &'a str,
    /// The plan of its trigger.
    pub planned: &'a PlannedRoot,
    /// The data of the event.
    pub data: &'a Value,
    /// The ids of the items, one for each target.
    pub item_ids: &'a [ItemId],
    /// The number of calls from sealflow to sealflow before this event.
    pub hops: i32,
    /// The delivery, where a webhook took the event.
    pub delivery: Option<WebhookDelivery<'a>>,
    /// Now.
    pub now: Timestamp,
}

/// A delivery to a webhook.
#[derive(Clone, Copy, Debug)]
pub struct WebhookDelivery<'a> {
    /// `webhooks.id`
    pub webhook_id: WebhookId,
    /// `webhooks.version`, as the instance knows it.
    pub version: i64,
    /// The sender's key, by which a delivery is recognised.
    pub deduplication_key: Option<&'a str>,
}

/// The result of [`begin_run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginOutcome {
    /// The run is committed with its event and its items. The duration is that until its time-out;
    /// None: it has no time-out, or has ended already.
    Begun(Option<Duration>),
    /// The sender's key is that of an earlier event, which has this id.
    Duplicate(EventId),
    /// The workflow or the webhook has another version than the planned one, or was deleted: load
    /// and plan again, once.
    Outdated,
    /// A target has as many waiting items as are allowed.
    Full,
}

/// Begins a run for an event of any trigger. One transaction writes the sender's key, the event,
/// the run and its items, where the planned versions still hold. A second call with the same event
/// changes nothing.
///
/// # Errors
/// [`StoreError::Rejected`] when the data can't be stored.
pub async fn begin_run(store: &Store, run: &NewRun<'_>) -> Result<BeginOutcome, StoreError> {
    let delivery = run.delivery;
    let rows = store
        .query(
            "/* begin_run */
             SELECT outcome, first_event_id, due_seconds
             FROM begin_run($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                            $11, $12, $13, $14, $15, $16, $17)",
            &[
                (&run.organization_id, Type::UUID),
                (&run.workflow_id, Type::UUID),
                (&run.version_planned, Type::INT8),
                (&run.node_id, Type::TEXT),
                (&run.event_id, Type::UUID),
                (&run.planned.channel, Type::TEXT),
                (&run.planned.event_type, Type::TEXT),
                (&run.data, Type::JSONB),
                (&run.planned.run_name, Type::TEXT),
                (&run.hops, Type::INT4),
                (&run.planned.targets, Type::TEXT_ARRAY),
                (&run.item_ids, Type::UUID_ARRAY),
                (&run.now, Type::TIMESTAMPTZ),
                (&delivery.map(|delivery| delivery.webhook_id), Type::UUID),
                (&delivery.map(|delivery| delivery.version), Type::INT8),
                (&delivery.and_then(|delivery| delivery.deduplication_key), Type::TEXT),
                (&f64::from(domain::limits::DEDUPLICATION_HOURS), Type::FLOAT8),
            ],
        )
        .await?;
    outcome(&rows, run.planned)
}

/// As [`begin_run`], for a run that a person starts, or their token.
///
/// # Errors
/// As [`begin_run`].
pub async fn start_run(
    store: &Store,
    started_by: TokenId,
    run: &NewRun<'_>,
) -> Result<BeginOutcome, StoreError> {
    let rows = store
        .query(
            "/* start_run */
             SELECT outcome, first_event_id, due_seconds
             FROM start_run($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            &[
                (&started_by, Type::UUID),
                (&run.organization_id, Type::UUID),
                (&run.workflow_id, Type::UUID),
                (&run.version_planned, Type::INT8),
                (&run.node_id, Type::TEXT),
                (&run.event_id, Type::UUID),
                (&run.planned.channel, Type::TEXT),
                (&run.planned.event_type, Type::TEXT),
                (&run.data, Type::JSONB),
                (&run.planned.run_name, Type::TEXT),
                (&run.hops, Type::INT4),
                (&run.planned.targets, Type::TEXT_ARRAY),
                (&run.item_ids, Type::UUID_ARRAY),
                (&run.now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    outcome(&rows, run.planned)
}

/// As [`begin_run`], for a schedule whose time has come; the caller has locked it.
///
/// # Errors
/// As [`begin_run`].
pub async fn begin_scheduled_run(tx: &Tx, run: &NewRun<'_>) -> Result<BeginOutcome, StoreError> {
    let rows = tx
        .query(
            "/* begin_scheduled_run */
             SELECT outcome, first_event_id, due_seconds
             FROM begin_scheduled_run($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            &[
                (&run.workflow_id, Type::UUID),
                (&run.node_id, Type::TEXT),
                (&run.version_planned, Type::INT8),
                (&run.event_id, Type::UUID),
                (&run.planned.event_type, Type::TEXT),
                (&run.data, Type::JSONB),
                (&run.planned.run_name, Type::TEXT),
                (&run.planned.targets, Type::TEXT_ARRAY),
                (&run.item_ids, Type::UUID_ARRAY),
                (&run.now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    outcome(&rows, run.planned)
}

/// As [`begin_run`], for an `on_error` trigger that is told of the failed run `of_run`; the caller
/// has locked what is noted of that run.
///
/// # Errors
/// As [`begin_run`].
pub async fn begin_error_run(tx: &Tx, of_run: RunId, run: &NewRun<'_>) -> Result<BeginOutcome, StoreError> {
    let rows = tx
        .query(
            "/* begin_error_run */
             SELECT outcome, first_event_id, due_seconds
             FROM begin_error_run($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            &[
                (&of_run, Type::UUID),
                (&run.workflow_id, Type::UUID),
                (&run.node_id, Type::TEXT),
                (&run.version_planned, Type::INT8),
                (&run.event_id, Type::UUID),
                (&run.planned.event_type, Type::TEXT),
                (&run.data, Type::JSONB),
                (&run.planned.run_name, Type::TEXT),
                (&run.planned.targets, Type::TEXT_ARRAY),
                (&run.item_ids, Type::UUID_ARRAY),
                (&run.now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    outcome(&rows, run.planned)
}

/// As [`begin_run`], for a run that an open execution calls; the caller has locked that execution. If it
/// does not wait, it counts as told.
///
/// # Errors
/// As [`begin_run`].
pub async fn begin_called_run(
    tx: &Tx,
    caller: ExecutionId,
    waits: bool,
    run: &NewRun<'_>,
) -> Result<BeginOutcome, StoreError> {
    let rows = tx
        .query(
            "/* begin_called_run */
             SELECT outcome, first_event_id, due_seconds
             FROM begin_called_run($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            &[
                (&caller, Type::UUID),
                (&waits, Type::BOOL),
                (&run.workflow_id, Type::UUID),
                (&run.node_id, Type::TEXT),
                (&run.version_planned, Type::INT8),
                (&run.event_id, Type::UUID),
                (&run.planned.event_type, Type::TEXT),
                (&run.data, Type::JSONB),
                (&run.planned.run_name, Type::TEXT),
                (&run.planned.targets, Type::TEXT_ARRAY),
                (&run.item_ids, Type::UUID_ARRAY),
                (&run.now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
    outcome(&rows, run.planned)
}

fn outcome(rows: &[Row], planned: &PlannedRoot) -> Result<BeginOutcome, StoreError> {
    let row = rows.first().ok_or(StoreError::Corrupt("begin_run"))?;
    match column::<&str>(row, "outcome")? {
        "begun" => {
            let seconds: Option<f64> = column(row, "due_seconds")?;
            let seconds = seconds.filter(|_| !planned.targets.is_empty());
            Ok(BeginOutcome::Begun(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())))
        }
        "duplicate" => Ok(BeginOutcome::Duplicate(column(row, "first_event_id")?)),
        "outdated" => Ok(BeginOutcome::Outdated),
        "full" => Ok(BeginOutcome::Full),
        _ => Err(StoreError::Corrupt("begin_run")),
    }
}
