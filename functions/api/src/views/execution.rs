use api_types::{DeadLetter, Execution};
use serde_json::{Value, json};
use store::api::{DeadLetterRow, ExecutionRow};

use crate::auth::Payload;

/// An execution as the API shows it.
pub(crate) fn execution(row: ExecutionRow, payload: Payload) -> Execution {
    Execution {
        id: row.id,
        workflow_id: row.workflow_id,
        node_id: row.node_id,
        node_name: row.node_name,
        run_id: row.run_id,
        event_id: row.event_id,
        previous_execution_id: row.previous_execution_id,
        parent_execution_id: row.parent_execution_id,
        state: row.state,
        result: row.result,
        result_reason: row.result_reason,
        result_message: payload.of(row.result_message).flatten(),
        component: row.component,
        configuration: payload.of(row.configuration).unwrap_or_default(),
        metadata: match payload {
            Payload::Shown => row.metadata,
            Payload::Hidden => course(&row.metadata),
        },
        keys: payload.of(row.keys).unwrap_or_default(),
        workflow_version: row.workflow_version,
        attempt: row.attempt,
        crashes: row.crashes,
        run_at: row.run_at,
        wake_at: row.wake_at,
        cancelled_by: row.cancelled_by.map(Into::into),
        redriven_event_id: row.redriven_event_id,
        concurrency_key: payload.of(row.concurrency_key).flatten(),
        created_at: row.created_at,
        updated_at: row.updated_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        duration_ms: row.duration_ms,
    }
}

/// Of the facts about an execution those that hold nothing of its data: when each attempt began and
/// ended, and with which code.
fn course(metadata: &Value) -> Value {
    let attempts = metadata["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = attempts.iter().map(|attempt| {
        let mut shown = json!({});
        for field in ["attempt", "started_at", "finished_at"] {
            if let Some(value) = attempt.get(field) {
                shown[field] = value.clone();
            }
        }
        if let Some(code) = attempt.pointer("/error/code") {
            shown["error"] = json!({ "code": code });
        }
        shown
    });
    json!({ "attempts": shown.collect::<Vec<_>>() })
}

/// A dead letter as the API shows it.
pub(crate) fn dead_letter(row: DeadLetterRow, payload: Payload) -> DeadLetter {
    DeadLetter {
        id: row.id,
        workflow_id: row.workflow_id,
        workflow_name: row.workflow_name,
        node_id: row.node_id,
        node_name: row.node_name,
        run_id: row.run_id,
        event_id: row.event_id,
        component: row.component,
        result_reason: row.result_reason,
        result_message: payload.of(row.result_message).flatten(),
        attempt: row.attempt,
        created_at: row.created_at,
        finished_at: row.finished_at,
    }
}
