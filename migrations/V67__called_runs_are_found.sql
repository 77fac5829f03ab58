-- The migrate function has built these while functions went on (store/src/migrate/indexes.rs).
CREATE UNIQUE INDEX IF NOT EXISTS workflow_runs_caller ON workflow_runs (caller_execution_id)
    WHERE caller_execution_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS workflow_runs_untold ON workflow_runs (finished_at)
    WHERE caller_execution_id IS NOT NULL AND taken_at IS NULL AND state = 'finished';

UPDATE schema_facts SET version = 67;
