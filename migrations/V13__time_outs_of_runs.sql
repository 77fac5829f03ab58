-- What runs need of their workflow, apart from them: every statement reads this table, so nothing else is waited for under its lock.

ALTER TABLE workflows ADD CONSTRAINT workflows_tenant UNIQUE (organization_id, id),
    ADD COLUMN timeout_seconds integer CHECK (timeout_seconds BETWEEN 1 AND 31622400);
DROP INDEX workflows_organization;
COMMENT ON COLUMN workflows.timeout_seconds IS 'How long a run may take; null: as long as it needs.';
GRANT UPDATE (timeout_seconds) ON workflows TO sealflow_api;
GRANT SELECT (timeout_seconds) ON workflows TO sealflow_webhook;

UPDATE schema_facts SET version = 13;
