-- Runs are rows: what of a run was counted from its executions each time stands in a row that can be locked, filtered and asked.
-- Functions that know nothing of it go on beside it. Rows that were there before get theirs between V14 and V15
-- (`store/src/migrate/runs.rs`).

CREATE TABLE workflow_runs (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    workflow_version bigint NOT NULL,
    node_id text NOT NULL,
    root_event_id uuid NOT NULL,
    parent_run_id uuid,
    parent_execution_id uuid,
    iteration integer CHECK (iteration >= 0),
    path uuid[] NOT NULL CHECK (cardinality(path) BETWEEN 1 AND 7 AND path[1] = root_event_id AND path[cardinality(path)] = id),
    name text CHECK (char_length(name) <= 256),
    state text NOT NULL CHECK (state IN ('running', 'finished')),
    result text CHECK (result IN ('passed', 'failed', 'cancelled')),
    stop text CHECK (stop IN ('cancelled', 'run_limit', 'timeout', 'owner')),
    stopped_by text,
    due_at timestamptz,
    looked_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz,
    UNIQUE (workflow_id, id, root_event_id),
    FOREIGN KEY (organization_id, workflow_id) REFERENCES workflows (organization_id, id),
    FOREIGN KEY (workflow_id, root_event_id, parent_run_id) REFERENCES workflow_runs (workflow_id, root_event_id, id),
    FOREIGN KEY (workflow_id, parent_execution_id) REFERENCES workflow_node_executions (workflow_id, id),
    CONSTRAINT workflow_runs_top CHECK ((parent_run_id IS NULL) = (root_event_id = id) AND (parent_run_id IS NULL) = (parent_execution_id IS NULL)),
    CONSTRAINT workflow_runs_iteration CHECK ((parent_execution_id IS NULL) = (iteration IS NULL)),
    CONSTRAINT workflow_runs_finished CHECK ((state = 'finished') = (result IS NOT NULL) AND (state = 'finished') = (finished_at IS NOT NULL)),
    CONSTRAINT workflow_runs_stop CHECK ((stop IS NULL) = (stopped_by IS NULL))
);
COMMENT ON TABLE workflow_runs IS 'A run: what began with one event of a trigger, or with one turn of an execution that owns it.';
COMMENT ON COLUMN workflow_runs.id IS 'The id of its root event; of a sub-run a UUIDv7 of its own.';
COMMENT ON COLUMN workflow_runs.organization_id IS 'The tenant; lists read this table alone.';
COMMENT ON COLUMN workflow_runs.workflow_id IS 'The workflow.';
COMMENT ON COLUMN workflow_runs.workflow_version IS 'workflows.version when it began.';
COMMENT ON COLUMN workflow_runs.node_id IS 'The trigger node; of a sub-run the node of its owner.';
COMMENT ON COLUMN workflow_runs.root_event_id IS 'The root event of the top run.';
COMMENT ON COLUMN workflow_runs.parent_run_id IS 'The run that it is a part of; null: it is a top run.';
COMMENT ON COLUMN workflow_runs.parent_execution_id IS 'Its owner: the execution whose sub-run it is.';
COMMENT ON COLUMN workflow_runs.iteration IS 'Which of its owner''s sub-runs it is.';
COMMENT ON COLUMN workflow_runs.path IS 'The ids of its ancestors, the top run first, and its own.';
COMMENT ON COLUMN workflow_runs.name IS 'What run_name came to.';
COMMENT ON COLUMN workflow_runs.state IS 'finished: it has no queue item and no unfinished execution.';
COMMENT ON COLUMN workflow_runs.result IS 'How it ended.';
COMMENT ON COLUMN workflow_runs.stop IS 'Why it is to end: nothing new of it starts.';
COMMENT ON COLUMN workflow_runs.stopped_by IS 'The token, user or function that stopped it.';
COMMENT ON COLUMN workflow_runs.due_at IS 'When its time-out stops it, by the database''s clock; null: never.';
COMMENT ON COLUMN workflow_runs.looked_at IS 'When the sweeper last looked whether it has ended; null: never.';
COMMENT ON COLUMN workflow_runs.created_at IS 'When it began.';
COMMENT ON COLUMN workflow_runs.updated_at IS 'When its state last changed.';
COMMENT ON COLUMN workflow_runs.finished_at IS 'When it ended.';
CREATE INDEX workflow_runs_organization ON workflow_runs (organization_id, id);
CREATE INDEX workflow_runs_running ON workflow_runs (organization_id, id) WHERE state = 'running';
CREATE INDEX workflow_runs_not_passed ON workflow_runs (organization_id, result, id) WHERE result IN ('failed', 'cancelled');
CREATE INDEX workflow_runs_name ON workflow_runs (organization_id, name text_pattern_ops, id) WHERE name IS NOT NULL;
CREATE INDEX workflow_runs_due ON workflow_runs (due_at) WHERE state = 'running' AND due_at IS NOT NULL AND stop IS NULL;
CREATE INDEX workflow_runs_looked_at ON workflow_runs (coalesce(looked_at, created_at)) WHERE state = 'running';
CREATE INDEX workflow_runs_stopped ON workflow_runs (coalesce(looked_at, created_at)) WHERE state = 'running' AND stop IS NOT NULL;
CREATE INDEX workflow_runs_parent ON workflow_runs (parent_run_id) WHERE parent_run_id IS NOT NULL;
CREATE UNIQUE INDEX workflow_runs_owner ON workflow_runs (parent_execution_id, iteration) WHERE parent_execution_id IS NOT NULL;

