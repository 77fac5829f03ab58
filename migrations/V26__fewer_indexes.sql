-- Each index costs every write. Roots are listed as runs, items of a run are found by run_id, and the sweeper's net walks over the running
-- runs in the order of their list.

DROP INDEX workflow_events_roots, workflow_node_queue_items_run, workflow_runs_looked_at;
COMMENT ON COLUMN workflow_runs.looked_at IS 'When the sweeper last went on with its stop; null: never.';

-- The sweeper marks causes that came while an execution ended.
GRANT UPDATE (handled_at) ON workflow_execution_wakes TO sealflow_sweeper;

-- By a loose index scan over the nodes where anything is active, of each of which a hundred active executions are looked at: a workflow
-- may hold thousands of waits.
CREATE OR REPLACE FUNCTION due_organizations()
RETURNS TABLE (organization_id uuid) LANGUAGE sql STABLE
AS $$
    WITH RECURSIVE active (workflow_id, node_id) AS (
        (SELECT ex.workflow_id, ex.node_id FROM workflow_node_executions ex
         WHERE ex.state <> 'finished' AND ex.workflow_id > '00000000-0000-0000-0000-000000000000'
         ORDER BY ex.workflow_id, ex.node_id LIMIT 1)
        UNION ALL
        SELECT next.workflow_id, next.node_id FROM active CROSS JOIN LATERAL (
            SELECT ex.workflow_id, ex.node_id FROM workflow_node_executions ex
            WHERE ex.state <> 'finished' AND (ex.workflow_id, ex.node_id) > (active.workflow_id, active.node_id)
            ORDER BY ex.workflow_id, ex.node_id LIMIT 1) next)
    SELECT w.organization_id FROM active JOIN workflows w ON w.id = active.workflow_id
    WHERE (SELECT true FROM (
               SELECT coalesce(ex.state, '') = 'pending' AND coalesce(ex.run_at, ex.last_sent_at) <= now() AS is_due
               FROM workflow_node_executions ex
               WHERE ex.workflow_id = active.workflow_id AND ex.node_id = active.node_id AND ex.state <> 'finished' LIMIT 100) seen
           WHERE seen.is_due LIMIT 1) IS NOT NULL
$$;
COMMENT ON FUNCTION due_organizations IS 'The organizations that have an execution to run now, once for each of their nodes that has one.';

UPDATE schema_facts SET version = 26;
