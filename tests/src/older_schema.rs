//! Ways back to schemas of before, for tests of migrations.

/// SQL that takes the newest schema back to the state before V27.
pub const BEFORE_V27: &str = "
    ALTER TABLE workflow_runs DROP CONSTRAINT workflow_runs_check,
        ADD CONSTRAINT workflow_runs_state_check CHECK (true), ADD CONSTRAINT workflow_runs_result_check CHECK (true),
        ADD CONSTRAINT workflow_runs_stop_check CHECK (true), ADD CONSTRAINT workflow_runs_finished CHECK (true),
        ADD CONSTRAINT workflow_runs_stop CHECK (true), ADD CONSTRAINT workflow_runs_top CHECK (true),
        ADD FOREIGN KEY (organization_id, workflow_id) REFERENCES workflows (organization_id, id);
    ALTER TABLE workflow_events DROP CONSTRAINT workflow_events_check,
        ADD CONSTRAINT workflow_events_workflow_id_id_key UNIQUE (workflow_id, id),
        ADD CONSTRAINT workflow_events_channel_check CHECK (true), ADD CONSTRAINT workflow_events_type_check CHECK (true),
        ADD CONSTRAINT workflow_events_custom_name_check CHECK (true), ADD CONSTRAINT workflow_events_depth_check CHECK (true),
        ADD CONSTRAINT workflow_events_hops_check CHECK (true), ADD CONSTRAINT workflow_events_redactions_check CHECK (true),
        ADD CONSTRAINT workflow_events_root CHECK (true);
    ALTER TABLE workflow_run_marks DROP CONSTRAINT workflow_run_marks_of_run,
        ADD FOREIGN KEY (workflow_id, root_event_id) REFERENCES workflow_events (workflow_id, id);
    ALTER TABLE workflow_node_queue_items DROP CONSTRAINT workflow_node_queue_items_check,
        DROP CONSTRAINT workflow_node_queue_items_of_event,
        ADD FOREIGN KEY (workflow_id, event_id) REFERENCES workflow_events (workflow_id, id),
        ADD CONSTRAINT workflow_node_queue_items_of_run FOREIGN KEY (workflow_id, root_event_id, run_id)
            REFERENCES workflow_runs (workflow_id, root_event_id, id),
        ADD CONSTRAINT workflow_node_queue_items_concurrency_key_check CHECK (true);
    ALTER TABLE workflow_node_executions DROP CONSTRAINT workflow_node_executions_check,
        DROP CONSTRAINT workflow_node_executions_of_event, DROP CONSTRAINT workflow_node_executions_of_redrive,
        ADD FOREIGN KEY (workflow_id, event_id) REFERENCES workflow_events (workflow_id, id),
        ADD FOREIGN KEY (workflow_id, redriven_event_id) REFERENCES workflow_events (workflow_id, id),
        ADD CONSTRAINT workflow_node_executions_of_run FOREIGN KEY (workflow_id, root_event_id, run_id)
            REFERENCES workflow_runs (workflow_id, root_event_id, id),
        ADD CONSTRAINT workflow_node_executions_state_check CHECK (true),
        ADD CONSTRAINT workflow_node_executions_result_check CHECK (true),
        ADD CONSTRAINT workflow_node_executions_result_reason_check CHECK (true),
        ADD CONSTRAINT workflow_node_executions_reason CHECK (true),
        ADD CONSTRAINT workflow_node_executions_finished CHECK (true),
        ADD CONSTRAINT workflow_node_executions_concurrency_key_check CHECK (true),
        ADD CONSTRAINT workflow_node_executions_residuals_check CHECK (true),
        ADD CONSTRAINT workflow_node_executions_lease CHECK (true),
        ADD CONSTRAINT workflow_node_executions_held_check CHECK (held IS NULL OR true),
        ADD CONSTRAINT workflow_node_executions_redriven CHECK (true);
    ALTER TABLE webhook_deduplications ADD FOREIGN KEY (webhook_id) REFERENCES webhooks (id);
    CREATE INDEX workflow_node_executions_active ON workflow_node_executions (workflow_id, node_id) WHERE state <> 'finished';
    CREATE INDEX workflow_node_executions_active_keys ON workflow_node_executions (workflow_id, node_id, concurrency_key)
        WHERE state <> 'finished' AND concurrency_key IS NOT NULL;
    DROP FUNCTION begin_called_run;
    DROP INDEX workflow_runs_caller, workflow_runs_untold;
    ALTER TABLE workflow_runs DROP COLUMN caller_execution_id, DROP COLUMN call_depth;
    ALTER TABLE workflows DROP COLUMN outputs;
    DROP FUNCTION begin_sub_runs;
    DROP INDEX workflow_runs_untaken, workflow_runs_of_root;
    ALTER TABLE workflow_runs DROP COLUMN taken_at, DROP COLUMN returned_event_id;
    DROP TABLE blueprints;
    DROP INDEX workflow_nodes_blueprints;
    ALTER TABLE workflows DROP COLUMN applied_edges;
    ALTER TABLE workflow_versions DROP COLUMN applied_edges;
    DROP TABLE execution_joins;
    DROP FUNCTION cause_joins, start_run, take_callback;
    DROP INDEX workflow_execution_calls_callbacks;
    DROP INDEX workflow_node_executions_joins;
    ALTER TABLE workflow_nodes DROP COLUMN merges;
    ALTER TABLE workflow_runs DROP COLUMN started_by;
    DROP INDEX workflow_node_executions_approvals, workflow_execution_calls_votes;
    ALTER TABLE workflow_execution_calls DROP COLUMN data, DROP COLUMN voter;
    DROP TRIGGER workflow_runs_failed ON workflow_runs;
    DROP FUNCTION end_audit_lines, begin_scheduled_run, begin_error_run, note_failed_run, has_error_handler;
    DROP TABLE audit_log, workflow_node_turns, workflow_run_visits, schedules, error_handlers, failed_runs;
    DROP INDEX api_tokens_made_by;
    ALTER TABLE api_tokens DROP COLUMN kind, DROP COLUMN role, DROP COLUMN grants, DROP COLUMN made_by, DROP COLUMN used_at,
        DROP COLUMN throttled;
    ALTER TABLE organizations DROP COLUMN suspended_at, DROP COLUMN requests_per_second_max;
    ALTER TABLE workflow_nodes DROP COLUMN rate_per_second, DROP COLUMN rate_burst;
    ALTER TABLE workflow_node_executions DROP COLUMN turn_attempt;
    DROP TABLE webhook_deliveries;
    DROP FUNCTION forget_secret_refs_after, oldest_transaction_seconds;
    DROP INDEX workflow_node_executions_tried, workflow_nodes_renewed, workflow_events_with_run, workflow_node_executions_unfinished;
    DROP FUNCTION is_run, is_event, is_queue_item, is_execution;
    DROP FUNCTION delete_expired_run, runs_kept_days;
    DROP INDEX workflow_node_executions_redriven;
    ALTER TABLE workflow_runs DROP COLUMN expired_at;
    ALTER TABLE organizations DROP COLUMN retention_days;
    ALTER TABLE workflow_node_executions
        ADD CONSTRAINT workflow_node_executions_attempt_check CHECK (attempt BETWEEN 1 AND 30),
        ADD CONSTRAINT workflow_node_executions_key_attempt_check CHECK (key_attempt BETWEEN 1 AND 30),
        ADD CONSTRAINT workflow_node_executions_crashes_check CHECK (crashes >= 0),
        ADD CONSTRAINT workflow_node_executions_sent_count_check CHECK (sent_count >= 0),
        ADD FOREIGN KEY (workflow_id, node_id) REFERENCES workflow_nodes (workflow_id, node_id);
    ALTER TABLE workflow_node_queue_items
        ADD CONSTRAINT workflow_node_queue_items_crashes_check CHECK (crashes >= 0),
        ADD CONSTRAINT workflow_node_queue_items_sent_count_check CHECK (sent_count >= 0),
        ADD FOREIGN KEY (workflow_id, node_id) REFERENCES workflow_nodes (workflow_id, node_id);
    ALTER TABLE workflow_events
        ADD FOREIGN KEY (workflow_id, node_id) REFERENCES workflow_nodes (workflow_id, node_id);
    ALTER TABLE workflow_node_execution_kvs
        ADD FOREIGN KEY (workflow_id, node_id) REFERENCES workflow_nodes (workflow_id, node_id);
    ALTER TABLE workflow_runs
        ADD CONSTRAINT workflow_runs_check CHECK (cardinality(path) >= 1),
        ADD CONSTRAINT workflow_runs_iteration CHECK (true),
        ADD CONSTRAINT workflow_runs_iteration_check CHECK (true),
        ADD CONSTRAINT workflow_runs_name_check CHECK (true);
    UPDATE schema_facts SET version = 26;
    DELETE FROM refinery_schema_history WHERE version >= 27;";

