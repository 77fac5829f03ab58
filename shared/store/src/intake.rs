//! The webhook function's statements: know a webhook, take an event.

use domain::ids::{EventId, ItemId, OrganizationId, WebhookId, WorkflowId};
use domain::webhook::Authentication;
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::types::Type;

use crate::builder::collect;
use crate::types::{column, word};
use crate::{Store, StoreError};

/// A webhook with what an instance may keep of it.
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
    /// The trigger node.
    pub node_id: String,
    /// `signature`, `bearer`, `header_token` or `none`.
    pub authentication: Authentication,
    /// The header of the signature or token, lower case.
    pub header_name: Option<String>,
    /// The header that makes deliveries the same, lower case.
    pub deduplication_header: Option<String>,
    /// The sealed signing key.
    pub signing_keys: Option<Vec<u8>>,
    /// The name of its entry; any other entry is the previous key.
    pub current_key_name: Option<String>,
    /// The sealed signing key before a rotation.
    pub previous_signing_keys: Option<Vec<u8>>,
    /// SHA-256 of the token.
    pub token_sha256: Option<Vec<u8>>,
    /// SHA-256 of the token before a rotation.
    pub previous_token_sha256: Option<Vec<u8>>,
    /// Until when the previous key or token is taken.
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
             SELECT h.id, h.version, h.workflow_id, w.version AS workflow_version, w.organization_id, h.node_id, h.authentication,
                 h.header_name, h.deduplication_header, h.signing_keys, h.current_key_name, h.previous_signing_keys, h.token_sha256,
                 h.previous_token_sha256, h.previous_until, w.name, w.description, w.nodes, w.edges
             FROM webhooks h
             JOIN workflows w ON w.id = h.workflow_id AND coalesce(w.deleted_at, 'infinity') = 'infinity'
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

/// A root event with the items that it becomes.
#[derive(Clone, Debug)]
pub struct NewRootEvent<'a> {
    /// `workflow_events.id`, which is the run's id too.
    pub id: EventId,
    /// The webhook, as the instance knows it.
    pub webhook: &'a StoredWebhook,
    /// What happened.
    pub data: &'a Value,
    /// The run's name.
    pub custom_name: Option<&'a str>,
    /// Targets with the ids of their items.
    pub targets: &'a [(String, ItemId)],
    /// How often sealflow has called sealflow on the way here.
    pub hops: i32,
    /// The sender's key.
    pub deduplication_key: Option<&'a str>,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// It is an event now.
    Taken,
    /// The sender's key was seen before: this is the first event's id.
    Duplicate(EventId),
    /// What the instance knows of the webhook is out of date: reload it once.
    Stale,
    /// A target has as many waiting items as are allowed.
    Full,
}

/// Takes an event: deduplication row, event and items in one statement, only where webhook and workflow are still as the instance
/// knows them and the organization lives.
///
/// # Errors
/// See [`StoreError`].
pub async fn take_webhook_event(
    store: &Store,
    event: &NewRootEvent<'_>,
    now: Timestamp,
) -> Result<Intake, StoreError> {
    let rows = store
        .query(
            TAKE_EVENT,
            &[
                (&event.webhook.id, Type::UUID),
                (&event.webhook.version, Type::INT8),
                (&event.webhook.workflow_version, Type::INT8),
                (&event.deduplication_key, Type::TEXT),
                (&event.id, Type::UUID),
                (&now, Type::TIMESTAMPTZ),
                (&event.data, Type::JSONB),
                (&event.custom_name, Type::TEXT),
                (&event.hops, Type::INT4),
                (&collect(event.targets, |(node_id, _)| node_id.as_str()), Type::TEXT_ARRAY),
                (&collect(event.targets, |(_, item_id)| *item_id), Type::UUID_ARRAY),
                (&f64::from(domain::limits::DEDUPLICATION_HOURS), Type::FLOAT8),
            ],
        )
        .await?;
    let row = rows.first().ok_or(StoreError::Corrupt("take_webhook_event"))?;
    let (is_live, is_full): (bool, bool) = (column(row, "is_live")?, column(row, "is_full")?);
    let first_event_id: Option<EventId> = column(row, "first_event_id")?;
    Ok(match first_event_id {
        _ if !is_live => Intake::Stale,
        _ if is_full => Intake::Full,
        Some(first) if first != event.id => Intake::Duplicate(first),
        _ => Intake::Taken,
    })
}

