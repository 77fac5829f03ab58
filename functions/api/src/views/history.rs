use api_types::{Event, QueueItem};
use store::api::{EventRow, QueueItemRow};

use crate::auth::Payload;
use crate::error::ApiError;

/// An event as the API shows it.
pub(crate) fn event(row: EventRow, payload: Payload) -> Event {
    Event {
        id: row.id,
        workflow_id: row.workflow_id,
        node_id: row.node_id,
        run_id: row.run_id,
        channel: row.channel,
        r#type: row.r#type,
        data: payload.of(row.data).unwrap_or_default(),
        run_name: payload.of(row.run_name).flatten(),
        targets: row.targets,
        depth: row.depth,
        execution_id: row.execution_id,
        created_at: row.created_at,
    }
}

/// A waiting item as the API shows it.
pub(crate) fn queue_item(row: QueueItemRow, payload: Payload) -> Result<QueueItem, ApiError> {
    Ok(QueueItem {
        id: row.id,
        workflow_id: row.workflow_id,
        node_id: row.node_id,
        run_id: row.run_id,
        event_id: row.event_id,
        node_generation: row.node_generation,
        crashes: row.crashes,
        created_at: row.created_at,
        last_sent_at: row.last_sent_at,
        sent_count: row.sent_count,
        concurrency_key: payload.of(row.concurrency_key).flatten(),
        waiting_for: serde_json::from_value(row.waiting_for).map_err(|_| ApiError::Internal)?,
    })
}
