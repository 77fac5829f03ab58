-- A blueprint's version never changes, and its number is never given again.
CREATE TABLE blueprints (
    organization_id uuid NOT NULL REFERENCES organizations (id),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 64),
    version bigint NOT NULL CHECK (version >= 1),
    definition jsonb NOT NULL CHECK (jsonb_typeof(definition) = 'object'),
    uses text[] NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz,
    PRIMARY KEY (organization_id, name, version)
);
COMMENT ON TABLE blueprints IS 'A sub-graph that nodes of workflows stand for, by versions.';
COMMENT ON COLUMN blueprints.organization_id IS 'The tenant; no role may change it.';
COMMENT ON COLUMN blueprints.name IS 'What nodes name it by.';
COMMENT ON COLUMN blueprints.version IS 'From 1; each apply that changes something makes the next.';
COMMENT ON COLUMN blueprints.definition IS 'Inputs, nodes, edges and outputs; the blueprints inside are expanded.';
COMMENT ON COLUMN blueprints.uses IS 'The blueprints that its nodes name, as name@version.';
COMMENT ON COLUMN blueprints.created_by IS 'The token or user that applied it.';
COMMENT ON COLUMN blueprints.created_at IS 'When it was applied.';
COMMENT ON COLUMN blueprints.deleted_at IS 'Set when it was deleted.';
GRANT SELECT, INSERT, UPDATE (deleted_at) ON blueprints TO sealflow_api;

ALTER TABLE workflows ADD COLUMN applied_edges jsonb
    CHECK (jsonb_typeof(applied_edges) = 'array');
COMMENT ON COLUMN workflows.applied_edges IS 'The edges as their author wrote them, where a blueprint made others of them; null: edges.';
COMMENT ON COLUMN workflows.nodes IS 'The nodes as applied, and those of blueprints.';
ALTER TABLE workflow_versions ADD COLUMN applied_edges jsonb;
COMMENT ON COLUMN workflow_versions.applied_edges IS 'workflows.applied_edges at that time.';
GRANT UPDATE (applied_edges) ON workflows TO sealflow_api;

-- The ids and names of blueprints' nodes before those of the nodes inside.
ALTER TABLE workflow_nodes
    DROP CONSTRAINT workflow_nodes_node_id_check,
    DROP CONSTRAINT workflow_nodes_name_check,
    ADD CONSTRAINT workflow_nodes_node_id_check
        CHECK (char_length(node_id) BETWEEN 1 AND 400) NOT VALID,
    ADD CONSTRAINT workflow_nodes_name_check
        CHECK (char_length(name) BETWEEN 1 AND 800) NOT VALID;
ALTER TABLE workflow_nodes VALIDATE CONSTRAINT workflow_nodes_node_id_check;
ALTER TABLE workflow_nodes VALIDATE CONSTRAINT workflow_nodes_name_check;
GRANT UPDATE (parent_node_id) ON workflow_nodes TO sealflow_api;
CREATE INDEX workflow_nodes_blueprints ON workflow_nodes (workflow_id)
    WHERE type = 'blueprint' AND deleted_at IS NULL;

UPDATE schema_facts SET version = 63;
