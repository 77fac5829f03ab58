-- A `wait` is held: it has a limit only where its definition gives one. What waits behind the limit of before is found by the sweeper.

UPDATE workflow_nodes n SET concurrency_max = NULL
FROM workflows w CROSS JOIN LATERAL jsonb_array_elements(w.nodes) AS node
WHERE w.id = n.workflow_id AND node ->> 'id' = n.node_id AND n.ref ->> 'component' = 'wait' AND n.deleted_at IS NULL
  AND n.concurrency_max IS NOT NULL AND NOT node ? 'concurrency';

UPDATE schema_facts SET version = 25;
