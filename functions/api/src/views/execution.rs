use api_types::{DeadLetter, Execution};
use store::api::{DeadLetterRow, ExecutionRow};

/// An execution as the API shows it.
pub(crate) fn execution(row: ExecutionRow) -> Execution {
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
        result_message: row.result_message,
        component: row.component,
        configuration: row.configuration,
        metadata: row.metadata,
        keys: row.keys,
        workflow_version: row.workflow_version,
        attempt: row.attempt,
        crashes: row.crashes,
        run_at: row.run_at,
        wake_at: row.wake_at,
        cancelled_by: row.cancelled_by,
        redriven_event_id: row.redriven_event_id,
        concurrency_key: row.concurrency_key,
        created_at: row.created_at,
        updated_at: row.updated_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        duration_ms: row.duration_ms,
    }
}

/// A dead letter as the API shows it.
pub(crate) fn dead_letter(row: DeadLetterRow) -> DeadLetter {
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
        result_message: row.result_message,
        attempt: row.attempt,
        created_at: row.created_at,
        finished_at: row.finished_at,
    }
}