ALTER TABLE workflow_events ADD COLUMN run_id uuid;
ALTER TABLE workflow_node_queue_items ADD COLUMN run_id uuid;
ALTER TABLE workflow_node_executions ADD COLUMN run_id uuid, ADD COLUMN failure_routed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN workflow_events.run_id IS 'The run that it is of.';
COMMENT ON COLUMN workflow_node_queue_items.run_id IS 'The run that it is of.';
COMMENT ON COLUMN workflow_node_executions.run_id IS 'The run that it is of.';
COMMENT ON COLUMN workflow_node_executions.failure_routed IS 'Whether an edge took its failure: then it fails nothing but itself.';

-- Code before V14 writes no run_id and no run: its rows get them here. A later migration takes these triggers away, and the marks.

CREATE FUNCTION give_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.run_id := NEW.root_event_id;
    IF TG_TABLE_NAME = 'workflow_events' AND NEW.root_event_id = NEW.id THEN
        INSERT INTO public.workflow_runs (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, path, name, state,
            created_at, updated_at)
        SELECT NEW.id, w.organization_id, w.id, w.version, NEW.node_id, NEW.id, ARRAY[NEW.id], NEW.custom_name, 'running',
            NEW.created_at, NEW.created_at
        FROM public.workflows w WHERE w.id = NEW.workflow_id
        ON CONFLICT (id) DO NOTHING;
    END IF;
    IF TG_TABLE_NAME <> 'workflow_node_queue_items' THEN
        RETURN NEW;
    END IF;
    IF NEW.event_id <> NEW.root_event_id AND session_user NOT IN ('sealflow_builder', 'sealflow_executor', 'sealflow_webhook') THEN
        -- A redrive: work for a run that may have ended, or that ends at this moment. Each lock is a statement of its own: the first waits for
        -- whoever gives the run its row, the second for whoever ends the run.
        PERFORM FROM public.workflow_events WHERE id = NEW.root_event_id FOR KEY SHARE;
        PERFORM FROM public.workflow_runs WHERE id = NEW.root_event_id FOR NO KEY UPDATE;
        UPDATE public.workflow_runs SET state = 'running', result = NULL, finished_at = NULL, due_at = NULL, updated_at = NEW.created_at
        WHERE id = NEW.root_event_id AND state = 'finished';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION give_run() IS 'Gives rows of code before V14 their run.';
CREATE TRIGGER workflow_events_run BEFORE INSERT ON workflow_events
    FOR EACH ROW WHEN (NEW.run_id IS NULL) EXECUTE FUNCTION give_run();
CREATE TRIGGER workflow_node_queue_items_run BEFORE INSERT ON workflow_node_queue_items
    FOR EACH ROW WHEN (NEW.run_id IS NULL) EXECUTE FUNCTION give_run();
CREATE TRIGGER workflow_node_executions_run BEFORE INSERT ON workflow_node_executions
    FOR EACH ROW WHEN (NEW.run_id IS NULL) EXECUTE FUNCTION give_run();

-- A mark of code before V14 stops the run, and a stop is a mark for it.

CREATE FUNCTION stop_marked_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE public.workflow_runs SET stop = NEW.reason, stopped_by = NEW.created_by, updated_at = NEW.created_at
    WHERE id = NEW.root_event_id AND stop IS NULL;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION stop_marked_run() IS 'Stops the run that code before V14 has marked.';
CREATE TRIGGER workflow_run_marks_stop AFTER INSERT ON workflow_run_marks FOR EACH ROW EXECUTE FUNCTION stop_marked_run();

CREATE FUNCTION mark_stopped_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.workflow_run_marks (root_event_id, workflow_id, reason, created_by, created_at)
    VALUES (NEW.id, NEW.workflow_id, CASE WHEN NEW.stop = 'cancelled' THEN 'cancelled' ELSE 'run_limit' END, NEW.stopped_by, NEW.updated_at)
    ON CONFLICT (root_event_id) DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mark_stopped_run() IS 'Marks a stopped run for code before V14.';
CREATE TRIGGER workflow_runs_mark AFTER UPDATE OF stop ON workflow_runs
    FOR EACH ROW WHEN (OLD.stop IS NULL AND NEW.stop IS NOT NULL AND NEW.parent_run_id IS NULL) EXECUTE FUNCTION mark_stopped_run();

