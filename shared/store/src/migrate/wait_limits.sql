-- Runs after every migration: an API from before V25 that applied a workflow meanwhile gave its
-- waits the old limit.
UPDATE workflow_nodes n SET concurrency_max = NULL
FROM workflows w CROSS JOIN LATERAL jsonb_array_elements(w.nodes) AS node
WHERE w.id = n.workflow_id AND node ->> 'id' = n.node_id AND n.ref ->> 'component' = 'wait'
  AND n.deleted_at IS NULL AND n.concurrency_max IS NOT NULL AND NOT node ? 'concurrency';
