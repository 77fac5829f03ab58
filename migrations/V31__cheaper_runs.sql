-- No run has runs within it yet: the migration that brings them says what their rows are.
ALTER TABLE workflow_runs
    DROP CONSTRAINT workflow_runs_state_check,
    ADD CONSTRAINT workflow_runs_state_check CHECK (state = ANY ('{running,finished}'::text[])) NOT VALID,
    DROP CONSTRAINT workflow_runs_result_check,
    ADD CONSTRAINT workflow_runs_result_check CHECK (result = ANY ('{passed,failed,cancelled}'::text[])) NOT VALID,
    DROP CONSTRAINT workflow_runs_stop_check,
    ADD CONSTRAINT workflow_runs_stop_check CHECK (stop = ANY ('{cancelled,run_limit,timeout,owner}'::text[])) NOT VALID,
    DROP CONSTRAINT workflow_runs_finished,
    ADD CONSTRAINT workflow_runs_finished
        CHECK ((state = 'finished') = (result IS NOT NULL) AND (result IS NULL) = (finished_at IS NULL)) NOT VALID,
    DROP CONSTRAINT workflow_runs_check,
    DROP CONSTRAINT workflow_runs_iteration,
    DROP CONSTRAINT workflow_runs_iteration_check,
    DROP CONSTRAINT workflow_runs_top,
    ADD CONSTRAINT workflow_runs_top
        CHECK (root_event_id = id AND path = ARRAY[id] AND num_nonnulls(parent_run_id, parent_execution_id, iteration) = 0) NOT VALID,
    -- It is the name of its root event, which has the limit.
    DROP CONSTRAINT workflow_runs_name_check;

UPDATE schema_facts SET version = 31;
