-- The migrate function has built this one while functions went on (store/src/migrate/indexes.rs).
-- It takes the place of two: slots in use are counted by node, and by concurrency key.
CREATE INDEX IF NOT EXISTS workflow_node_executions_unfinished
    ON workflow_node_executions (workflow_id, node_id, concurrency_key) WHERE state <> 'finished';

-- As V39.
CREATE FUNCTION is_execution(
    state text, result text, result_reason text, attempt int, key_attempt int, crashes int,
    sent_count int, concurrency_key text, residuals jsonb, lease_token uuid,
    lease_until timestamptz, held jsonb, wake_at timestamptz, woken_until timestamptz,
    redriven_event_id uuid, finished_at timestamptz)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN
        state = ANY ('{pending,started,held,cancelling,finished}'::text[])
        AND result = ANY ('{passed,failed,cancelled}'::text[])
        AND result_reason = ANY (
            '{template_error,redacted,secret_missing,secret_denied,component_error,timeout,
              limit,run_limit,cancelled,node_removed,crashed,undeliverable}'::text[])
        AND (result_reason IS NULL OR result <> 'passed')
        AND (state = 'finished') = (result IS NOT NULL)
        AND (result IS NULL) = (finished_at IS NULL)
        AND least(attempt, key_attempt) >= 1
        AND greatest(attempt, key_attempt) <= 30
        AND least(crashes, sent_count) >= 0
        AND octet_length(concurrency_key) <= 1024
        AND jsonb_typeof(residuals) = 'array'
        AND (lease_token IS NOT NULL) = (state = ANY ('{started,cancelling}'::text[]))
        AND (lease_token IS NULL) = (lease_until IS NULL)
        AND (held IS NOT NULL) = (state = 'held')
        AND (held IS NOT NULL OR coalesce(wake_at, woken_until) IS NULL)
        AND (redriven_event_id IS NULL OR coalesce(result, 'passed') = 'failed');
END $$;
COMMENT ON FUNCTION is_execution IS
    'What holds for each row of workflow_node_executions: not false, as for a CHECK.';
REVOKE ALL ON FUNCTION is_execution FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_execution
    TO sealflow_api, sealflow_webhook, sealflow_builder, sealflow_executor, sealflow_sweeper;

-- One foreign key for run and event, as V41.
-- Functions lock a node before its rows, and so does this. One that holds rows and then reads a node
-- is told of the circle after a second, and tries again.
LOCK TABLE workflow_nodes IN ACCESS EXCLUSIVE MODE;
ALTER TABLE workflow_node_executions
    DROP CONSTRAINT workflow_node_executions_of_run,
    DROP CONSTRAINT workflow_node_executions_workflow_id_event_id_fkey,
    DROP CONSTRAINT workflow_node_executions_workflow_id_redriven_event_id_fkey,
    ADD CONSTRAINT workflow_node_executions_of_event
        FOREIGN KEY (workflow_id, event_id, run_id, root_event_id)
        REFERENCES workflow_events (workflow_id, id, run_id, root_event_id) NOT VALID,
    ADD CONSTRAINT workflow_node_executions_of_redrive
        FOREIGN KEY (workflow_id, redriven_event_id, run_id, root_event_id)
        REFERENCES workflow_events (workflow_id, id, run_id, root_event_id) NOT VALID,
    DROP CONSTRAINT workflow_node_executions_state_check,
    DROP CONSTRAINT workflow_node_executions_result_check,
    DROP CONSTRAINT workflow_node_executions_result_reason_check,
    DROP CONSTRAINT workflow_node_executions_reason,
    DROP CONSTRAINT workflow_node_executions_finished,
    DROP CONSTRAINT workflow_node_executions_attempts,
    DROP CONSTRAINT workflow_node_executions_counts,
    DROP CONSTRAINT workflow_node_executions_concurrency_key_check,
    DROP CONSTRAINT workflow_node_executions_residuals_check,
    DROP CONSTRAINT workflow_node_executions_lease,
    DROP CONSTRAINT workflow_node_executions_held_check,
    DROP CONSTRAINT workflow_node_executions_redriven,
    ADD CONSTRAINT workflow_node_executions_check CHECK (is_execution(
        state, result, result_reason, attempt, key_attempt, crashes, sent_count, concurrency_key,
        residuals, lease_token, lease_until, held, wake_at, woken_until, redriven_event_id,
        finished_at)) NOT VALID,
    SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
DROP INDEX workflow_node_executions_active, workflow_node_executions_active_keys;

UPDATE schema_facts SET version = 42;
