-- As V45.
ALTER TABLE workflow_node_executions
    VALIDATE CONSTRAINT workflow_node_executions_of_event;

UPDATE schema_facts SET version = 49;
