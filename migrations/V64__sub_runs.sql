-- Runs have runs within them: an execution that owns sub-runs starts one for each part of its work.

LOCK TABLE workflow_nodes, workflow_node_executions, workflow_runs IN ACCESS EXCLUSIVE MODE;

-- An owner's row comes after those of its sub-runs.
ALTER TABLE workflow_runs
    ALTER CONSTRAINT workflow_runs_workflow_id_parent_execution_id_fkey
        DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE workflow_runs
    ADD COLUMN taken_at timestamptz,
    ADD COLUMN returned_event_id uuid;
COMMENT ON COLUMN workflow_runs.taken_at IS 'Of a sub-run: when its owner took its result.';
COMMENT ON COLUMN workflow_runs.returned_event_id IS 'Of a sub-run: the last event by which it returned to its owner.';
GRANT UPDATE (taken_at, returned_event_id) ON workflow_runs TO sealflow_builder;

CREATE OR REPLACE FUNCTION is_run(
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
        AND CASE WHEN parent_run_id IS NULL THEN
                root_event_id = id
                AND path = ARRAY[id]
                AND num_nonnulls(parent_execution_id, iteration) = 0
            ELSE
                parent_execution_id IS NOT NULL
                AND iteration >= 0
                AND cardinality(path) BETWEEN 2 AND 6
                AND path[1] = root_event_id
                AND path[cardinality(path) - 1] = parent_run_id
                AND path[cardinality(path)] = id
            END;
END $$;

-- The builder begins sub-runs through this function alone, which begins no run of a trigger. A
-- sub-run is of its parent's organization and workflow, and is stopped as its parent is.
CREATE FUNCTION begin_sub_runs(
    ids uuid[], parents uuid[], owners uuid[], node_ids text[], iterations int[], versions bigint[],
    at timestamptz)
RETURNS SETOF uuid LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO public.workflow_runs
        (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, parent_run_id,
         parent_execution_id, iteration, path, state, created_at, updated_at)
    SELECT t.id, p.organization_id, p.workflow_id, t.version, t.node_id, p.root_event_id, p.id,
        t.owner, t.iteration, p.path || t.id, 'running', at, at
    FROM unnest(ids, parents, owners, node_ids, iterations, versions)
        AS t (id, parent, owner, node_id, iteration, version)
    JOIN public.workflow_runs p ON p.id = t.parent AND p.state = 'running' AND p.stop IS NULL
    RETURNING workflow_runs.id
$$;
COMMENT ON FUNCTION begin_sub_runs IS 'Begins sub-runs of running runs; returns their ids.';
REVOKE ALL ON FUNCTION begin_sub_runs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION begin_sub_runs TO sealflow_builder;

CREATE OR REPLACE FUNCTION delete_expired_run(for_run uuid, operators_days int) RETURNS text
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
        OR EXISTS (SELECT FROM public.workflow_runs
                   WHERE root_event_id = for_run AND parent_run_id IS NOT NULL
                     AND state <> 'finished')
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
    DELETE FROM public.workflow_runs
    WHERE root_event_id = for_run AND parent_run_id IS NOT NULL;
    DELETE FROM public.workflow_runs WHERE id = for_run;
    RETURN 'deleted';
END $$;

UPDATE schema_facts SET version = 64;
