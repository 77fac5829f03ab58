-- The migrate function has built these while functions went on (store/src/migrate/indexes.rs).
CREATE INDEX IF NOT EXISTS workflow_runs_of_root ON workflow_runs (root_event_id)
    WHERE parent_run_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS workflow_runs_untaken ON workflow_runs (finished_at)
    WHERE parent_run_id IS NOT NULL AND taken_at IS NULL AND state = 'finished';

UPDATE schema_facts SET version = 65;
