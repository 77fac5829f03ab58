-- One path for limits: a node without a concurrency key has the key '', and what a limit leaves free is counted in one place.
-- Executions know the life of the node that they were made for.

ALTER TABLE workflow_node_executions ADD COLUMN node_generation integer;
COMMENT ON COLUMN workflow_node_executions.node_generation IS
    'workflow_nodes.generation when it was made: one of an earlier life ends without a start; null: made by code before V12.';
COMMENT ON COLUMN workflow_node_executions.concurrency_key IS
    'The concurrency key of which it holds a slot while it is active; null for the key ''''.';
COMMENT ON COLUMN workflow_node_queue_items.concurrency_key IS
    'What its node''s concurrency key came to, '''' at a node without one. Not resolved yet: null, '''' at a node with a key, and anything else at one without.';

-- The slots of a live node with a limit, of one concurrency key. Statements have it inlined, so it is planned with them; OFFSET keeps it
-- a query of its own there, which begins with the node that is asked for. What is active of an earlier life holds no slot.
CREATE FUNCTION node_slots(workflow_id uuid, node_id text, concurrency_key text)
RETURNS TABLE (generation integer, is_keyed boolean, free bigint) LANGUAGE sql STABLE
AS $$
    SELECT n.generation, n.concurrency_key IS NOT NULL,
        n.concurrency_max - (
            SELECT count(*) FROM workflow_node_executions e
            WHERE e.workflow_id = $1 AND e.node_id = $2 AND e.state <> 'finished' AND e.concurrency_key = $3
              AND coalesce(e.node_generation, n.generation) = n.generation
        ) - (
            SELECT count(*) FROM workflow_node_executions e
            WHERE $3 = '' AND e.workflow_id = $1 AND e.node_id = $2 AND e.state <> 'finished' AND e.concurrency_key IS NULL
              AND coalesce(e.node_generation, n.generation) = n.generation)
    FROM workflow_nodes n JOIN workflows w ON w.id = n.workflow_id
    WHERE n.workflow_id = $1 AND n.node_id = $2 AND n.concurrency_max IS NOT NULL
      AND coalesce(n.deleted_at, 'infinity') = 'infinity' AND coalesce(w.deleted_at, 'infinity') = 'infinity'
    OFFSET 0
$$;
COMMENT ON FUNCTION node_slots IS 'The free slots of one concurrency key of a live node with a limit; no row for another node.';

-- The items that a builder takes of one concurrency key: the smallest for its free slots, and with them those at their head that only
-- end (of a stopped run, or of an earlier life of the node), which need no slot. None past the first item of the node whose key is not
-- resolved, for it may be of the same key: null, and '' at a node with a key.
CREATE FUNCTION next_items(workflow_id uuid, node_id text, concurrency_key text, items_max bigint)
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
                SELECT i.root_event_id, i.node_generation FROM workflow_node_queue_items i
                WHERE i.workflow_id = $1 AND i.node_id = $2 AND i.concurrency_key = $3 ORDER BY i.created_at, i.id LIMIT 1) head
            WHERE head.node_generation <> slots.generation
               OR (SELECT true FROM workflow_run_marks mark WHERE mark.root_event_id = head.root_event_id) IS NOT NULL) IS NOT NULL
        THEN (
            SELECT count(*) FROM (
                SELECT bool_and(waiting.is_ended) OVER (ORDER BY waiting.created_at, waiting.id) AS is_head FROM (
                    SELECT i.created_at, i.id, i.node_generation <> slots.generation
                        OR (SELECT true FROM workflow_run_marks mark WHERE mark.root_event_id = i.root_event_id) IS NOT NULL AS is_ended
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
COMMENT ON FUNCTION next_items IS 'The queue items that a builder takes of one concurrency key of a node with a limit, in no order.';

-- The concurrency keys of which items wait and a slot is free, by a loose index scan that goes no further than rows are asked of it.
CREATE FUNCTION ready_keys(workflow_id uuid, node_id text)
RETURNS TABLE (concurrency_key text) LANGUAGE sql STABLE
AS $$
    WITH RECURSIVE waiting (concurrency_key) AS (
        (SELECT i.concurrency_key FROM workflow_node_queue_items i
         WHERE i.workflow_id = $1 AND i.node_id = $2 AND i.concurrency_key IS NOT NULL
         ORDER BY i.concurrency_key LIMIT 1)
        UNION ALL
        SELECT next.concurrency_key FROM waiting CROSS JOIN LATERAL (
            SELECT i.concurrency_key FROM workflow_node_queue_items i
            WHERE i.workflow_id = $1 AND i.node_id = $2 AND i.concurrency_key > waiting.concurrency_key
            ORDER BY i.concurrency_key LIMIT 1) next)
    SELECT waiting.concurrency_key FROM waiting CROSS JOIN LATERAL node_slots($1, $2, waiting.concurrency_key) slots
    WHERE slots.free > 0
$$;
COMMENT ON FUNCTION ready_keys IS 'The concurrency keys of a node with a limit of which items wait and a slot is free.';

-- The organizations that have an execution to run now, by a loose index scan over the workflows where anything is active, which goes no
-- further than rows are asked of it. Of each workflow a hundred active executions are looked at: behind so many timers none is seen.
CREATE FUNCTION due_organizations()
RETURNS TABLE (organization_id uuid) LANGUAGE sql STABLE
AS $$
    WITH RECURSIVE active (workflow_id) AS (
        (SELECT ex.workflow_id FROM workflow_node_executions ex
         WHERE ex.state <> 'finished' AND ex.workflow_id > '00000000-0000-0000-0000-000000000000'
         ORDER BY ex.workflow_id, ex.node_id LIMIT 1)
        UNION ALL
        SELECT next.workflow_id FROM active CROSS JOIN LATERAL (
            SELECT ex.workflow_id FROM workflow_node_executions ex
            WHERE ex.state <> 'finished' AND ex.workflow_id > active.workflow_id ORDER BY ex.workflow_id, ex.node_id LIMIT 1) next)
    SELECT w.organization_id FROM active JOIN workflows w ON w.id = active.workflow_id
    WHERE (SELECT true FROM (
               SELECT coalesce(ex.state, '') = 'pending' AND coalesce(ex.run_at, ex.last_sent_at) <= now() AS is_due
               FROM workflow_node_executions ex
               WHERE ex.workflow_id = active.workflow_id AND ex.state <> 'finished' LIMIT 100) seen
           WHERE seen.is_due LIMIT 1) IS NOT NULL
$$;
COMMENT ON FUNCTION due_organizations IS 'The organizations that have an execution to run now, once for each of their workflows that has one.';

-- A cancel waits for whoever is at work on the run, by a lock of its root event, and for nobody's lock of an item.
ALTER TABLE workflow_events ADD COLUMN locked smallint NOT NULL DEFAULT 0;
COMMENT ON COLUMN workflow_events.locked IS 'Never written. UPDATE on it is what lets a role lock the row of a run''s root event and change nothing.';
GRANT UPDATE (locked) ON workflow_events TO sealflow_api, sealflow_builder;

-- The intake gives an item at a node without a key the key ''.
GRANT SELECT (concurrency_key) ON workflow_nodes TO sealflow_webhook;
-- api: another key makes waiting items unresolved.
GRANT UPDATE (concurrency_key) ON workflow_node_queue_items TO sealflow_api;

UPDATE schema_facts SET version = 12;
