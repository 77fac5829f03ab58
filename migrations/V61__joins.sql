LOCK TABLE workflow_nodes, workflow_runs, workflow_events, workflow_node_executions,
    workflow_execution_wakes IN ACCESS EXCLUSIVE MODE;

-- The migrate function has built this one while functions went on (store/src/migrate/indexes.rs).
CREATE UNIQUE INDEX IF NOT EXISTS workflow_node_executions_joins
    ON workflow_node_executions (run_id, node_id, node_generation)
    WHERE state = 'held' AND component = 'merge';

ALTER TABLE workflow_nodes ADD COLUMN merges text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN workflow_nodes.merges IS
    'The joins that are reached from the node, itself among them: the end of work here may decide them.';

ALTER TABLE workflow_execution_wakes
    DROP CONSTRAINT workflow_execution_wakes_cause_check,
    ADD CONSTRAINT workflow_execution_wakes_cause_check
        CHECK (cause IN ('stopped', 'cancelled', 'node_removed', 'upstream'));

CREATE TABLE execution_joins (
    execution_id uuid NOT NULL,
    event_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    run_id uuid NOT NULL,
    root_event_id uuid NOT NULL,
    node_id text NOT NULL,
    source_node_id text NOT NULL,
    source_order integer NOT NULL,
    arrived bigint GENERATED ALWAYS AS IDENTITY,
    stops boolean NOT NULL,
    is_late boolean NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (execution_id, event_id),
    FOREIGN KEY (workflow_id, execution_id)
        REFERENCES workflow_node_executions (workflow_id, id) ON DELETE CASCADE,
    FOREIGN KEY (workflow_id, event_id, run_id, root_event_id)
        REFERENCES workflow_events (workflow_id, id, run_id, root_event_id) ON DELETE CASCADE
);
COMMENT ON TABLE execution_joins IS 'The events that joins have taken in: each was a queue item, which is gone.';
COMMENT ON COLUMN execution_joins.execution_id IS 'The join.';
COMMENT ON COLUMN execution_joins.event_id IS 'The event.';
COMMENT ON COLUMN execution_joins.workflow_id IS 'The workflow.';
COMMENT ON COLUMN execution_joins.run_id IS 'The run.';
COMMENT ON COLUMN execution_joins.root_event_id IS 'The root event of the top run.';
COMMENT ON COLUMN execution_joins.node_id IS 'The node of the join.';
COMMENT ON COLUMN execution_joins.source_node_id IS 'The node that the event comes from.';
COMMENT ON COLUMN execution_joins.source_order IS 'The place of the source''s edge among those that enter the join.';
COMMENT ON COLUMN execution_joins.arrived IS 'The order of the arrivals.';
COMMENT ON COLUMN execution_joins.stops IS 'Whether the event ends the join: its stop_if holds.';
COMMENT ON COLUMN execution_joins.is_late IS 'Whether the join had ended before: the event has come to nothing.';
COMMENT ON COLUMN execution_joins.created_at IS 'When the event arrived.';
CREATE INDEX execution_joins_place ON execution_joins (run_id, node_id, execution_id);
CREATE INDEX execution_joins_event ON execution_joins (workflow_id, event_id, run_id, root_event_id);
CREATE INDEX execution_joins_execution ON execution_joins (workflow_id, execution_id);

GRANT SELECT ON execution_joins
    TO sealflow_api, sealflow_builder, sealflow_executor, sealflow_sweeper;
GRANT INSERT ON execution_joins TO sealflow_builder;
GRANT SELECT (merges) ON workflow_nodes
    TO sealflow_api, sealflow_builder, sealflow_executor, sealflow_sweeper;
GRANT UPDATE (merges) ON workflow_nodes TO sealflow_api;
-- A join that fails says itself whether an edge took its event.
GRANT UPDATE (failure_routed) ON workflow_node_executions TO sealflow_builder;

-- Any function may end a branch, and so tell the joins behind it. None but the API and the sweeper
-- writes another cause.
CREATE FUNCTION cause_joins(asked text) RETURNS TABLE (execution_id uuid, organization_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    WITH joins AS MATERIALIZED (
        SELECT x.workflow_id, x.id, run.organization_id
        FROM jsonb_to_recordset(asked::jsonb) AS t (run_id uuid, node_id text)
        JOIN public.workflow_runs run ON run.id = t.run_id
        CROSS JOIN LATERAL (
            SELECT x.workflow_id, x.id FROM public.workflow_node_executions x
            WHERE x.run_id = t.run_id AND x.node_id = t.node_id
              AND x.state = 'held' AND x.component = 'merge' OFFSET 0) x
        WHERE NOT EXISTS (
            SELECT FROM public.workflow_execution_wakes c
            WHERE c.workflow_id = x.workflow_id AND c.execution_id = x.id
              AND c.cause = 'upstream' AND c.handled_at IS NULL)),
    caused AS (
        INSERT INTO public.workflow_execution_wakes AS c (workflow_id, execution_id, cause)
        SELECT DISTINCT joins.workflow_id, joins.id, 'upstream' FROM joins
        RETURNING c.execution_id)
    SELECT DISTINCT joins.id, joins.organization_id
    FROM caused JOIN joins ON joins.id = caused.execution_id;
END $$;
COMMENT ON FUNCTION cause_joins IS
    'Leaves a cause for the open joins of these places, [{run_id, node_id}], where none waits; returns the joins.';
REVOKE ALL ON FUNCTION cause_joins FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cause_joins
    TO sealflow_api, sealflow_builder, sealflow_executor, sealflow_sweeper;

UPDATE schema_facts SET version = 61;
