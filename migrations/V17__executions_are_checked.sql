ALTER TABLE workflow_node_queue_items
    VALIDATE CONSTRAINT workflow_node_queue_items_of_run, VALIDATE CONSTRAINT workflow_node_queue_items_has_run;
ALTER TABLE workflow_node_executions
    VALIDATE CONSTRAINT workflow_node_executions_of_run, VALIDATE CONSTRAINT workflow_node_executions_has_run;

UPDATE schema_facts SET version = 17;
