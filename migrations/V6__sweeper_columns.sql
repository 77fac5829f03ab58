-- The sweeper ends items as finished executions. None that could be claimed with secrets: no residuals, no policy. And it takes no lease.

REVOKE INSERT ON workflow_node_executions FROM sealflow_sweeper;
GRANT INSERT (id, workflow_id, node_id, root_event_id, event_id, previous_execution_id, state, result, result_reason, result_message,
    component, configuration, workflow_version, node_version, last_sent_at, created_at, updated_at, started_at, finished_at)
    ON workflow_node_executions TO sealflow_sweeper;
REVOKE UPDATE (lease_token, lease_until) ON workflow_node_executions FROM sealflow_sweeper;
