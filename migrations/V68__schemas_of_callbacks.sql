-- The look at an address tells the schema of the body too: the intake checks a body before it is stored, and a caller
-- that sent a wrong one may send another. The columns of the result are more, so the function is made anew; the call of
-- older code names the columns that it reads.
DROP FUNCTION take_callback(uuid, text, text, uuid, jsonb);

CREATE FUNCTION take_callback(
    for_execution uuid, address_sha256 text, method text, new_call uuid, call_data jsonb)
RETURNS TABLE (outcome text, organization_id uuid, body_schema jsonb) LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    waiting record;
    is_locked boolean := false;
BEGIN
    LOOP
        SELECT x.workflow_id, x.held, o.id AS organization_id,
            o.suspended_at IS NOT NULL AS is_suspended,
            coalesce(x.state = 'held'
                AND x.held ->> 'address_sha256' = take_callback.address_sha256
                AND coalesce(x.wake_at > statement_timestamp(), true)
                AND run.stop IS NULL AND o.deleted_at IS NULL AND w.deleted_at IS NULL
                AND n.deleted_at IS NULL AND coalesce(x.node_generation, n.generation) = n.generation
                AND NOT EXISTS (
                    SELECT FROM public.workflow_execution_calls c
                    WHERE c.execution_id = x.id AND c.call = 'callback' AND c.id <> new_call)
                AND NOT EXISTS (
                    SELECT FROM public.workflow_execution_wakes c
                    WHERE c.workflow_id = x.workflow_id AND c.execution_id = x.id
                      AND c.cause = 'cancelled' AND c.handled_at IS NULL), false) AS is_open
        INTO waiting
        FROM public.workflow_node_executions x
        JOIN public.workflow_runs run ON run.id = x.run_id
        JOIN public.workflows w ON w.id = x.workflow_id
        JOIN public.organizations o ON o.id = w.organization_id
        JOIN public.workflow_nodes n ON n.workflow_id = x.workflow_id AND n.node_id = x.node_id
        WHERE x.id = for_execution AND x.component = 'wait_for_callback';
        IF NOT FOUND OR NOT waiting.is_open THEN
            RETURN QUERY SELECT 'gone', NULL::uuid, NULL::jsonb;
            RETURN;
        ELSIF waiting.is_suspended THEN
            RETURN QUERY SELECT 'suspended', NULL::uuid, NULL::jsonb;
            RETURN;
        ELSIF NOT coalesce(waiting.held -> 'methods' ? method, false) THEN
            RETURN QUERY SELECT 'method', NULL::uuid, NULL::jsonb;
            RETURN;
        ELSIF call_data IS NULL THEN
            RETURN QUERY SELECT 'open', waiting.organization_id,
                nullif(waiting.held -> 'schema', 'null'::jsonb);
            RETURN;
        END IF;
        EXIT WHEN is_locked;
        PERFORM FROM public.workflow_node_executions x WHERE x.id = for_execution FOR SHARE;
        is_locked := true;
    END LOOP;
    INSERT INTO public.workflow_execution_calls
        (id, workflow_id, execution_id, call, called_by, data)
    VALUES (new_call, waiting.workflow_id, for_execution, 'callback', 'function:webhook', call_data)
    ON CONFLICT (execution_id) WHERE call = 'callback' DO NOTHING;
    RETURN QUERY
    SELECT CASE WHEN EXISTS (
            SELECT FROM public.workflow_execution_calls c WHERE c.id = new_call)
        THEN 'taken' ELSE 'gone' END, waiting.organization_id, NULL::jsonb;
END $$;
COMMENT ON FUNCTION take_callback IS
    'Stores what came to the address of a wait_for_callback, once: taken, gone, method or suspended; open and the schema of the body, without data.';
REVOKE ALL ON FUNCTION take_callback FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_callback TO sealflow_webhook;

UPDATE schema_facts SET version = 68;
