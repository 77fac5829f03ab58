-- Triggers of the type `schedule`: the next time of each, from which the sweeper and the builder know what is due.
CREATE TABLE schedules (
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    next_at timestamptz,
    due_at timestamptz,
    sent_at timestamptz,
    last_run_id uuid,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (workflow_id, node_id),
    FOREIGN KEY (workflow_id, node_id) REFERENCES workflow_nodes (workflow_id, node_id),
    CHECK ((next_at IS NULL) = (due_at IS NULL))
);
COMMENT ON TABLE schedules IS 'The next time of each trigger of the type schedule.';
COMMENT ON COLUMN schedules.workflow_id IS 'The workflow.';
COMMENT ON COLUMN schedules.node_id IS 'The trigger.';
COMMENT ON COLUMN schedules.next_at IS 'The next time, as the definition describes it; null: there is none any more.';
COMMENT ON COLUMN schedules.due_at IS 'When the builder is to look: the next time with its jitter, or later where a look was put off.';
COMMENT ON COLUMN schedules.sent_at IS 'When the message for due_at was sent last; null: not yet.';
COMMENT ON COLUMN schedules.last_run_id IS 'The run that it began last.';
COMMENT ON COLUMN schedules.updated_at IS 'When the row was written last.';
CREATE INDEX schedules_due ON schedules (due_at) WHERE due_at IS NOT NULL;
GRANT SELECT, INSERT, DELETE, UPDATE (next_at, due_at, sent_at, updated_at) ON schedules TO sealflow_api;
GRANT SELECT, UPDATE (next_at, due_at, sent_at, last_run_id, updated_at) ON schedules TO sealflow_builder;
GRANT SELECT, UPDATE (sent_at) ON schedules TO sealflow_sweeper;

-- The one way in which the builder begins runs: of a schedule whose time has come.
CREATE FUNCTION begin_scheduled_run(
    for_workflow uuid, trigger_node text, version_planned bigint, new_event uuid, event_type text,
    event_data jsonb, run_name text, target_ids text[], item_ids uuid[], at timestamptz)
RETURNS TABLE (outcome text, first_event_id uuid, due_seconds float8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE of_organization uuid;
BEGIN
    SELECT w.organization_id INTO of_organization
    FROM public.schedules s JOIN public.workflows w ON w.id = s.workflow_id
    WHERE s.workflow_id = for_workflow AND s.node_id = trigger_node
      AND s.due_at <= statement_timestamp();
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'outdated', NULL::uuid, NULL::float8;
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM public.begin_run(
        of_organization, for_workflow, version_planned, trigger_node, new_event, 'default',
        event_type, event_data, run_name, 0, target_ids, item_ids, at, NULL, NULL, NULL, NULL);
END $$;
COMMENT ON FUNCTION begin_scheduled_run IS
    'As begin_run, for a schedule whose time has come and for no other node. The organization is that of the schedule.';
REVOKE ALL ON FUNCTION begin_scheduled_run FROM PUBLIC;
GRANT EXECUTE ON FUNCTION begin_scheduled_run TO sealflow_builder;
GRANT SELECT (suspended_at) ON organizations TO sealflow_builder;

UPDATE schema_facts SET version = 58;
