-- Each search of the sweeper reads what it looks for, or goes on from tick to tick.
-- The migrate function has built these two while functions went on (store/src/migrate/indexes.rs).
CREATE INDEX IF NOT EXISTS workflow_node_executions_tried
    ON workflow_node_executions (last_sent_at) WHERE state = 'pending' AND sent_count >= 8;
CREATE INDEX IF NOT EXISTS workflow_nodes_renewed
    ON workflow_nodes (updated_at) WHERE deleted_at IS NOT NULL OR generation > 1;

-- As V10 has it, but for some nodes: those after a node, in their order.
CREATE FUNCTION forget_secret_refs_after(
    ended_at timestamptz, after_workflow uuid, after_node text, nodes_max bigint,
    OUT forgotten bigint, OUT last_workflow uuid, OUT last_node text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE at (workflow_id, node_id) AS (
        (SELECT refs.workflow_id, refs.node_id FROM public.workflow_node_secret_refs refs
         WHERE (refs.workflow_id, refs.node_id) > (after_workflow, after_node)
         ORDER BY refs.workflow_id, refs.node_id LIMIT 1)
        UNION ALL
        SELECT next.workflow_id, next.node_id FROM at CROSS JOIN LATERAL (
            SELECT refs.workflow_id, refs.node_id FROM public.workflow_node_secret_refs refs
            WHERE (refs.workflow_id, refs.node_id) > (at.workflow_id, at.node_id)
            ORDER BY refs.workflow_id, refs.node_id LIMIT 1) next),
    seen AS MATERIALIZED (SELECT workflow_id, node_id FROM at LIMIT nodes_max),
    over AS MATERIALIZED (
        SELECT old.ctid AS place FROM seen
        JOIN public.workflow_nodes n
          ON n.workflow_id = seen.workflow_id AND n.node_id = seen.node_id
        JOIN public.workflow_node_secret_refs old
          ON old.workflow_id = seen.workflow_id AND old.node_id = seen.node_id
        WHERE (old.node_version < n.version OR n.deleted_at IS NOT NULL)
          AND n.updated_at <= ended_at
          AND NOT EXISTS (
              SELECT FROM public.workflow_node_executions ex
              WHERE ex.workflow_id = old.workflow_id AND ex.node_id = old.node_id
                AND ex.node_version = old.node_version AND ex.state <> 'finished')),
    gone AS (
        DELETE FROM public.workflow_node_secret_refs refs
        WHERE refs.ctid = ANY (ARRAY(SELECT place FROM over))
        RETURNING 1)
    SELECT (SELECT count(*) FROM gone), last.workflow_id, last.node_id
    FROM (SELECT 1) one
    LEFT JOIN LATERAL (
        SELECT workflow_id, node_id FROM seen
        WHERE (SELECT count(*) FROM seen) >= nodes_max
        ORDER BY workflow_id DESC, node_id DESC LIMIT 1) last ON true
$$;
COMMENT ON FUNCTION forget_secret_refs_after IS
    'Of at most so many nodes after that one: forgets references of node versions that were superseded before that time and that no unfinished execution has. Returns how many, and the last node; null: there are no more.';
REVOKE ALL ON FUNCTION forget_secret_refs_after FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_secret_refs_after TO sealflow_sweeper;

UPDATE schema_facts SET version = 52;
