//! Ways back to schemas of before, for tests of migrations.

/// The state before V13, as far as it can be had back.
pub const BEFORE_V13: &str = "
    DROP TRIGGER workflow_events_run ON workflow_events;
    DROP TRIGGER workflow_node_queue_items_run ON workflow_node_queue_items;
    DROP TRIGGER workflow_node_executions_run ON workflow_node_executions;
    DROP TRIGGER workflow_run_marks_stop ON workflow_run_marks;
    ALTER TABLE workflow_events DROP COLUMN run_id,
        ADD FOREIGN KEY (workflow_id, root_event_id) REFERENCES workflow_events (workflow_id, id);
    ALTER TABLE workflow_node_queue_items DROP COLUMN run_id,
        ADD FOREIGN KEY (workflow_id, root_event_id) REFERENCES workflow_events (workflow_id, id);
    ALTER TABLE workflow_node_executions DROP COLUMN run_id, DROP COLUMN failure_routed,
        ADD FOREIGN KEY (workflow_id, root_event_id) REFERENCES workflow_events (workflow_id, id);
    DROP TABLE workflow_runs;
    DROP FUNCTION give_run, stop_marked_run, mark_stopped_run;
    ALTER TABLE workflows DROP COLUMN timeout_seconds, DROP CONSTRAINT workflows_tenant;
    CREATE INDEX workflows_organization ON workflows (organization_id, id);
    UPDATE schema_facts SET version = 12;
    DELETE FROM refinery_schema_history WHERE version >= 13;";
