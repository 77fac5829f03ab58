-- The migrate function has built these two while functions went on (store/src/migrate/indexes.rs).
CREATE INDEX IF NOT EXISTS workflow_runs_expired ON workflow_runs (expired_at)
    WHERE expired_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS workflow_node_executions_redriven
    ON workflow_node_executions (redriven_event_id)
    WHERE redriven_event_id IS NOT NULL;

-- The sweeper deletes runs through a function that does nothing else. With DELETE on the tables it
-- could take away what is at work; the worst that it can do with this is to keep runs for a day.
-- A redrive locks an execution and then its run: whoever waits for the other here gives up soon.
CREATE FUNCTION delete_expired_run(for_run uuid, operators_days int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
DECLARE
    is_due boolean;
    deleted bigint;
BEGIN
    SELECT coalesce(run.state = 'finished' AND run.finished_at < now() - make_interval(
        days => least(o.retention_days, CASE WHEN operators_days < 1 THEN 1 ELSE operators_days END)),
        false)
    INTO is_due
    FROM public.workflow_runs run
    JOIN public.organizations o ON o.id = run.organization_id
    WHERE run.id = for_run AND run.parent_run_id IS NULL AND run.expired_at IS NOT NULL
    FOR UPDATE OF run SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF NOT is_due THEN
        -- It was redriven meanwhile, or its organization keeps runs for longer now.
        UPDATE public.workflow_runs SET expired_at = NULL WHERE id = for_run;
        RETURN NULL;
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
    GET DIAGNOSTICS deleted = ROW_COUNT;
    DELETE FROM public.workflow_events WHERE root_event_id = for_run;
    DELETE FROM public.workflow_runs WHERE id = for_run;
    RETURN deleted;
END $$;
COMMENT ON FUNCTION delete_expired_run(uuid, int) IS
    'Deletes an expired run with all that belongs to it; the number of its executions, or null where it is locked or is not to go.';
REVOKE ALL ON FUNCTION delete_expired_run(uuid, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_expired_run(uuid, int) TO sealflow_sweeper;

UPDATE schema_facts SET version = 38;
