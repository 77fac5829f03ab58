-- Nodes that are full, redriving what failed for good, and concurrency keys.

ALTER TABLE workflow_node_executions
    ADD COLUMN redriven_event_id uuid,
    ADD COLUMN concurrency_key text CHECK (octet_length(concurrency_key) <= 1024),
    ADD FOREIGN KEY (workflow_id, redriven_event_id) REFERENCES workflow_events (workflow_id, id),
    ADD CONSTRAINT workflow_node_executions_redriven CHECK (redriven_event_id IS NULL OR (result IS NOT NULL AND result = 'failed'));
COMMENT ON COLUMN workflow_node_executions.redriven_event_id IS 'The copy of its event with which it was redriven; what counts is what came of that.';
COMMENT ON COLUMN workflow_node_executions.concurrency_key IS 'What its node''s concurrency key came to; it holds one of that key''s slots while it is active.';
CREATE INDEX workflow_node_executions_failed ON workflow_node_executions (workflow_id, id)
    WHERE result = 'failed' AND redriven_event_id IS NULL;
CREATE INDEX workflow_node_executions_active_keys ON workflow_node_executions (workflow_id, node_id, concurrency_key)
    WHERE state <> 'finished' AND concurrency_key IS NOT NULL;

ALTER TABLE workflow_nodes ADD COLUMN concurrency_key text;
COMMENT ON COLUMN workflow_nodes.concurrency_key IS 'Template of its concurrency key: concurrency_max holds for each value by itself; null: for the node as a whole.';

ALTER TABLE workflow_node_queue_items ADD COLUMN concurrency_key text CHECK (octet_length(concurrency_key) <= 1024);
COMMENT ON COLUMN workflow_node_queue_items.concurrency_key IS 'What its node''s concurrency key came to when the builder first saw the item; null: not seen yet, or the node has no key.';
CREATE INDEX workflow_node_queue_items_keys ON workflow_node_queue_items (workflow_id, node_id, concurrency_key, created_at, id);

-- api: applies keys, and remembers a redrive.
GRANT UPDATE (concurrency_key) ON workflow_nodes TO sealflow_api;
GRANT UPDATE (redriven_event_id) ON workflow_node_executions TO sealflow_api;

-- builder: stores what a key came to.
GRANT UPDATE (concurrency_key) ON workflow_node_queue_items TO sealflow_builder;

-- executor: routing to a full node makes a finished execution. None that could be claimed with secrets: no residuals, no policy.
GRANT INSERT (id, workflow_id, node_id, root_event_id, event_id, previous_execution_id, state, result, result_reason, result_message,
    component, configuration, workflow_version, node_version, last_sent_at, created_at, updated_at, started_at, finished_at)
    ON workflow_node_executions TO sealflow_executor;
