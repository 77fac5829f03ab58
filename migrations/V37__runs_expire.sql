-- The first of the two steps in which a run ends its life: nothing is redriven in it from now on.
ALTER TABLE workflow_runs ADD COLUMN expired_at timestamptz;
COMMENT ON COLUMN workflow_runs.expired_at IS
    'When the sweeper found it older than its organization keeps runs; it is deleted a minute later.';
GRANT UPDATE (expired_at) ON workflow_runs TO sealflow_sweeper;

UPDATE schema_facts SET version = 37;
