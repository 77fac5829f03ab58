-- By itself, for it takes as long as the table is large, and holds no lock that writers wait for.
ALTER TABLE workflow_node_executions
    VALIDATE CONSTRAINT workflow_node_executions_state_check,
    VALIDATE CONSTRAINT workflow_node_executions_result_check,
    VALIDATE CONSTRAINT workflow_node_executions_result_reason_check,
    VALIDATE CONSTRAINT workflow_node_executions_reason,
    VALIDATE CONSTRAINT workflow_node_executions_redriven,
    VALIDATE CONSTRAINT workflow_node_executions_finished,
    VALIDATE CONSTRAINT workflow_node_executions_lease,
    VALIDATE CONSTRAINT workflow_node_executions_held_check,
    VALIDATE CONSTRAINT workflow_node_executions_attempts,
    VALIDATE CONSTRAINT workflow_node_executions_counts;

UPDATE schema_facts SET version = 32;
