-- One path makes the root event, the run and the items of any trigger.

CREATE FUNCTION begin_run(
    for_organization uuid, for_workflow uuid, version_planned bigint, trigger_node text, new_event uuid, event_channel text, event_type text,
    event_data jsonb, run_name text, event_hops int, target_ids text[], item_ids uuid[], at timestamptz,
    for_webhook uuid, webhook_version bigint, sender_key text, sender_key_hours float8)
RETURNS TABLE (outcome text, first_event_id uuid, due_seconds float8) LANGUAGE plpgsql AS $$
DECLARE
    due timestamptz;
    is_full boolean;
    generations int[];
    item_keys text[];
    known_event uuid;
BEGIN
    -- One statement, so one snapshot: a node that an apply removes and adds again meanwhile is another than the one that was planned with.
    SELECT now() + make_interval(secs => w.timeout_seconds), coalesce(target.is_full, false), target.generations, target.item_keys
    INTO due, is_full, generations, item_keys
    FROM workflows w
    JOIN organizations o ON o.id = w.organization_id AND o.deleted_at IS NULL
    CROSS JOIN LATERAL (
        SELECT bool_or(n.items_full) AS is_full, array_agg(n.generation ORDER BY t.nth) AS generations,
            array_agg(CASE WHEN n.concurrency_key IS NULL THEN '' END ORDER BY t.nth) AS item_keys
        FROM unnest(target_ids) WITH ORDINALITY AS t (node_id, nth)
        CROSS JOIN LATERAL (
            SELECT n.items_full, n.generation, n.concurrency_key FROM workflow_nodes n
            WHERE n.workflow_id = for_workflow AND n.node_id = t.node_id OFFSET 0) n) target
    WHERE w.id = for_workflow AND w.organization_id = for_organization AND w.version = version_planned
      AND coalesce(w.deleted_at, 'infinity') = 'infinity'
      AND (for_webhook IS NULL OR (
          SELECT true FROM webhooks h
          WHERE h.id = for_webhook AND h.version = webhook_version AND h.workflow_id = for_workflow AND h.node_id = trigger_node
            AND coalesce(h.deleted_at, 'infinity') = 'infinity'));
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'outdated', NULL::uuid, NULL::float8;
        RETURN;
    END IF;
    IF is_full THEN
        -- But for one that is there already: its answer was lost.
        RETURN QUERY SELECT CASE WHEN seen.is_begun THEN 'begun' ELSE 'full' END, CASE WHEN seen.is_begun THEN new_event END, NULL::float8
            FROM (SELECT EXISTS (SELECT FROM workflow_events WHERE id = new_event) AS is_begun) seen;
        RETURN;
    END IF;
    -- Of a key that is known DO NOTHING would return no event, so the conflict updates the row to what it was, or takes it over once it is
    -- too old.
    IF sender_key IS NOT NULL THEN
        INSERT INTO webhook_deduplications AS known (webhook_id, key, event_id, created_at)
        VALUES (for_webhook, sender_key, new_event, at)
        ON CONFLICT (webhook_id, key) DO UPDATE SET
            event_id = CASE WHEN known.created_at < at - make_interval(secs => sender_key_hours * 3600)
                THEN excluded.event_id ELSE known.event_id END,
            created_at = CASE WHEN known.created_at < at - make_interval(secs => sender_key_hours * 3600)
                THEN excluded.created_at ELSE known.created_at END
        RETURNING event_id INTO known_event;
        IF known_event <> new_event THEN
            RETURN QUERY SELECT 'duplicate', known_event, NULL::float8;
            RETURN;
        END IF;
    END IF;
    -- A run that is there already is its own of a first try whose answer was lost.
    INSERT INTO workflow_runs (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, path, name, state, result,
        due_at, created_at, updated_at, finished_at)
    SELECT new_event, for_organization, for_workflow, version_planned, trigger_node, new_event, ARRAY[new_event], run_name,
        CASE WHEN begun.is_over THEN 'finished' ELSE 'running' END, CASE WHEN begun.is_over THEN 'passed' END, due, at, at,
        CASE WHEN begun.is_over THEN at END
    FROM (SELECT cardinality(target_ids) = 0 AS is_over) begun
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO workflow_events (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, custom_name, targets, depth,
            hops, created_at)
        VALUES (new_event, for_workflow, trigger_node, new_event, new_event, event_channel, event_type, event_data, run_name, target_ids,
            1, event_hops, at);
        INSERT INTO workflow_node_queue_items (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation,
            concurrency_key, created_at, last_sent_at)
        SELECT t.id, for_workflow, t.node_id, new_event, new_event, new_event, t.generation, t.concurrency_key, at, at
        FROM unnest(item_ids, target_ids, generations, item_keys) AS t (id, node_id, generation, concurrency_key);
    END IF;
    RETURN QUERY SELECT 'begun', new_event, extract(epoch FROM due - now())::float8;
END $$;
COMMENT ON FUNCTION begin_run IS
    'Takes an event of a trigger: event, run and items, and for a webhook the sender''s key. The outcome is begun (with the seconds until its time-out), duplicate (of first_event_id), full or outdated.';

REVOKE ALL ON FUNCTION begin_run FROM PUBLIC;
GRANT EXECUTE ON FUNCTION begin_run TO sealflow_api, sealflow_webhook;

UPDATE schema_facts SET version = 19;
