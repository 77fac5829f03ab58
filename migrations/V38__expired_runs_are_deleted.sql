-- The migrate function has built these two while functions went on (store/src/migrate/indexes.rs).
CREATE INDEX IF NOT EXISTS workflow_runs_expired ON workflow_runs (expired_at)
    WHERE expired_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS workflow_node_executions_redriven
    ON workflow_node_executions (redriven_event_id)
    WHERE redriven_event_id IS NOT NULL;

-- The days for which finished runs of an organization are kept; null: for ever. A deleted
-- organization has nobody left to set them, so its runs go after 90 days at most.
CREATE FUNCTION runs_kept_days(own_days int, operators_days int, deleted_at timestamptz)
RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT least(own_days, operators_days, CASE WHEN deleted_at IS NOT NULL THEN 90 END)
$$;
COMMENT ON FUNCTION runs_kept_days(int, int, timestamptz) IS
    'Days for which finished runs of an organization are kept; null: for ever.';
REVOKE ALL ON FUNCTION runs_kept_days(int, int, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION runs_kept_days(int, int, timestamptz) TO sealflow_sweeper;

-- The sweeper deletes runs through a function that does nothing else. With DELETE on the tables it
-- could take away what is at work. The function looks for itself: nothing of the run is open, and
-- the run began and ended before the days that its organization keeps runs. No role can change when
-- a run began. A role that was taken over can still say that the operator keeps runs for one day.
-- A redrive locks an execution and then its run: a wait for each other ends soon.
CREATE FUNCTION delete_expired_run(for_run uuid, operators_days int) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
    is_due boolean;
BEGIN
    SELECT coalesce(run.state = 'finished' AND greatest(run.created_at, run.finished_at)
        < now() - make_interval(hours => 24 * public.runs_kept_days(
            o.retention_days, CASE WHEN operators_days < 1 THEN 1 ELSE operators_days END,
            o.deleted_at)), false)
    INTO is_due
    FROM public.workflow_runs run
    JOIN public.organizations o ON o.id = run.organization_id
    WHERE run.id = for_run AND run.parent_run_id IS NULL AND run.expired_at IS NOT NULL
    FOR UPDATE OF run SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 'locked';
    END IF;
    IF NOT is_due
        OR EXISTS (SELECT FROM public.workflow_node_queue_items WHERE run_id = for_run)
        OR EXISTS (SELECT FROM public.workflow_node_executions
                   WHERE run_id = for_run AND state <> 'finished')
    THEN
        -- It was redriven meanwhile, or its organization keeps runs for longer now.
        UPDATE public.workflow_runs SET expired_at = NULL WHERE id = for_run;
        RETURN 'kept';
    END IF;
    DELETE FROM public.workflow_node_execution_kvs kv
    USING public.workflow_node_executions ex
    WHERE ex.root_event_id = for_run
      AND kv.workflow_id = ex.workflow_id AND kv.execution_id = ex.id;
    DELETE FROM public.workflow_execution_calls call
    USING public.workflow_node_executions ex
    WHERE ex.root_event_id = for_run
      AND call.workflow_id = ex.workflow_id AND call.execution_id = ex.id;
    DELETE FROM public.workflow_execution_wakes wake
    USING public.workflow_node_executions ex
    WHERE ex.root_event_id = for_run
      AND wake.workflow_id = ex.workflow_id AND wake.execution_id = ex.id;
    DELETE FROM public.workflow_run_marks WHERE root_event_id = for_run;
    -- Events point at executions too, until the end of the transaction.
    DELETE FROM public.workflow_node_executions WHERE root_event_id = for_run;
    DELETE FROM public.workflow_events WHERE root_event_id = for_run;
    DELETE FROM public.workflow_runs WHERE id = for_run;
    RETURN 'deleted';
END $$;
COMMENT ON FUNCTION delete_expired_run(uuid, int) IS
    'Deletes an expired run with all that belongs to it: deleted; kept, where it is not to go any more; locked, where a transaction holds it.';
REVOKE ALL ON FUNCTION delete_expired_run(uuid, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_expired_run(uuid, int) TO sealflow_sweeper;

UPDATE schema_facts SET version = 38;
