-- The migrate function has built them already, while others wrote.
CREATE INDEX IF NOT EXISTS workflow_node_executions_wakes ON workflow_node_executions (coalesce(wake_at, 'infinity'))
    WHERE state = 'held';
CREATE INDEX IF NOT EXISTS workflow_node_executions_held ON workflow_node_executions (workflow_id, node_id) WHERE state = 'held';
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE NOT indisvalid AND indexrelid IN (
        'workflow_node_executions_wakes'::regclass, 'workflow_node_executions_held'::regclass)) THEN
        RAISE EXCEPTION 'an index of held executions was not built to its end: drop it and migrate again';
    END IF;
END
$$;

UPDATE schema_facts SET version = 23;
