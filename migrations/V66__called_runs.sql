-- A run may start a run of another workflow and wait for its end.

LOCK TABLE workflows, workflow_runs IN ACCESS EXCLUSIVE MODE;
ALTER TABLE workflow_runs
    ADD COLUMN caller_execution_id uuid,
    ADD COLUMN call_depth integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN workflow_runs.caller_execution_id IS 'The execution of another run that started it, by the component run_workflow. taken_at: when it took the result.';
COMMENT ON COLUMN workflow_runs.call_depth IS 'The number of runs that called each other down to this one.';

ALTER TABLE workflows ADD COLUMN outputs jsonb CHECK (jsonb_typeof(outputs) = 'object');
COMMENT ON COLUMN workflows.outputs IS 'What a run gives to the execution that called it: templates by name; null: nothing.';
GRANT UPDATE (outputs) ON workflows TO sealflow_api;

-- As begin_scheduled_run. Who started the calling run has started the called one too.
CREATE FUNCTION begin_called_run(
    caller uuid, waits boolean, for_workflow uuid, trigger_node text, version_planned bigint,
    new_event uuid, event_type text, event_data jsonb, run_name text, target_ids text[],
    item_ids uuid[], at timestamptz)
RETURNS TABLE (outcome text, first_event_id uuid, due_seconds float8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    of_organization uuid;
    of_hops int;
    of_depth int;
    of_starter uuid;
BEGIN
    SELECT run.organization_id, root.hops, top.call_depth + 1, top.started_by
    INTO of_organization, of_hops, of_depth, of_starter
    FROM public.workflow_node_executions x
    JOIN public.workflow_runs run ON run.id = x.run_id
    JOIN public.workflow_runs top ON top.id = run.root_event_id
    JOIN public.workflow_events root ON root.id = run.root_event_id
    WHERE x.id = caller AND x.state = 'held' AND x.component = 'run_workflow'
      AND run.state = 'running' AND run.stop IS NULL;
    IF NOT FOUND
        OR EXISTS (SELECT FROM public.workflow_runs WHERE caller_execution_id = caller)
        OR NOT EXISTS (
            SELECT FROM public.workflows w CROSS JOIN jsonb_array_elements(w.nodes) AS n (node)
            WHERE w.id = for_workflow AND node ->> 'id' = trigger_node
              AND node ->> 'trigger' = 'start')
    THEN
        RETURN QUERY SELECT 'outdated', NULL::uuid, NULL::float8;
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM public.begin_run(
        of_organization, for_workflow, version_planned, trigger_node, new_event, 'default',
        event_type, event_data, run_name, of_hops, target_ids, item_ids, at, NULL, NULL, NULL, NULL);
    UPDATE public.workflow_runs
    SET caller_execution_id = caller, call_depth = of_depth, started_by = of_starter,
        taken_at = CASE WHEN NOT waits THEN at END
    WHERE id = new_event;
END $$;
COMMENT ON FUNCTION begin_called_run IS
    'As begin_run, once for an open execution of the component run_workflow, at a trigger of the type start. The organization is that of the caller, and its calls from sealflow to sealflow are counted on.';
REVOKE ALL ON FUNCTION begin_called_run FROM PUBLIC;
GRANT EXECUTE ON FUNCTION begin_called_run TO sealflow_builder;

-- An event that can't return to its owner fails within the sub-run: the edges that leave the owner are outside.
CREATE OR REPLACE FUNCTION route_error() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    error_id uuid := public.derived_id(NEW.id, 'error');
    node_name text;
    taken_by text[];
BEGIN
    SELECT n.name, array_agg(target.node_id ORDER BY edge.nth) INTO node_name, taken_by
    FROM public.workflow_runs run
    JOIN public.workflows w ON w.id = run.workflow_id AND w.deleted_at IS NULL
    JOIN public.organizations o ON o.id = run.organization_id AND o.deleted_at IS NULL
    JOIN public.workflow_nodes n ON n.workflow_id = w.id AND n.node_id = NEW.node_id AND n.deleted_at IS NULL
        AND n.generation = coalesce(NEW.node_generation, n.generation)
    CROSS JOIN LATERAL jsonb_array_elements(w.edges) WITH ORDINALITY AS edge (value, nth)
    JOIN public.workflow_nodes target ON target.workflow_id = w.id AND target.node_id = edge.value ->> 'to' AND NOT target.items_full
    JOIN public.workflow_events parent ON parent.id = NEW.event_id AND parent.depth <= 1000
    WHERE run.id = NEW.run_id AND run.stop IS NULL AND (run.parent_run_id IS NULL OR run.node_id <> NEW.node_id)
        AND edge.value ->> 'from' = NEW.node_id AND edge.value ->> 'channel' = 'error'
    GROUP BY n.name;
    IF NOT FOUND THEN
        RETURN NEW;
    END IF;
    INSERT INTO public.workflow_events (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, targets, depth, execution_id,
        redactions, created_at)
    SELECT error_id, NEW.workflow_id, NEW.node_id, NEW.root_event_id, NEW.run_id, 'error', NEW.component || '.error',
        jsonb_build_object('reason', NEW.result_reason, 'message', coalesce(NEW.result_message, ''), 'node', node_name), taken_by,
        parent.depth + 1, NEW.id,
        -- The mark that a text was scrubbed goes along: no field that may hold a secret takes it.
        CASE WHEN NEW.metadata @> '{"message_scrubbed": true}' THEN '{"scrubbed": ["/message"]}'::jsonb END, NEW.finished_at
    FROM public.workflow_events parent WHERE parent.id = NEW.event_id;
    INSERT INTO public.workflow_node_queue_items (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation, concurrency_key,
        created_at, last_sent_at)
    SELECT public.derived_id(NEW.id, 'error to ' || n.node_id), NEW.workflow_id, n.node_id, NEW.root_event_id, NEW.run_id, error_id,
        n.generation, CASE WHEN n.concurrency_key IS NULL THEN '' END, NEW.finished_at, NEW.finished_at
    FROM public.workflow_nodes n WHERE n.workflow_id = NEW.workflow_id AND n.node_id = ANY(taken_by);
    NEW.failure_routed := true;
    RETURN NEW;
END $$;

UPDATE schema_facts SET version = 66;
