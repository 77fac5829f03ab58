-- By itself, for it takes as long as the table is large, and holds no lock that writers wait for.
ALTER TABLE workflow_node_executions
    VALIDATE CONSTRAINT workflow_node_executions_state_check, VALIDATE CONSTRAINT workflow_node_executions_held_check;

UPDATE schema_facts SET version = 24;
