-- A failure that the channel `failure` does not take leaves on `error`, if an edge does: whatever code ends the execution.

CREATE FUNCTION derived_id(id uuid, part text) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT encode(
        substring(uuid_send($1) FOR 8)
        || set_byte(substring(hash FOR 8), 0, (get_byte(hash, 0) & 63) | 128), 'hex')::uuid
    FROM sha256(uuid_send($1) || convert_to($2, 'UTF8')) AS made (hash)
$$;
COMMENT ON FUNCTION derived_id IS 'An id for what is made of a row in the database: the time of the row''s own UUIDv7, and a hash.';

CREATE FUNCTION route_error() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
    WHERE run.id = NEW.run_id AND run.stop IS NULL AND edge.value ->> 'from' = NEW.node_id AND edge.value ->> 'channel' = 'error'
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
COMMENT ON FUNCTION route_error IS
    'Of an execution that fails: where an edge leaves its node on error, an event with the reason, routed to the edges'' nodes that are not full.';
REVOKE ALL ON FUNCTION route_error() FROM PUBLIC;

-- Triggers of a table go by their names: these come after those that refuse a change and that give the run. A redrive writes into what is
-- finished, and routes nothing.
CREATE TRIGGER workflow_node_executions_take_error BEFORE INSERT ON workflow_node_executions FOR EACH ROW
    WHEN (NEW.result = 'failed' AND NOT NEW.failure_routed AND NEW.result_reason <> 'run_limit')
    EXECUTE FUNCTION route_error();
CREATE TRIGGER workflow_node_executions_take_late_error BEFORE UPDATE ON workflow_node_executions FOR EACH ROW
    WHEN (OLD.state <> 'finished' AND NEW.result = 'failed' AND NOT NEW.failure_routed AND NEW.result_reason <> 'run_limit')
    EXECUTE FUNCTION route_error();

UPDATE schema_facts SET version = 20;
