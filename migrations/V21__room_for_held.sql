-- A migration of its own: every statement of the functions reads this table.

ALTER TABLE workflows ADD COLUMN held_full boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN workflows.held_full IS 'Whether so many executions are held that no more are opened. The sweeper writes it.';

CREATE INDEX workflows_held_full ON workflows (id) WHERE held_full;
GRANT UPDATE (held_full) ON workflows TO sealflow_sweeper;

UPDATE schema_facts SET version = 21;
