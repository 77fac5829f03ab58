-- A suspect that somebody works on is left to him: who comes meanwhile must not count it as crashed once more.

ALTER TABLE workflow_node_queue_items ADD COLUMN suspect_until timestamptz;
COMMENT ON COLUMN workflow_node_queue_items.suspect_until IS 'Until when the builder that works on this item alone is taken to live; null: nobody does.';
CREATE INDEX workflow_node_queue_items_suspects ON workflow_node_queue_items (workflow_id, node_id) WHERE crashes > 0;

GRANT UPDATE (suspect_until) ON workflow_node_queue_items TO sealflow_builder;
-- api: locks the items of a run that it cancels.
GRANT UPDATE (suspect_until) ON workflow_node_queue_items TO sealflow_api;
