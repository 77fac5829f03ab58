-- A node may make only so many calls a second: each attempt takes a turn before it is claimed.
LOCK TABLE workflow_nodes, workflow_node_executions IN ACCESS EXCLUSIVE MODE;
ALTER TABLE workflow_nodes
    ADD COLUMN rate_per_second double precision CHECK (rate_per_second > 0),
    ADD COLUMN rate_burst integer CHECK (rate_burst >= 1),
    ADD CONSTRAINT workflow_nodes_rate_is_whole
        CHECK ((rate_per_second IS NULL) = (rate_burst IS NULL));
COMMENT ON COLUMN workflow_nodes.rate_per_second IS 'How many attempts may begin in a second; null: any number.';
COMMENT ON COLUMN workflow_nodes.rate_burst IS 'How many attempts may begin at once after a pause.';

ALTER TABLE workflow_node_executions
    ADD COLUMN turn_attempt integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN workflow_node_executions.turn_attempt IS
    'The attempt that may begin, at a node with a rate; one that may not yet asks again at run_at. 0: none yet.';

-- Its row is apart from the node's: claims would wait for builders, and builders for claims.
CREATE TABLE workflow_node_turns (
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    rate_per_second double precision NOT NULL,
    generation integer NOT NULL,
    starts_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    PRIMARY KEY (workflow_id, node_id),
    FOREIGN KEY (workflow_id, node_id) REFERENCES workflow_nodes (workflow_id, node_id)
);
COMMENT ON TABLE workflow_node_turns IS 'What the attempts of a node with a rate have used of it.';
COMMENT ON COLUMN workflow_node_turns.workflow_id IS 'The workflow.';
COMMENT ON COLUMN workflow_node_turns.node_id IS 'The node.';
COMMENT ON COLUMN workflow_node_turns.rate_per_second IS 'The rate for which these times hold; with another one they begin anew.';
COMMENT ON COLUMN workflow_node_turns.generation IS 'The generation of the node for which they hold.';
COMMENT ON COLUMN workflow_node_turns.starts_at IS
    'What has begun: the theoretical arrival time of the generic cell rate algorithm.';
COMMENT ON COLUMN workflow_node_turns.next_at IS
    'What has begun or was told when to ask again: that arrival time with those.';
GRANT SELECT, INSERT, UPDATE (rate_per_second, generation, starts_at, next_at) ON workflow_node_turns TO sealflow_executor;
GRANT UPDATE (turn_attempt) ON workflow_node_executions TO sealflow_executor;
GRANT UPDATE (rate_per_second, rate_burst) ON workflow_nodes TO sealflow_api;

UPDATE schema_facts SET version = 55;
