-- Triggers of the type `on_error`: a run that failed makes events for those who watch its workflow.
CREATE TABLE error_handlers (
    organization_id uuid NOT NULL,
    workflow_name text NOT NULL,
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    PRIMARY KEY (workflow_id, node_id, workflow_name),
    FOREIGN KEY (workflow_id, node_id) REFERENCES workflow_nodes (workflow_id, node_id)
);
COMMENT ON TABLE error_handlers IS 'The workflows whose failed runs a trigger of the type on_error takes.';
COMMENT ON COLUMN error_handlers.organization_id IS 'The organization of both workflows.';
COMMENT ON COLUMN error_handlers.workflow_name IS 'The name of the workflow that is watched; empty: all of the organization.';
COMMENT ON COLUMN error_handlers.workflow_id IS 'The workflow of the trigger.';
COMMENT ON COLUMN error_handlers.node_id IS 'The trigger.';
CREATE INDEX error_handlers_watched ON error_handlers (organization_id, workflow_name);

CREATE TABLE failed_runs (
    run_id uuid NOT NULL,
    handler_workflow_id uuid NOT NULL,
    handler_node_id text NOT NULL,
    workflow_id uuid NOT NULL,
    root_event_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    sent_at timestamptz,
    PRIMARY KEY (run_id, handler_workflow_id, handler_node_id),
    FOREIGN KEY (workflow_id, run_id, root_event_id)
        REFERENCES workflow_runs (workflow_id, id, root_event_id) ON DELETE CASCADE
);
COMMENT ON TABLE failed_runs IS 'Failed runs, each with a trigger of the type on_error that is to be told of it.';
COMMENT ON COLUMN failed_runs.run_id IS 'The run.';
COMMENT ON COLUMN failed_runs.handler_workflow_id IS 'The workflow of the trigger.';
COMMENT ON COLUMN failed_runs.handler_node_id IS 'The trigger.';
COMMENT ON COLUMN failed_runs.workflow_id IS 'The workflow of the run.';
COMMENT ON COLUMN failed_runs.root_event_id IS 'Its root event.';
COMMENT ON COLUMN failed_runs.organization_id IS 'Its organization.';
COMMENT ON COLUMN failed_runs.created_at IS 'When it failed.';
COMMENT ON COLUMN failed_runs.sent_at IS 'When the sweeper sent its message last, or the time up to which it was put off; null: not yet.';
CREATE INDEX failed_runs_due ON failed_runs (coalesce(sent_at, created_at));

-- A run that an on_error trigger started tells nobody: handlers would call each other for ever.
CREATE FUNCTION has_error_handler(of_workflow uuid, of_root uuid)
RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
            SELECT FROM public.workflows w JOIN public.error_handlers h
              ON h.organization_id = w.organization_id AND h.workflow_name IN (w.name, '')
            WHERE w.id = of_workflow)
        AND NOT EXISTS (SELECT FROM public.workflow_events WHERE id = of_root AND type = 'on_error')
$$;
COMMENT ON FUNCTION has_error_handler IS 'Whether a trigger of the type on_error is to be told of failed runs of this workflow with this root event.';
REVOKE ALL ON FUNCTION has_error_handler FROM PUBLIC;
GRANT EXECUTE ON FUNCTION has_error_handler
    TO sealflow_api, sealflow_builder, sealflow_executor, sealflow_sweeper;

-- Whoever ends a run, this notes that it failed. Not DO NOTHING: it waits for a builder that tells
-- of the failure before and deletes the row.
CREATE FUNCTION note_failed_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF public.has_error_handler(NEW.workflow_id, NEW.root_event_id) THEN
        INSERT INTO public.failed_runs (run_id, handler_workflow_id, handler_node_id, workflow_id,
            root_event_id, organization_id, created_at)
        SELECT NEW.id, h.workflow_id, h.node_id, NEW.workflow_id, NEW.root_event_id,
            NEW.organization_id, now()
        FROM (
            SELECT DISTINCT h.workflow_id, h.node_id
            FROM public.workflows w JOIN public.error_handlers h
              ON h.organization_id = w.organization_id AND h.workflow_name IN (w.name, '')
            WHERE w.id = NEW.workflow_id
            ORDER BY h.workflow_id, h.node_id LIMIT 100) h
        ON CONFLICT (run_id, handler_workflow_id, handler_node_id)
            DO UPDATE SET created_at = excluded.created_at, sent_at = NULL;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION note_failed_run IS 'Notes a failed run for up to 100 triggers of the type on_error that are to be told.';
REVOKE ALL ON FUNCTION note_failed_run FROM PUBLIC;
CREATE TRIGGER workflow_runs_failed AFTER UPDATE OF state ON workflow_runs FOR EACH ROW
    WHEN (NEW.result = 'failed' AND OLD.result IS NULL AND NEW.parent_run_id IS NULL)
    EXECUTE FUNCTION note_failed_run();

-- Who started a run may be kept from deciding about it.
ALTER TABLE workflow_runs ADD COLUMN started_by uuid;
COMMENT ON COLUMN workflow_runs.started_by IS
    'The member or token that started it, or the maker of the token; null: nobody did, as for a webhook.';

-- As begin_scheduled_run. A handler that calls the failing workflow again has one hop more.
-- Who started the failed run has started what follows from it.
CREATE FUNCTION begin_error_run(
    of_run uuid, for_workflow uuid, trigger_node text, version_planned bigint, new_event uuid,
    event_type text, event_data jsonb, run_name text, target_ids text[], item_ids uuid[],
    at timestamptz)
RETURNS TABLE (outcome text, first_event_id uuid, due_seconds float8)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    of_organization uuid;
    of_hops int;
BEGIN
    SELECT f.organization_id, least(root.hops + 1, 10) INTO of_organization, of_hops
    FROM public.failed_runs f JOIN public.workflow_events root ON root.id = f.root_event_id
    WHERE f.run_id = of_run AND f.handler_workflow_id = for_workflow
      AND f.handler_node_id = trigger_node;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'outdated', NULL::uuid, NULL::float8;
        RETURN;
    END IF;
    RETURN QUERY SELECT * FROM public.begin_run(
        of_organization, for_workflow, version_planned, trigger_node, new_event, 'default',
        event_type, event_data, run_name, of_hops, target_ids, item_ids, at, NULL, NULL, NULL, NULL);
    UPDATE public.workflow_runs SET started_by = (SELECT started_by FROM public.workflow_runs WHERE id = of_run)
    WHERE id = new_event AND started_by IS NULL;
END $$;
COMMENT ON FUNCTION begin_error_run IS
    'As begin_run, for a trigger of the type on_error that is to be told of a failed run, and for no other node. The organization is that of the failed run, and its calls from sealflow to sealflow are counted on.';
REVOKE ALL ON FUNCTION begin_error_run FROM PUBLIC;
GRANT EXECUTE ON FUNCTION begin_error_run TO sealflow_builder;

GRANT SELECT, INSERT, DELETE ON error_handlers TO sealflow_api;
GRANT SELECT, DELETE, UPDATE (sent_at) ON failed_runs TO sealflow_builder;
GRANT SELECT, UPDATE (sent_at) ON failed_runs TO sealflow_sweeper;

UPDATE schema_facts SET version = 59;
