-- As V27.

-- Functions lock a node before its rows, and so does this: nobody waits here who holds what we wait for.
LOCK TABLE workflow_nodes IN ACCESS EXCLUSIVE MODE;
ALTER TABLE workflow_node_queue_items DROP CONSTRAINT workflow_node_queue_items_workflow_id_node_id_fkey;
ALTER TABLE workflow_node_queue_items
    DROP CONSTRAINT workflow_node_queue_items_crashes_check,
    DROP CONSTRAINT workflow_node_queue_items_sent_count_check,
    ADD CONSTRAINT workflow_node_queue_items_counts CHECK (least(crashes, sent_count) >= 0) NOT VALID;

UPDATE schema_facts SET version = 28;
