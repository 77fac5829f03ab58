-- A finished execution never changes again, for any function's role: with one UPDATE of the sweeper's a finished execution became pending,
-- and the executor would have opened its secrets and sent its request again. Each statement of the functions names the state that it
-- expects, so that none of them meets this; the owner may change what is finished (to backfill a column, say).

CREATE FUNCTION refuse_change_of_finished() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (SELECT pg_has_role(current_user, c.relowner, 'MEMBER') FROM pg_class c WHERE c.oid = TG_RELID) THEN
        RETURN NEW;
    END IF;
    -- A redrive remembers the copy that it made.
    IF to_jsonb(NEW) - 'redriven_event_id' = to_jsonb(OLD) - 'redriven_event_id' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a finished execution does not change' USING ERRCODE = 'integrity_constraint_violation';
END
$$;
COMMENT ON FUNCTION refuse_change_of_finished() IS 'Refuses any change of a finished execution but redriven_event_id, to all but the owner.';
REVOKE ALL ON FUNCTION refuse_change_of_finished() FROM PUBLIC;
CREATE TRIGGER workflow_node_executions_finished BEFORE UPDATE ON workflow_node_executions
    FOR EACH ROW WHEN (OLD.state = 'finished') EXECUTE FUNCTION refuse_change_of_finished();

-- References of versions that are over: the sweeper forgets them through a function that does nothing else. With DELETE on the table it
-- could take away what an execution needs; the worst that it can do with this is to be a day early.
CREATE FUNCTION forget_secret_refs(ended_at timestamptz, rows_max bigint) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH forgotten AS (
        DELETE FROM public.workflow_node_secret_refs refs
        WHERE refs.ctid = ANY (ARRAY(
            SELECT old.ctid FROM public.workflow_node_secret_refs old
            JOIN public.workflow_nodes n ON n.workflow_id = old.workflow_id AND n.node_id = old.node_id
            WHERE (old.node_version < n.version OR n.deleted_at IS NOT NULL) AND n.updated_at <= ended_at
              AND NOT EXISTS (
                  SELECT FROM public.workflow_node_executions ex
                  WHERE ex.workflow_id = old.workflow_id AND ex.node_id = old.node_id AND ex.node_version = old.node_version
                    AND ex.state <> 'finished')
            LIMIT rows_max))
        RETURNING 1)
    SELECT count(*) FROM forgotten
$$;
COMMENT ON FUNCTION forget_secret_refs(timestamptz, bigint) IS 'Forgets references of node versions that were superseded before that time and that no unfinished execution has; returns how many.';
REVOKE ALL ON FUNCTION forget_secret_refs(timestamptz, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_secret_refs(timestamptz, bigint) TO sealflow_sweeper;

UPDATE schema_facts SET version = 10;
