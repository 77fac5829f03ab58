-- As V32.
ALTER TABLE workflow_node_queue_items VALIDATE CONSTRAINT workflow_node_queue_items_counts;

UPDATE schema_facts SET version = 33;
