-- An organization that is there keeps its runs until it says otherwise; a new one for 90 days.
ALTER TABLE organizations ADD COLUMN retention_days int
    CONSTRAINT organizations_retention CHECK (retention_days BETWEEN 1 AND 3650);
ALTER TABLE organizations ALTER COLUMN retention_days SET DEFAULT 90;
COMMENT ON COLUMN organizations.retention_days IS
    'Days for which a finished run is kept; null: for ever. An operator''s maximum counts too.';
GRANT UPDATE (retention_days) ON organizations TO sealflow_api;
GRANT SELECT (retention_days) ON organizations TO sealflow_sweeper;

UPDATE schema_facts SET version = 36;