-- A stop stands in the run's row.
CREATE OR REPLACE FUNCTION next_items(workflow_id uuid, node_id text, concurrency_key text, items_max bigint)
RETURNS TABLE (id uuid, event_id uuid, crashes integer, created_at timestamptz, generation integer) LANGUAGE sql STABLE
AS $$
    SELECT i.id, i.event_id, i.crashes, i.created_at, slots.generation
    FROM node_slots($1, $2, $3) slots
    LEFT JOIN LATERAL (
        SELECT u.created_at, u.id FROM (
            (SELECT u.created_at, u.id FROM workflow_node_queue_items u
             WHERE u.workflow_id = $1 AND u.node_id = $2 AND u.concurrency_key IS NULL
             ORDER BY u.concurrency_key, u.created_at, u.id LIMIT 1)
            UNION ALL
            (SELECT u.created_at, u.id FROM workflow_node_queue_items u
             WHERE slots.is_keyed AND u.workflow_id = $1 AND u.node_id = $2 AND u.concurrency_key = ''
             ORDER BY u.created_at, u.id LIMIT 1)) u
        ORDER BY u.created_at, u.id LIMIT 1) unresolved ON true
    CROSS JOIN LATERAL (
        SELECT CASE WHEN (
            SELECT true FROM (
                SELECT i.run_id, i.node_generation FROM workflow_node_queue_items i
                WHERE i.workflow_id = $1 AND i.node_id = $2 AND i.concurrency_key = $3 ORDER BY i.created_at, i.id LIMIT 1) head
            WHERE head.node_generation <> slots.generation
               OR (SELECT run.stop FROM workflow_runs run WHERE run.id = head.run_id) IS NOT NULL) IS NOT NULL
        THEN (
            SELECT count(*) FROM (
                SELECT bool_and(waiting.is_ended) OVER (ORDER BY waiting.created_at, waiting.id) AS is_head FROM (
                    SELECT i.created_at, i.id, i.node_generation <> slots.generation
                        OR (SELECT run.stop FROM workflow_runs run WHERE run.id = i.run_id) IS NOT NULL AS is_ended
                    FROM workflow_node_queue_items i
                    WHERE i.workflow_id = $1 AND i.node_id = $2 AND i.concurrency_key = $3
                    ORDER BY i.created_at, i.id LIMIT $4) waiting) heads
            WHERE heads.is_head)
        ELSE 0 END AS count OFFSET 0) ended
    CROSS JOIN LATERAL (
        SELECT i.id, i.event_id, i.crashes, i.created_at FROM workflow_node_queue_items i
        WHERE i.workflow_id = $1 AND i.node_id = $2 AND i.concurrency_key = $3
        ORDER BY i.created_at, i.id LIMIT least($4, greatest(0, slots.free) + ended.count)) i
    WHERE unresolved.id IS NULL OR (i.created_at, i.id) < (unresolved.created_at, unresolved.id)
$$;

REVOKE ALL ON FUNCTION give_run(), stop_marked_run(), mark_stopped_run() FROM PUBLIC;

GRANT SELECT ON workflow_runs TO sealflow_api, sealflow_builder, sealflow_executor, sealflow_sweeper;
GRANT SELECT (run_id) ON workflow_events TO sealflow_webhook;
GRANT INSERT (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, path, name, state, result, due_at, created_at,
    updated_at, finished_at) ON workflow_runs TO sealflow_api, sealflow_webhook;
-- Who ends work settles its run; who stops a run says why. The api runs one on (redrive), the sweeper notes that it looked.
GRANT UPDATE (due_at) ON workflow_runs TO sealflow_api;
GRANT UPDATE (state, result, finished_at, updated_at) ON workflow_runs TO sealflow_api, sealflow_builder, sealflow_executor, sealflow_sweeper;
GRANT UPDATE (stop, stopped_by) ON workflow_runs TO sealflow_api, sealflow_builder, sealflow_sweeper;
GRANT UPDATE (looked_at) ON workflow_runs TO sealflow_sweeper;

-- A finish writes whether an edge took the failure; routing to a full node makes a finished execution.
GRANT UPDATE (failure_routed) ON workflow_node_executions TO sealflow_executor;
GRANT INSERT (run_id) ON workflow_node_executions TO sealflow_executor;
GRANT INSERT (run_id, cancelled_by) ON workflow_node_executions TO sealflow_sweeper;

-- A stop ends waiting items: each becomes a finished execution. None that could be claimed with secrets: no residuals, no policy.
GRANT DELETE ON workflow_node_queue_items TO sealflow_api;
GRANT INSERT (id, workflow_id, node_id, root_event_id, run_id, event_id, previous_execution_id, state, result, result_reason,
    result_message, component, configuration, cancelled_by, workflow_version, node_version, last_sent_at, created_at, updated_at,
    started_at, finished_at) ON workflow_node_executions TO sealflow_api;
GRANT UPDATE (cancelled_by) ON workflow_node_executions TO sealflow_sweeper;

UPDATE schema_facts SET version = 14;