/// SQL that takes the state before V27 back to the state before V13, as far as that is possible.
pub const BEFORE_V13: &str = "
    DROP TRIGGER workflow_node_executions_builder ON workflow_node_executions;
    DROP TABLE workflow_execution_wakes, workflow_execution_calls;
    ALTER TABLE workflow_node_executions DROP COLUMN held, DROP COLUMN wake_at, DROP COLUMN woken_until;
    ALTER TABLE workflows DROP COLUMN held_full;
    DROP TRIGGER workflow_node_executions_take_error ON workflow_node_executions;
    DROP TRIGGER workflow_node_executions_take_late_error ON workflow_node_executions;
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
    DROP FUNCTION refuse_what_is_not_held, begin_run, route_error, derived_id, give_run, stop_marked_run, mark_stopped_run;
    ALTER TABLE workflows DROP COLUMN timeout_seconds, DROP CONSTRAINT workflows_tenant;
    CREATE INDEX workflows_organization ON workflows (organization_id, id);
    CREATE INDEX workflow_events_roots ON workflow_events (workflow_id, id) WHERE execution_id IS NULL;
    CREATE INDEX workflow_node_queue_items_run ON workflow_node_queue_items (root_event_id);
    UPDATE schema_facts SET version = 12;
    DELETE FROM refinery_schema_history WHERE version >= 13;";
