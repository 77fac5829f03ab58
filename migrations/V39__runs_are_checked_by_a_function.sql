-- A statement that writes reads the text of each CHECK of its table once, whatever it writes, and
-- prepares it. That was a tenth of the database's work for a run, so one function holds what the
-- CHECKs of a table say. A session reads it once.
CREATE FUNCTION is_run(
    id uuid, root_event_id uuid, parent_run_id uuid, parent_execution_id uuid, iteration int,
    path uuid[], state text, result text, stop text, stopped_by text, finished_at timestamptz)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN
        state = ANY ('{running,finished}'::text[])
        AND result = ANY ('{passed,failed,cancelled}'::text[])
        AND stop = ANY ('{cancelled,run_limit,timeout,owner}'::text[])
        AND (state = 'finished') = (result IS NOT NULL)
        AND (result IS NULL) = (finished_at IS NULL)
        AND (stop IS NULL) = (stopped_by IS NULL)
        -- No run has runs within it yet: the migration that brings them says what their rows are.
        AND root_event_id = id
        AND path = ARRAY[id]
        AND num_nonnulls(parent_run_id, parent_execution_id, iteration) = 0;
END $$;
COMMENT ON FUNCTION is_run IS
    'What holds for each row of workflow_runs: not false, as for a CHECK.';
REVOKE ALL ON FUNCTION is_run FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_run
    TO sealflow_api, sealflow_webhook, sealflow_builder, sealflow_executor, sealflow_sweeper;

-- The foreign key to the workflow is gone: a workflow's row is never deleted, a run begins with the
-- ids of the row that its transaction has read, and each intake of a workflow put a lock on that
-- one row.
-- Functions lock a workflow, then a node, then its rows, and so does this. One that holds rows and then reads a node
-- is told of the circle after a second, and tries again.
LOCK TABLE workflows, workflow_nodes IN ACCESS EXCLUSIVE MODE;
ALTER TABLE workflow_runs
    DROP CONSTRAINT workflow_runs_organization_id_workflow_id_fkey,
    DROP CONSTRAINT workflow_runs_state_check,
    DROP CONSTRAINT workflow_runs_result_check,
    DROP CONSTRAINT workflow_runs_stop_check,
    DROP CONSTRAINT workflow_runs_finished,
    DROP CONSTRAINT workflow_runs_stop,
    DROP CONSTRAINT workflow_runs_top,
    ADD CONSTRAINT workflow_runs_check CHECK (is_run(
        id, root_event_id, parent_run_id, parent_execution_id, iteration,
        path, state, result, stop, stopped_by, finished_at)) NOT VALID,
    SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

UPDATE schema_facts SET version = 39;
