-- Executions that stay open across transactions: a time, a call or a cause wakes them. No function of this release makes one yet: those of
-- the release before would not know what to do with it.

ALTER TABLE workflow_node_executions
    ADD COLUMN held jsonb,
    ADD COLUMN wake_at timestamptz,
    ADD COLUMN woken_until timestamptz,
    DROP CONSTRAINT workflow_node_executions_state_check,
    ADD CONSTRAINT workflow_node_executions_state_check
        CHECK (state IN ('pending', 'started', 'held', 'cancelling', 'finished')) NOT VALID,
    ADD CONSTRAINT workflow_node_executions_held_check
        CHECK ((held IS NOT NULL) = (state = 'held') AND (coalesce(wake_at, woken_until) IS NULL OR state = 'held')) NOT VALID;
COMMENT ON COLUMN workflow_node_executions.held IS 'The few facts that the component of a held execution keeps; null in any other state.';
COMMENT ON COLUMN workflow_node_executions.wake_at IS 'When a held execution is to be woken; null: by no time.';
COMMENT ON COLUMN workflow_node_executions.woken_until IS 'Until when somebody wakes a held execution alone: meanwhile nobody else counts a crash on it.';

CREATE TABLE workflow_execution_wakes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workflow_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    cause text NOT NULL CHECK (cause IN ('stopped', 'cancelled', 'node_removed')),
    caused_by text,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    handled_at timestamptz,
    FOREIGN KEY (workflow_id, execution_id) REFERENCES workflow_node_executions (workflow_id, id)
);
COMMENT ON TABLE workflow_execution_wakes IS 'Causes for which held executions are woken. Rows are inserted, so that nobody but its own wake changes the execution.';
COMMENT ON COLUMN workflow_execution_wakes.id IS 'Random; the order is that of created_at.';
COMMENT ON COLUMN workflow_execution_wakes.workflow_id IS 'The workflow.';
COMMENT ON COLUMN workflow_execution_wakes.execution_id IS 'The held execution.';
COMMENT ON COLUMN workflow_execution_wakes.cause IS 'The cause.';
COMMENT ON COLUMN workflow_execution_wakes.caused_by IS 'The token, user or function behind it.';
COMMENT ON COLUMN workflow_execution_wakes.created_at IS 'When it was written, by the database''s clock.';
COMMENT ON COLUMN workflow_execution_wakes.handled_at IS 'When the wake that read it was recorded.';
CREATE INDEX workflow_execution_wakes_execution ON workflow_execution_wakes (workflow_id, execution_id);
CREATE INDEX workflow_execution_wakes_open ON workflow_execution_wakes (created_at) WHERE handled_at IS NULL;

CREATE TABLE workflow_execution_calls (
    id uuid PRIMARY KEY,
    workflow_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    call text NOT NULL CHECK (call IN ('release')),
    called_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    handled_at timestamptz,
    FOREIGN KEY (workflow_id, execution_id) REFERENCES workflow_node_executions (workflow_id, id)
);
COMMENT ON TABLE workflow_execution_calls IS 'Calls that people make of held executions. The API alone inserts them: another function that is taken over decides for nobody.';
COMMENT ON COLUMN workflow_execution_calls.id IS 'UUIDv7.';
COMMENT ON COLUMN workflow_execution_calls.workflow_id IS 'The workflow.';
COMMENT ON COLUMN workflow_execution_calls.execution_id IS 'The held execution.';
COMMENT ON COLUMN workflow_execution_calls.call IS 'The call.';
COMMENT ON COLUMN workflow_execution_calls.called_by IS 'The token or user that made it.';
COMMENT ON COLUMN workflow_execution_calls.created_at IS 'When it was made, by the database''s clock.';
COMMENT ON COLUMN workflow_execution_calls.handled_at IS 'When the wake that read it was recorded.';
CREATE INDEX workflow_execution_calls_execution ON workflow_execution_calls (workflow_id, execution_id);
CREATE INDEX workflow_execution_calls_open ON workflow_execution_calls (created_at) WHERE handled_at IS NULL;

GRANT SELECT ON workflow_execution_wakes, workflow_execution_calls TO sealflow_api, sealflow_builder, sealflow_sweeper;
GRANT INSERT (workflow_id, execution_id, cause, caused_by) ON workflow_execution_wakes TO sealflow_api, sealflow_sweeper;
GRANT INSERT (id, workflow_id, execution_id, call, called_by) ON workflow_execution_calls TO sealflow_api;
GRANT UPDATE (handled_at) ON workflow_execution_wakes, workflow_execution_calls TO sealflow_builder;
GRANT UPDATE (state, result, result_reason, result_message, metadata, held, wake_at, woken_until, crashes, last_sent_at, sent_count, cancelled_by,
    updated_at, finished_at) ON workflow_node_executions TO sealflow_builder;

-- A builder that is taken over ends nothing that runs, and starts nothing anew.
CREATE FUNCTION refuse_what_is_not_held() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the builder changes held executions alone' USING ERRCODE = 'insufficient_privilege';
END $$;
COMMENT ON FUNCTION refuse_what_is_not_held IS 'Refuses the builder any change of an execution that is not held.';
REVOKE ALL ON FUNCTION refuse_what_is_not_held() FROM PUBLIC;
CREATE TRIGGER workflow_node_executions_builder BEFORE UPDATE ON workflow_node_executions FOR EACH ROW
    WHEN (OLD.state <> 'held' AND session_user = 'sealflow_builder') EXECUTE FUNCTION refuse_what_is_not_held();


UPDATE schema_facts SET version = 22;
