-- The migrate function has built this one while functions went on (store/src/migrate/indexes.rs).
CREATE UNIQUE INDEX IF NOT EXISTS workflow_events_with_run
    ON workflow_events (workflow_id, id, run_id, root_event_id);

-- As V39.
CREATE FUNCTION is_queue_item(crashes int, sent_count int, concurrency_key text)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN
        least(crashes, sent_count) >= 0
        AND octet_length(concurrency_key) <= 1024;
END $$;
COMMENT ON FUNCTION is_queue_item IS
    'What holds for each row of workflow_node_queue_items: not false, as for a CHECK.';
REVOKE ALL ON FUNCTION is_queue_item FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_queue_item
    TO sealflow_api, sealflow_webhook, sealflow_builder, sealflow_executor, sealflow_sweeper;

-- One foreign key holds what two held: that an item's run is a run of its workflow, and now also
-- that it is its event's.
-- Functions lock a node before its rows, and so does this. One that holds rows and then reads a node
-- is told of the circle after a second, and tries again.
LOCK TABLE workflow_nodes IN ACCESS EXCLUSIVE MODE;
ALTER TABLE workflow_node_queue_items
    DROP CONSTRAINT workflow_node_queue_items_of_run,
    DROP CONSTRAINT workflow_node_queue_items_workflow_id_event_id_fkey,
    ADD CONSTRAINT workflow_node_queue_items_of_event
        FOREIGN KEY (workflow_id, event_id, run_id, root_event_id)
        REFERENCES workflow_events (workflow_id, id, run_id, root_event_id) NOT VALID,
    DROP CONSTRAINT workflow_node_queue_items_counts,
    DROP CONSTRAINT workflow_node_queue_items_concurrency_key_check,
    ADD CONSTRAINT workflow_node_queue_items_check
        CHECK (is_queue_item(crashes, sent_count, concurrency_key)) NOT VALID,
    SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

UPDATE schema_facts SET version = 41;
