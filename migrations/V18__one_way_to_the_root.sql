-- Last step: a column that is checked needs no scan to be NOT NULL, and a row needs no second way to its root event.

ALTER TABLE workflow_events ALTER COLUMN run_id SET NOT NULL, DROP CONSTRAINT workflow_events_has_run,
    DROP CONSTRAINT workflow_events_workflow_id_root_event_id_fkey;
ALTER TABLE workflow_node_queue_items ALTER COLUMN run_id SET NOT NULL, DROP CONSTRAINT workflow_node_queue_items_has_run,
    DROP CONSTRAINT workflow_node_queue_items_workflow_id_root_event_id_fkey;
ALTER TABLE workflow_node_executions ALTER COLUMN run_id SET NOT NULL, DROP CONSTRAINT workflow_node_executions_has_run,
    DROP CONSTRAINT workflow_node_executions_workflow_id_root_event_id_fkey;

UPDATE schema_facts SET version = 18;
