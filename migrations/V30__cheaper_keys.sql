-- As V27.

-- Functions lock a node before its rows, and so does this: nobody waits here who holds what we wait for.
LOCK TABLE workflow_nodes IN ACCESS EXCLUSIVE MODE;
ALTER TABLE workflow_node_execution_kvs DROP CONSTRAINT workflow_node_execution_kvs_workflow_id_node_id_fkey;

UPDATE schema_facts SET version = 30;
