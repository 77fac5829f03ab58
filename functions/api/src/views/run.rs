use api_types::{Run, RunDetail};
use store::api::RunRow;

use crate::auth::Payload;

/// A run as the API shows it.
pub(crate) fn run(row: RunRow, payload: Payload) -> Run {
    Run {
        id: row.id,
        workflow_id: row.workflow_id,
        workflow_name: row.workflow_name,
        workflow_version: row.workflow_version,
        node_id: row.node_id,
        parent_run_id: row.parent_run_id,
        parent_execution_id: row.parent_execution_id,
        iteration: row.iteration,
        caller_execution_id: row.caller_execution_id,
        r#type: row.r#type,
        name: payload.of(row.name).flatten(),
        state: row.state,
        result: row.result,
        stop: row.stop,
        stopped_by: row.stopped_by.map(Into::into),
        due_at: row.due_at,
        created_at: row.created_at,
        finished_at: row.finished_at,
    }
}

/// A run with its counts as the API shows it.
pub(crate) fn run_detail(detail: store::api::RunDetail, payload: Payload) -> RunDetail {
    RunDetail {
        run: run(detail.run, payload),
        items_waiting: detail.items_waiting,
        executions: detail.executions,
        executions_active: detail.executions_active,
        failures_unrouted: detail.failures_unrouted,
        executions_cancelled: detail.executions_cancelled,
        sub_runs: detail.sub_runs,
        sub_runs_running: detail.sub_runs_running,
        sub_runs_failed: detail.sub_runs_failed,
    }
}