/// An event that is there already is its own of a first try whose answer was lost. Of a deduplication row DO NOTHING would return no
/// first id, so the conflict updates the row to what it was, or takes it over once it is too old.
const TAKE_EVENT: &str = "/* take_webhook_event */
    WITH live AS (
        SELECT h.id, h.workflow_id, h.node_id, w.organization_id, w.timeout_seconds
        FROM webhooks h
        JOIN workflows w ON w.id = h.workflow_id AND w.version = $3 AND coalesce(w.deleted_at, 'infinity') = 'infinity'
        JOIN organizations o ON o.id = w.organization_id AND o.deleted_at IS NULL
        WHERE h.id = $1 AND h.version = $2 AND coalesce(h.deleted_at, 'infinity') = 'infinity'),
    target AS (
        SELECT live.workflow_id, t.node_id, n.generation, n.concurrency_key, n.items_full, t.item_id
        FROM live CROSS JOIN unnest($10, $11) AS t (node_id, item_id)
        CROSS JOIN LATERAL (
            SELECT n.generation, n.concurrency_key, n.items_full FROM workflow_nodes n
            WHERE n.workflow_id = live.workflow_id AND n.node_id = t.node_id OFFSET 0) n),
    open AS (
        SELECT live.* FROM live WHERE NOT EXISTS (SELECT FROM target WHERE items_full)),
    first AS (
        INSERT INTO webhook_deduplications AS known (webhook_id, key, event_id, created_at)
        SELECT open.id, $4, $5, $6 FROM open WHERE $4 IS NOT NULL
        ON CONFLICT (webhook_id, key) DO UPDATE SET
            event_id = CASE WHEN known.created_at < $6 - make_interval(secs => $12 * 3600) THEN excluded.event_id ELSE known.event_id END,
            created_at = CASE WHEN known.created_at < $6 - make_interval(secs => $12 * 3600) THEN excluded.created_at ELSE known.created_at END
        RETURNING event_id),
    taken AS (
        SELECT open.* FROM open WHERE $4 IS NULL OR EXISTS (SELECT FROM first WHERE event_id = $5)),
    event AS (
        INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, custom_name, targets, depth,
            hops, created_at)
        SELECT $5, taken.workflow_id, taken.node_id, $5, $5, 'default', 'webhook', $7, $8, $10, 1, $9, $6 FROM taken
        ON CONFLICT (id) DO NOTHING
        RETURNING id, root_event_id, run_id),
    run AS (
        INSERT INTO workflow_runs (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, path, name, state, result,
            due_at, created_at, updated_at, finished_at)
        SELECT $5, taken.organization_id, taken.workflow_id, $3, taken.node_id, $5, ARRAY[$5], $8, begun.state, begun.result,
            now() + make_interval(secs => taken.timeout_seconds), $6, $6, CASE WHEN begun.state = 'finished' THEN $6 END
        FROM event CROSS JOIN taken CROSS JOIN (
            SELECT CASE WHEN cardinality($10) = 0 THEN 'finished' ELSE 'running' END AS state,
                CASE WHEN cardinality($10) = 0 THEN 'passed' END AS result) begun),
    item AS (
        INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation,
            concurrency_key, created_at, last_sent_at)
        SELECT target.item_id, target.workflow_id, target.node_id, event.root_event_id, event.run_id, event.id, target.generation,
            CASE WHEN target.concurrency_key IS NULL THEN '' END, $6, $6
        FROM event CROSS JOIN target)
    SELECT EXISTS (SELECT FROM live) AS is_live, EXISTS (SELECT FROM target WHERE items_full) AS is_full,
        (SELECT event_id FROM first) AS first_event_id";
