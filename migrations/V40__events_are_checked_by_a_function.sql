-- As V39.
CREATE FUNCTION is_event(
    id uuid, root_event_id uuid, execution_id uuid, channel text, type text, custom_name text,
    depth int, hops int, redactions jsonb)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN
        char_length(channel) BETWEEN 1 AND 64
        AND char_length(type) BETWEEN 1 AND 128
        AND char_length(custom_name) <= 256
        AND depth BETWEEN 1 AND 1001
        AND hops BETWEEN 0 AND 10
        AND jsonb_typeof(redactions) = 'object'
        AND ((execution_id IS NULL) = (root_event_id = id) OR type = 'redrive');
END $$;
COMMENT ON FUNCTION is_event IS
    'What holds for each row of workflow_events: not false, as for a CHECK.';
REVOKE ALL ON FUNCTION is_event FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_event
    TO sealflow_api, sealflow_webhook, sealflow_builder, sealflow_executor, sealflow_sweeper;

-- Functions lock a node before its rows, and so does this. One that holds rows and then reads a node
-- is told of the circle after a second, and tries again.
LOCK TABLE workflow_nodes IN ACCESS EXCLUSIVE MODE;
ALTER TABLE workflow_events
    DROP CONSTRAINT workflow_events_channel_check,
    DROP CONSTRAINT workflow_events_type_check,
    DROP CONSTRAINT workflow_events_custom_name_check,
    DROP CONSTRAINT workflow_events_depth_check,
    DROP CONSTRAINT workflow_events_hops_check,
    DROP CONSTRAINT workflow_events_redactions_check,
    DROP CONSTRAINT workflow_events_root,
    ADD CONSTRAINT workflow_events_check CHECK (is_event(
        id, root_event_id, execution_id, channel, type, custom_name,
        depth, hops, redactions)) NOT VALID,
    SET (autovacuum_analyze_scale_factor = 0.02);

UPDATE schema_facts SET version = 40;
