-- As V45.
ALTER TABLE workflow_node_queue_items
    VALIDATE CONSTRAINT workflow_node_queue_items_check,
    VALIDATE CONSTRAINT workflow_node_queue_items_of_event;

UPDATE schema_facts SET version = 47;
