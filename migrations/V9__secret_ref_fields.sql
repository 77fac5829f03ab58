-- In which field a version of a node may use a secret, so that a row of the builder's can't move a header's token into a body.

ALTER TABLE workflow_node_secret_refs ADD COLUMN field text NOT NULL DEFAULT '';
COMMENT ON COLUMN workflow_node_secret_refs.field IS 'JSON pointer of the field that refers to it; empty: any field, of versions that were applied before V9.';
ALTER TABLE workflow_node_secret_refs DROP CONSTRAINT workflow_node_secret_refs_pkey,
    ADD PRIMARY KEY (workflow_id, node_id, node_version, secret_name, secret_key, field);

UPDATE schema_facts SET version = 9;
