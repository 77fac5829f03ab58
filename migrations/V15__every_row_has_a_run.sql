-- New rows are checked. What was there before is checked by V16 and V17, which hold no lock that writers wait for.

-- The migrate function has built them already, while others wrote.
CREATE INDEX IF NOT EXISTS workflow_node_executions_open_run ON workflow_node_executions (run_id) WHERE state <> 'finished';
CREATE INDEX IF NOT EXISTS workflow_node_executions_not_passed ON workflow_node_executions (run_id) WHERE result IN ('failed', 'cancelled');
CREATE INDEX IF NOT EXISTS workflow_node_queue_items_of_run ON workflow_node_queue_items (run_id);
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE NOT indisvalid AND indexrelid IN ('workflow_node_executions_open_run'::regclass,
        'workflow_node_executions_not_passed'::regclass, 'workflow_node_queue_items_of_run'::regclass)) THEN
        RAISE EXCEPTION 'an index of runs was not built to its end: drop it and migrate again';
    END IF;
END
$$;

ALTER TABLE workflow_events
    ADD CONSTRAINT workflow_events_of_run FOREIGN KEY (workflow_id, root_event_id, run_id)
        REFERENCES workflow_runs (workflow_id, root_event_id, id) NOT VALID,
    ADD CONSTRAINT workflow_events_has_run CHECK (run_id IS NOT NULL) NOT VALID;
ALTER TABLE workflow_node_queue_items
    ADD CONSTRAINT workflow_node_queue_items_of_run FOREIGN KEY (workflow_id, root_event_id, run_id)
        REFERENCES workflow_runs (workflow_id, root_event_id, id) NOT VALID,
    ADD CONSTRAINT workflow_node_queue_items_has_run CHECK (run_id IS NOT NULL) NOT VALID;
ALTER TABLE workflow_node_executions
    ADD CONSTRAINT workflow_node_executions_of_run FOREIGN KEY (workflow_id, root_event_id, run_id)
        REFERENCES workflow_runs (workflow_id, root_event_id, id) NOT VALID,
    ADD CONSTRAINT workflow_node_executions_has_run CHECK (run_id IS NOT NULL) NOT VALID;

UPDATE schema_facts SET version = 15;
