-- As V32.
ALTER TABLE workflow_runs
    VALIDATE CONSTRAINT workflow_runs_state_check,
    VALIDATE CONSTRAINT workflow_runs_result_check,
    VALIDATE CONSTRAINT workflow_runs_stop_check,
    VALIDATE CONSTRAINT workflow_runs_finished,
    VALIDATE CONSTRAINT workflow_runs_top;

UPDATE schema_facts SET version = 34;
