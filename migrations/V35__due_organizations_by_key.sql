-- As V26 has it, but for the workflows: one by one, by their key, also where the table was known to have hardly a row.
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
    SELECT w.organization_id
    FROM active
    CROSS JOIN LATERAL (SELECT w.organization_id FROM workflows w WHERE w.id = active.workflow_id OFFSET 0) w
    WHERE (SELECT true FROM (
               SELECT coalesce(ex.state, '') = 'pending' AND coalesce(ex.run_at, ex.last_sent_at) <= now() AS is_due
               FROM workflow_node_executions ex
               WHERE ex.workflow_id = active.workflow_id AND ex.node_id = active.node_id AND ex.state <> 'finished' LIMIT 100) seen
           WHERE seen.is_due LIMIT 1) IS NOT NULL
$$;

UPDATE schema_facts SET version = 35;
