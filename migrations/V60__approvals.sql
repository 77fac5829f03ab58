LOCK TABLE workflow_runs, workflow_execution_calls, workflow_node_executions IN ACCESS EXCLUSIVE MODE;

-- The migrate function has built this one while functions went on (store/src/migrate/indexes.rs).
CREATE INDEX IF NOT EXISTS workflow_node_executions_approvals
    ON workflow_node_executions (workflow_id, id)
    WHERE component = 'approval' AND state = 'held';

-- Votes are calls with data, and each voter has one.
ALTER TABLE workflow_execution_calls
    DROP CONSTRAINT workflow_execution_calls_call_check,
    ADD CONSTRAINT workflow_execution_calls_call_check CHECK (call IN ('release', 'approve', 'reject')),
    ADD COLUMN data jsonb,
    ADD COLUMN voter uuid;
COMMENT ON COLUMN workflow_execution_calls.data IS 'What the caller said with it.';
COMMENT ON COLUMN workflow_execution_calls.voter IS 'Of a vote: the member or token whose vote it is, or the maker of the token.';
CREATE UNIQUE INDEX workflow_execution_calls_votes ON workflow_execution_calls (execution_id, voter)
    WHERE voter IS NOT NULL;
GRANT INSERT (data, voter) ON workflow_execution_calls TO sealflow_api;

GRANT UPDATE (started_by) ON workflow_runs TO sealflow_api;

CREATE FUNCTION start_run(
    by_starter uuid, for_organization uuid, for_workflow uuid, version_planned bigint,
    trigger_node text, new_event uuid, event_channel text, event_type text, event_data jsonb,
    run_name text, event_hops int, target_ids text[], item_ids uuid[], at timestamptz)
RETURNS TABLE (outcome text, first_event_id uuid, due_seconds float8) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT * FROM begin_run(
        for_organization, for_workflow, version_planned, trigger_node, new_event, event_channel,
        event_type, event_data, run_name, event_hops, target_ids, item_ids, at, NULL, NULL, NULL,
        NULL);
    UPDATE workflow_runs SET started_by = by_starter WHERE id = new_event AND started_by IS NULL;
END $$;
COMMENT ON FUNCTION start_run IS 'As begin_run, for a run that somebody starts.';
REVOKE ALL ON FUNCTION start_run FROM PUBLIC;
GRANT EXECUTE ON FUNCTION start_run TO sealflow_api;

UPDATE schema_facts SET version = 60;
