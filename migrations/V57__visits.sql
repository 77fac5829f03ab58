-- A node may have only so many visits in a run.
CREATE TABLE workflow_run_visits (
    workflow_id uuid NOT NULL,
    run_id uuid NOT NULL,
    root_event_id uuid NOT NULL,
    node_id text NOT NULL,
    visits integer NOT NULL CHECK (visits >= 1),
    PRIMARY KEY (run_id, node_id),
    FOREIGN KEY (workflow_id, run_id, root_event_id)
        REFERENCES workflow_runs (workflow_id, id, root_event_id) ON DELETE CASCADE
);
COMMENT ON TABLE workflow_run_visits IS 'The visits of nodes that have a limit of them.';
COMMENT ON COLUMN workflow_run_visits.workflow_id IS 'The workflow.';
COMMENT ON COLUMN workflow_run_visits.run_id IS 'The run.';
COMMENT ON COLUMN workflow_run_visits.root_event_id IS 'The root event of the top run.';
COMMENT ON COLUMN workflow_run_visits.node_id IS 'The node.';
COMMENT ON COLUMN workflow_run_visits.visits IS 'The executions that the node has had in the run; those that the limit refused are not among them.';
GRANT SELECT, INSERT, UPDATE (visits) ON workflow_run_visits TO sealflow_builder;

UPDATE schema_facts SET version = 57;
