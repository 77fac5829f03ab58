-- What code may use this schema, and tokens that end: an operator can take back one that got out.

-- Each migration sets `version`. `oldest_code` is raised by a migration that takes something away (contract): code that was built
-- before that one refuses to start instead of failing somewhere.
CREATE TABLE schema_facts (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version integer NOT NULL CHECK (version >= 8),
    oldest_code integer NOT NULL CHECK (oldest_code BETWEEN 1 AND version)
);
COMMENT ON TABLE schema_facts IS 'What code may use this schema: one row.';
COMMENT ON COLUMN schema_facts.only_row IS 'Keeps it at one row.';
COMMENT ON COLUMN schema_facts.version IS 'Number of the newest migration that ran.';
COMMENT ON COLUMN schema_facts.oldest_code IS 'Code may use the schema if it was built with this migration or a later one.';
INSERT INTO schema_facts (version, oldest_code) VALUES (8, 1);
GRANT SELECT ON schema_facts TO sealflow_api, sealflow_webhook, sealflow_builder, sealflow_executor, sealflow_sweeper,
    sealflow_rewrap;

ALTER TABLE api_tokens ADD COLUMN expires_at timestamptz, ADD COLUMN created_by text;
COMMENT ON COLUMN api_tokens.expires_at IS 'From when it is refused; null: never.';
COMMENT ON COLUMN api_tokens.created_by IS 'Who made it; null for an organization''s first one.';
-- A name is taken by one token that is not revoked, so that a name can be revoked.
CREATE UNIQUE INDEX api_tokens_live_name ON api_tokens (organization_id, name) WHERE revoked_at IS NULL;

GRANT INSERT ON api_tokens TO sealflow_api;
GRANT UPDATE (revoked_at) ON api_tokens TO sealflow_api;
