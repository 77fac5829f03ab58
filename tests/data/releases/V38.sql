-- cancelled=cancelled failed=failed held=running passed=passed pending=running retrying=running slot=running waiting=running
--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: begin_run(uuid, uuid, bigint, text, uuid, text, text, jsonb, text, integer, text[], uuid[], timestamp with time zone, uuid, bigint, text, double precision); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.begin_run(for_organization uuid, for_workflow uuid, version_planned bigint, trigger_node text, new_event uuid, event_channel text, event_type text, event_data jsonb, run_name text, event_hops integer, target_ids text[], item_ids uuid[], at timestamp with time zone, for_webhook uuid, webhook_version bigint, sender_key text, sender_key_hours double precision) RETURNS TABLE(outcome text, first_event_id uuid, due_seconds double precision)
    LANGUAGE plpgsql
    AS $$
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


--
-- Name: FUNCTION begin_run(for_organization uuid, for_workflow uuid, version_planned bigint, trigger_node text, new_event uuid, event_channel text, event_type text, event_data jsonb, run_name text, event_hops integer, target_ids text[], item_ids uuid[], at timestamp with time zone, for_webhook uuid, webhook_version bigint, sender_key text, sender_key_hours double precision); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.begin_run(for_organization uuid, for_workflow uuid, version_planned bigint, trigger_node text, new_event uuid, event_channel text, event_type text, event_data jsonb, run_name text, event_hops integer, target_ids text[], item_ids uuid[], at timestamp with time zone, for_webhook uuid, webhook_version bigint, sender_key text, sender_key_hours double precision) IS 'Takes an event of a trigger: event, run and items, and for a webhook the sender''s key. The outcome is begun (with the seconds until its time-out), duplicate (of first_event_id), full or outdated.';


--
-- Name: delete_expired_run(uuid, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.delete_expired_run(for_run uuid, operators_days integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '100ms'
    AS $$
DECLARE
    is_due boolean;
BEGIN
    SELECT coalesce(run.state = 'finished' AND greatest(run.created_at, run.finished_at)
        < now() - make_interval(hours => 24 * public.runs_kept_days(
            o.retention_days, CASE WHEN operators_days < 1 THEN 1 ELSE operators_days END,
            o.deleted_at)), false)
    INTO is_due
    FROM public.workflow_runs run
    JOIN public.organizations o ON o.id = run.organization_id
    WHERE run.id = for_run AND run.parent_run_id IS NULL AND run.expired_at IS NOT NULL
    FOR UPDATE OF run SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 'locked';
    END IF;
    IF NOT is_due
        OR EXISTS (SELECT FROM public.workflow_node_queue_items WHERE run_id = for_run)
        OR EXISTS (SELECT FROM public.workflow_node_executions
                   WHERE run_id = for_run AND state <> 'finished')
    THEN
        -- It was redriven meanwhile, or its organization keeps runs for longer now.
        UPDATE public.workflow_runs SET expired_at = NULL WHERE id = for_run;
        RETURN 'kept';
    END IF;
    DELETE FROM public.workflow_node_execution_kvs kv
    USING public.workflow_node_executions ex
    WHERE ex.root_event_id = for_run
      AND kv.workflow_id = ex.workflow_id AND kv.execution_id = ex.id;
    DELETE FROM public.workflow_execution_calls call
    USING public.workflow_node_executions ex
    WHERE ex.root_event_id = for_run
      AND call.workflow_id = ex.workflow_id AND call.execution_id = ex.id;
    DELETE FROM public.workflow_execution_wakes wake
    USING public.workflow_node_executions ex
    WHERE ex.root_event_id = for_run
      AND wake.workflow_id = ex.workflow_id AND wake.execution_id = ex.id;
    DELETE FROM public.workflow_run_marks WHERE root_event_id = for_run;
    -- Events point at executions too, until the end of the transaction.
    DELETE FROM public.workflow_node_executions WHERE root_event_id = for_run;
    DELETE FROM public.workflow_events WHERE root_event_id = for_run;
    DELETE FROM public.workflow_runs WHERE id = for_run;
    RETURN 'deleted';
END $$;


--
-- Name: FUNCTION delete_expired_run(for_run uuid, operators_days integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.delete_expired_run(for_run uuid, operators_days integer) IS 'Deletes an expired run with all that belongs to it: deleted; kept, where it is not to go any more; locked, where a transaction holds it.';


--
-- Name: derived_id(uuid, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.derived_id(id uuid, part text) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $_$
    SELECT encode(
        substring(uuid_send($1) FOR 8)
        || set_byte(substring(hash FOR 8), 0, (get_byte(hash, 0) & 63) | 128), 'hex')::uuid
    FROM sha256(uuid_send($1) || convert_to($2, 'UTF8')) AS made (hash)
$_$;


--
-- Name: FUNCTION derived_id(id uuid, part text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.derived_id(id uuid, part text) IS 'An id for what is made of a row in the database: the time of the row''s own UUIDv7, and a hash.';


--
-- Name: due_organizations(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.due_organizations() RETURNS TABLE(organization_id uuid)
    LANGUAGE sql STABLE
    AS $$
    WITH RECURSIVE active (workflow_id, node_id) AS (
        (SELECT ex.workflow_id, ex.node_id FROM workflow_node_executions ex
         WHERE ex.state <> 'finished' AND ex.workflow_id > '00000000-0000-0000-0000-000000000000'
         ORDER BY ex.workflow_id, ex.node_id LIMIT 1)
        UNION ALL
        SELECT next.workflow_id, next.node_id FROM active CROSS JOIN LATERAL (
            SELECT ex.workflow_id, ex.node_id FROM workflow_node_executions ex
            WHERE ex.state <> 'finished' AND (ex.workflow_id, ex.node_id) > (active.workflow_id, active.node_id)
            ORDER BY ex.workflow_id, ex.node_id LIMIT 1) next)
    SELECT w.organization_id
    FROM active
    CROSS JOIN LATERAL (SELECT w.organization_id FROM workflows w WHERE w.id = active.workflow_id OFFSET 0) w
    WHERE (SELECT true FROM (
               SELECT coalesce(ex.state, '') = 'pending' AND coalesce(ex.run_at, ex.last_sent_at) <= now() AS is_due
               FROM workflow_node_executions ex
               WHERE ex.workflow_id = active.workflow_id AND ex.node_id = active.node_id AND ex.state <> 'finished' LIMIT 100) seen
           WHERE seen.is_due LIMIT 1) IS NOT NULL
$$;


--
-- Name: FUNCTION due_organizations(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.due_organizations() IS 'The organizations that have an execution to run now, once for each of their nodes that has one.';


--
-- Name: forget_previous_webhook_keys(timestamp with time zone, bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.forget_previous_webhook_keys(ended_at timestamp with time zone, rows_max bigint) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    WITH forgotten AS (
        UPDATE public.webhooks SET previous_signing_keys = NULL, previous_token_sha256 = NULL, previous_until = NULL
        WHERE id IN (
            SELECT id FROM public.webhooks WHERE previous_until <= ended_at
            ORDER BY previous_until LIMIT rows_max FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING id)
    SELECT count(*) FROM forgotten
$$;


--
-- Name: FUNCTION forget_previous_webhook_keys(ended_at timestamp with time zone, rows_max bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.forget_previous_webhook_keys(ended_at timestamp with time zone, rows_max bigint) IS 'Forgets previous keys and tokens that are taken no more at that time; returns how many.';


--
-- Name: forget_secret_refs(timestamp with time zone, bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.forget_secret_refs(ended_at timestamp with time zone, rows_max bigint) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION forget_secret_refs(ended_at timestamp with time zone, rows_max bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.forget_secret_refs(ended_at timestamp with time zone, rows_max bigint) IS 'Forgets references of node versions that were superseded before that time and that no unfinished execution has; returns how many.';


--
-- Name: give_run(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.give_run() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    NEW.run_id := NEW.root_event_id;
    IF TG_TABLE_NAME = 'workflow_events' AND NEW.root_event_id = NEW.id THEN
        INSERT INTO public.workflow_runs (id, organization_id, workflow_id, workflow_version, node_id, root_event_id, path, name, state,
            created_at, updated_at)
        SELECT NEW.id, w.organization_id, w.id, w.version, NEW.node_id, NEW.id, ARRAY[NEW.id], NEW.custom_name, 'running',
            NEW.created_at, NEW.created_at
        FROM public.workflows w WHERE w.id = NEW.workflow_id
        ON CONFLICT (id) DO NOTHING;
    END IF;
    IF TG_TABLE_NAME <> 'workflow_node_queue_items' THEN
        RETURN NEW;
    END IF;
    IF NEW.event_id <> NEW.root_event_id AND session_user NOT IN ('sealflow_builder', 'sealflow_executor', 'sealflow_webhook') THEN
        -- A redrive: work for a run that may have ended, or that ends at this moment. Each lock is a statement of its own: the first waits for
        -- whoever gives the run its row, the second for whoever ends the run.
        PERFORM FROM public.workflow_events WHERE id = NEW.root_event_id FOR KEY SHARE;
        PERFORM FROM public.workflow_runs WHERE id = NEW.root_event_id FOR NO KEY UPDATE;
        UPDATE public.workflow_runs SET state = 'running', result = NULL, finished_at = NULL, due_at = NULL, updated_at = NEW.created_at
        WHERE id = NEW.root_event_id AND state = 'finished';
    END IF;
    RETURN NEW;
END
$$;


--
-- Name: FUNCTION give_run(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.give_run() IS 'Gives rows of code before V14 their run.';


--
-- Name: mark_stopped_run(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.mark_stopped_run() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO public.workflow_run_marks (root_event_id, workflow_id, reason, created_by, created_at)
    VALUES (NEW.id, NEW.workflow_id, CASE WHEN NEW.stop = 'cancelled' THEN 'cancelled' ELSE 'run_limit' END, NEW.stopped_by, NEW.updated_at)
    ON CONFLICT (root_event_id) DO NOTHING;
    RETURN NULL;
END
$$;


--
-- Name: FUNCTION mark_stopped_run(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.mark_stopped_run() IS 'Marks a stopped run for code before V14.';


--
-- Name: next_items(uuid, text, text, bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.next_items(workflow_id uuid, node_id text, concurrency_key text, items_max bigint) RETURNS TABLE(id uuid, event_id uuid, crashes integer, created_at timestamp with time zone, generation integer)
    LANGUAGE sql STABLE
    AS $_$
    SELECT i.id, i.event_id, i.crashes, i.created_at, slots.generation
    FROM node_slots($1, $2, $3) slots
    LEFT JOIN LATERAL (
        SELECT u.created_at, u.id FROM (
            (SELECT u.created_at, u.id FROM workflow_node_queue_items u
             WHERE u.workflow_id = $1 AND u.node_id = $2 AND u.concurrency_key IS NULL
             ORDER BY u.concurrency_key, u.created_at, u.id LIMIT 1)
            UNION ALL
            (SELECT u.created_at, u.id FROM workflow_node_queue_items u
             WHERE slots.is_keyed AND u.workflow_id = $1 AND u.node_id = $2 AND u.concurrency_key = ''
             ORDER BY u.created_at, u.id LIMIT 1)) u
        ORDER BY u.created_at, u.id LIMIT 1) unresolved ON true
    CROSS JOIN LATERAL (
        SELECT CASE WHEN (
            SELECT true FROM (
                SELECT i.run_id, i.node_generation FROM workflow_node_queue_items i
                WHERE i.workflow_id = $1 AND i.node_id = $2 AND i.concurrency_key = $3 ORDER BY i.created_at, i.id LIMIT 1) head
            WHERE head.node_generation <> slots.generation
               OR (SELECT run.stop FROM workflow_runs run WHERE run.id = head.run_id) IS NOT NULL) IS NOT NULL
        THEN (
            SELECT count(*) FROM (
                SELECT bool_and(waiting.is_ended) OVER (ORDER BY waiting.created_at, waiting.id) AS is_head FROM (
                    SELECT i.created_at, i.id, i.node_generation <> slots.generation
                        OR (SELECT run.stop FROM workflow_runs run WHERE run.id = i.run_id) IS NOT NULL AS is_ended
                    FROM workflow_node_queue_items i
                    WHERE i.workflow_id = $1 AND i.node_id = $2 AND i.concurrency_key = $3
                    ORDER BY i.created_at, i.id LIMIT $4) waiting) heads
            WHERE heads.is_head)
        ELSE 0 END AS count OFFSET 0) ended
    CROSS JOIN LATERAL (
        SELECT i.id, i.event_id, i.crashes, i.created_at FROM workflow_node_queue_items i
        WHERE i.workflow_id = $1 AND i.node_id = $2 AND i.concurrency_key = $3
        ORDER BY i.created_at, i.id LIMIT least($4, greatest(0, slots.free) + ended.count)) i
    WHERE unresolved.id IS NULL OR (i.created_at, i.id) < (unresolved.created_at, unresolved.id)
$_$;


--
-- Name: FUNCTION next_items(workflow_id uuid, node_id text, concurrency_key text, items_max bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.next_items(workflow_id uuid, node_id text, concurrency_key text, items_max bigint) IS 'The queue items that a builder takes of one concurrency key of a node with a limit, in no order.';


--
-- Name: node_slots(uuid, text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.node_slots(workflow_id uuid, node_id text, concurrency_key text) RETURNS TABLE(generation integer, is_keyed boolean, free bigint)
    LANGUAGE sql STABLE
    AS $_$
    SELECT n.generation, n.concurrency_key IS NOT NULL,
        n.concurrency_max - (
            SELECT count(*) FROM workflow_node_executions e
            WHERE e.workflow_id = $1 AND e.node_id = $2 AND e.state <> 'finished' AND e.concurrency_key = $3
              AND coalesce(e.node_generation, n.generation) = n.generation
        ) - (
            SELECT count(*) FROM workflow_node_executions e
            WHERE $3 = '' AND e.workflow_id = $1 AND e.node_id = $2 AND e.state <> 'finished' AND e.concurrency_key IS NULL
              AND coalesce(e.node_generation, n.generation) = n.generation)
    FROM workflow_nodes n JOIN workflows w ON w.id = n.workflow_id
    WHERE n.workflow_id = $1 AND n.node_id = $2 AND n.concurrency_max IS NOT NULL
      AND coalesce(n.deleted_at, 'infinity') = 'infinity' AND coalesce(w.deleted_at, 'infinity') = 'infinity'
    OFFSET 0
$_$;


--
-- Name: FUNCTION node_slots(workflow_id uuid, node_id text, concurrency_key text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.node_slots(workflow_id uuid, node_id text, concurrency_key text) IS 'The free slots of one concurrency key of a live node with a limit; no row for another node.';


--
-- Name: ready_keys(uuid, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.ready_keys(workflow_id uuid, node_id text) RETURNS TABLE(concurrency_key text)
    LANGUAGE sql STABLE
    AS $_$
    WITH RECURSIVE waiting (concurrency_key) AS (
        (SELECT i.concurrency_key FROM workflow_node_queue_items i
         WHERE i.workflow_id = $1 AND i.node_id = $2 AND i.concurrency_key IS NOT NULL
         ORDER BY i.concurrency_key LIMIT 1)
        UNION ALL
        SELECT next.concurrency_key FROM waiting CROSS JOIN LATERAL (
            SELECT i.concurrency_key FROM workflow_node_queue_items i
            WHERE i.workflow_id = $1 AND i.node_id = $2 AND i.concurrency_key > waiting.concurrency_key
            ORDER BY i.concurrency_key LIMIT 1) next)
    SELECT waiting.concurrency_key FROM waiting CROSS JOIN LATERAL node_slots($1, $2, waiting.concurrency_key) slots
    WHERE slots.free > 0
$_$;


--
-- Name: FUNCTION ready_keys(workflow_id uuid, node_id text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.ready_keys(workflow_id uuid, node_id text) IS 'The concurrency keys of a node with a limit of which items wait and a slot is free.';


--
-- Name: refuse_change_of_finished(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refuse_change_of_finished() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: FUNCTION refuse_change_of_finished(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.refuse_change_of_finished() IS 'Refuses any change of a finished execution but redriven_event_id, to all but the owner.';


--
-- Name: refuse_what_is_not_held(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refuse_what_is_not_held() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION 'the builder changes held executions alone' USING ERRCODE = 'insufficient_privilege';
END $$;


--
-- Name: FUNCTION refuse_what_is_not_held(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.refuse_what_is_not_held() IS 'Refuses the builder any change of an execution that is not held.';


--
-- Name: route_error(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.route_error() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    error_id uuid := public.derived_id(NEW.id, 'error');
    node_name text;
    taken_by text[];
BEGIN
    SELECT n.name, array_agg(target.node_id ORDER BY edge.nth) INTO node_name, taken_by
    FROM public.workflow_runs run
    JOIN public.workflows w ON w.id = run.workflow_id AND w.deleted_at IS NULL
    JOIN public.organizations o ON o.id = run.organization_id AND o.deleted_at IS NULL
    JOIN public.workflow_nodes n ON n.workflow_id = w.id AND n.node_id = NEW.node_id AND n.deleted_at IS NULL
        AND n.generation = coalesce(NEW.node_generation, n.generation)
    CROSS JOIN LATERAL jsonb_array_elements(w.edges) WITH ORDINALITY AS edge (value, nth)
    JOIN public.workflow_nodes target ON target.workflow_id = w.id AND target.node_id = edge.value ->> 'to' AND NOT target.items_full
    JOIN public.workflow_events parent ON parent.id = NEW.event_id AND parent.depth <= 1000
    WHERE run.id = NEW.run_id AND run.stop IS NULL AND edge.value ->> 'from' = NEW.node_id AND edge.value ->> 'channel' = 'error'
    GROUP BY n.name;
    IF NOT FOUND THEN
        RETURN NEW;
    END IF;
    INSERT INTO public.workflow_events (id, workflow_id, node_id, root_event_id, run_id, channel, type, data, targets, depth, execution_id,
        redactions, created_at)
    SELECT error_id, NEW.workflow_id, NEW.node_id, NEW.root_event_id, NEW.run_id, 'error', NEW.component || '.error',
        jsonb_build_object('reason', NEW.result_reason, 'message', coalesce(NEW.result_message, ''), 'node', node_name), taken_by,
        parent.depth + 1, NEW.id,
        -- The mark that a text was scrubbed goes along: no field that may hold a secret takes it.
        CASE WHEN NEW.metadata @> '{"message_scrubbed": true}' THEN '{"scrubbed": ["/message"]}'::jsonb END, NEW.finished_at
    FROM public.workflow_events parent WHERE parent.id = NEW.event_id;
    INSERT INTO public.workflow_node_queue_items (id, workflow_id, node_id, root_event_id, run_id, event_id, node_generation, concurrency_key,
        created_at, last_sent_at)
    SELECT public.derived_id(NEW.id, 'error to ' || n.node_id), NEW.workflow_id, n.node_id, NEW.root_event_id, NEW.run_id, error_id,
        n.generation, CASE WHEN n.concurrency_key IS NULL THEN '' END, NEW.finished_at, NEW.finished_at
    FROM public.workflow_nodes n WHERE n.workflow_id = NEW.workflow_id AND n.node_id = ANY(taken_by);
    NEW.failure_routed := true;
    RETURN NEW;
END $$;


--
-- Name: FUNCTION route_error(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.route_error() IS 'Of an execution that fails: where an edge leaves its node on error, an event with the reason, routed to the edges'' nodes that are not full.';


--
-- Name: runs_kept_days(integer, integer, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.runs_kept_days(own_days integer, operators_days integer, deleted_at timestamp with time zone) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT least(own_days, operators_days, CASE WHEN deleted_at IS NOT NULL THEN 90 END)
$$;


--
-- Name: FUNCTION runs_kept_days(own_days integer, operators_days integer, deleted_at timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.runs_kept_days(own_days integer, operators_days integer, deleted_at timestamp with time zone) IS 'Days for which finished runs of an organization are kept; null: for ever.';


--
-- Name: stop_marked_run(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.stop_marked_run() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    UPDATE public.workflow_runs SET stop = NEW.reason, stopped_by = NEW.created_by, updated_at = NEW.created_at
    WHERE id = NEW.root_event_id AND stop IS NULL;
    RETURN NULL;
END
$$;


--
-- Name: FUNCTION stop_marked_run(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.stop_marked_run() IS 'Stops the run that code before V14 has marked.';


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: api_tokens; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.api_tokens (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    token_sha256 bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    expires_at timestamp with time zone,
    created_by text,
    CONSTRAINT api_tokens_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 128))),
    CONSTRAINT api_tokens_token_sha256_check CHECK ((octet_length(token_sha256) = 32))
);


--
-- Name: TABLE api_tokens; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.api_tokens IS 'Credentials of the management API.';


--
-- Name: COLUMN api_tokens.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_tokens.id IS 'UUIDv7.';


--
-- Name: COLUMN api_tokens.organization_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_tokens.organization_id IS 'The one organization that the token reaches.';


--
-- Name: COLUMN api_tokens.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_tokens.name IS 'What the token is for.';


--
-- Name: COLUMN api_tokens.token_sha256; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_tokens.token_sha256 IS 'SHA-256 of the token; the token itself is shown once and kept nowhere.';


--
-- Name: COLUMN api_tokens.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_tokens.created_at IS 'When it was made.';


--
-- Name: COLUMN api_tokens.revoked_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_tokens.revoked_at IS 'Set when it may no longer be used.';


--
-- Name: COLUMN api_tokens.expires_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_tokens.expires_at IS 'From when it is refused; null: never.';


--
-- Name: COLUMN api_tokens.created_by; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_tokens.created_by IS 'Who made it; null for an organization''s first one.';


--
-- Name: function_heartbeats; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.function_heartbeats (
    function text NOT NULL,
    committed_at timestamp with time zone NOT NULL,
    CONSTRAINT function_heartbeats_function_check CHECK ((function = ANY (ARRAY['builder'::text, 'executor'::text])))
);


--
-- Name: TABLE function_heartbeats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.function_heartbeats IS 'When each function last committed work, for the sweeper''s judgement of what can''t be delivered.';


--
-- Name: COLUMN function_heartbeats.function; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.function_heartbeats.function IS 'The function.';


--
-- Name: COLUMN function_heartbeats.committed_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.function_heartbeats.committed_at IS 'Its last commit of work, to within ten seconds.';


--
-- Name: organizations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.organizations (
    id uuid NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    retention_days integer DEFAULT 90,
    CONSTRAINT organizations_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 128))),
    CONSTRAINT organizations_retention CHECK (((retention_days >= 1) AND (retention_days <= 3650)))
);


--
-- Name: TABLE organizations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.organizations IS 'A tenant. Everything belongs to exactly one.';


--
-- Name: COLUMN organizations.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.organizations.id IS 'UUIDv7, made by the process that inserts.';


--
-- Name: COLUMN organizations.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.organizations.name IS 'What people call it.';


--
-- Name: COLUMN organizations.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.organizations.created_at IS 'When it was made.';


--
-- Name: COLUMN organizations.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.organizations.updated_at IS 'When it last changed.';


--
-- Name: COLUMN organizations.deleted_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.organizations.deleted_at IS 'Set when it was deleted; nothing of it runs from then on.';


--
-- Name: COLUMN organizations.retention_days; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.organizations.retention_days IS 'Days for which a finished run is kept; null: for ever. An operator''s maximum counts too.';


--
-- Name: refinery_schema_history; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.refinery_schema_history (
    version integer NOT NULL,
    name character varying(255),
    applied_on character varying(255),
    checksum character varying(255)
);


--
-- Name: schema_facts; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.schema_facts (
    only_row boolean DEFAULT true NOT NULL,
    version integer NOT NULL,
    oldest_code integer NOT NULL,
    CONSTRAINT schema_facts_check CHECK (((oldest_code >= 1) AND (oldest_code <= version))),
    CONSTRAINT schema_facts_only_row_check CHECK (only_row),
    CONSTRAINT schema_facts_version_check CHECK ((version >= 8))
);


--
-- Name: TABLE schema_facts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.schema_facts IS 'What code may use this schema: one row.';


--
-- Name: COLUMN schema_facts.only_row; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schema_facts.only_row IS 'Keeps it at one row.';


--
-- Name: COLUMN schema_facts.version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schema_facts.version IS 'Number of the newest migration that ran.';


--
-- Name: COLUMN schema_facts.oldest_code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.schema_facts.oldest_code IS 'Code may use the schema if it was built with this migration or a later one.';


--
-- Name: secrets; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.secrets (
    id uuid NOT NULL,
    name text NOT NULL,
    domain_type text NOT NULL,
    domain_id uuid NOT NULL,
    provider text DEFAULT 'local'::text NOT NULL,
    data bytea NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT secrets_domain_type_check CHECK ((domain_type = 'org'::text)),
    CONSTRAINT secrets_name_check CHECK ((name ~ '^[A-Za-z0-9_.-]{1,128}$'::text)),
    CONSTRAINT secrets_provider_check CHECK ((provider = 'local'::text))
);


--
-- Name: TABLE secrets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.secrets IS 'Secrets of an organization. Values are sealed, each by itself.';


--
-- Name: COLUMN secrets.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.secrets.id IS 'UUIDv7; part of the encryption context.';


--
-- Name: COLUMN secrets.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.secrets.name IS 'What expressions call it; a name is never changed.';


--
-- Name: COLUMN secrets.domain_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.secrets.domain_type IS 'What kind of owner.';


--
-- Name: COLUMN secrets.domain_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.secrets.domain_id IS 'The owner: an organization''s id. No foreign key.';


--
-- Name: COLUMN secrets.provider; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.secrets.provider IS 'Where values are kept: local means sealed here.';


--
-- Name: COLUMN secrets.data; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.secrets.data IS 'A version byte and entries {key name, allowed hosts, wrapped data key, nonce, ciphertext}.';


--
-- Name: COLUMN secrets.created_by; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.secrets.created_by IS 'The token or user that made it.';


--
-- Name: COLUMN secrets.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.secrets.created_at IS 'When it was made.';


--
-- Name: COLUMN secrets.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.secrets.updated_at IS 'When a value last changed.';


--
-- Name: webhook_deduplications; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.webhook_deduplications (
    webhook_id uuid NOT NULL,
    key text NOT NULL,
    event_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT webhook_deduplications_key_check CHECK (((octet_length(key) >= 1) AND (octet_length(key) <= 256)))
);


--
-- Name: TABLE webhook_deduplications; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.webhook_deduplications IS 'Deliveries seen in the last 24 hours, by the sender''s key.';


--
-- Name: COLUMN webhook_deduplications.webhook_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_deduplications.webhook_id IS 'The webhook that the key is scoped to.';


--
-- Name: COLUMN webhook_deduplications.key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_deduplications.key IS 'The sender''s key.';


--
-- Name: COLUMN webhook_deduplications.event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_deduplications.event_id IS 'The first event with that key.';


--
-- Name: COLUMN webhook_deduplications.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhook_deduplications.created_at IS 'When that was.';


--
-- Name: webhooks; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.webhooks (
    id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    address text NOT NULL,
    authentication text NOT NULL,
    header_name text,
    deduplication_header text,
    signing_keys bytea,
    current_key_name text,
    token_sha256 bytea,
    previous_token_sha256 bytea,
    previous_until timestamp with time zone,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    previous_signing_keys bytea,
    CONSTRAINT webhooks_address_check CHECK (((char_length(address) >= 22) AND (char_length(address) <= 64))),
    CONSTRAINT webhooks_authentication_check CHECK ((authentication = ANY (ARRAY['signature'::text, 'bearer'::text, 'header_token'::text, 'none'::text]))),
    CONSTRAINT webhooks_credential CHECK (
CASE authentication
    WHEN 'signature'::text THEN ((signing_keys IS NOT NULL) AND (token_sha256 IS NULL))
    WHEN 'none'::text THEN ((signing_keys IS NULL) AND (token_sha256 IS NULL))
    ELSE ((token_sha256 IS NOT NULL) AND (signing_keys IS NULL))
END),
    CONSTRAINT webhooks_current_key CHECK (((signing_keys IS NULL) = (current_key_name IS NULL))),
    CONSTRAINT webhooks_previous_signing_key CHECK (((previous_signing_keys IS NULL) OR ((signing_keys IS NOT NULL) AND (previous_until IS NOT NULL)))),
    CONSTRAINT webhooks_previous_token CHECK (((previous_token_sha256 IS NULL) OR ((token_sha256 IS NOT NULL) AND (previous_until IS NOT NULL)))),
    CONSTRAINT webhooks_previous_token_sha256_check CHECK ((octet_length(previous_token_sha256) = 32)),
    CONSTRAINT webhooks_token_sha256_check CHECK ((octet_length(token_sha256) = 32)),
    CONSTRAINT webhooks_version_check CHECK ((version >= 1))
);


--
-- Name: TABLE webhooks; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.webhooks IS 'Public addresses of webhook triggers.';


--
-- Name: COLUMN webhooks.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.id IS 'UUIDv7; part of the encryption context of its signing keys.';


--
-- Name: COLUMN webhooks.workflow_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.workflow_id IS 'The workflow.';


--
-- Name: COLUMN webhooks.node_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.node_id IS 'The trigger node.';


--
-- Name: COLUMN webhooks.address; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.address IS 'The last part of its URL: 128 random bits. Readable, for authentication does not rest on it.';


--
-- Name: COLUMN webhooks.authentication; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.authentication IS 'How a caller shows that it may post.';


--
-- Name: COLUMN webhooks.header_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.header_name IS 'The header of the signature or token, lower case; null for bearer and none.';


--
-- Name: COLUMN webhooks.deduplication_header; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.deduplication_header IS 'The header whose value makes deliveries the same, lower case; null: none.';


--
-- Name: COLUMN webhooks.signing_keys; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.signing_keys IS 'Sealed entries (purpose webhook): the current key; only for signature.';


--
-- Name: COLUMN webhooks.current_key_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.current_key_name IS 'The name of the current entry. A key keeps its name for life, for its sealed bytes are bound to it.';


--
-- Name: COLUMN webhooks.token_sha256; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.token_sha256 IS 'SHA-256 of the token; only for bearer and header_token.';


--
-- Name: COLUMN webhooks.previous_token_sha256; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.previous_token_sha256 IS 'The token before a rotation.';


--
-- Name: COLUMN webhooks.previous_until; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.previous_until IS 'Until when the previous key or token is taken; null: none is. Then the sweeper forgets all three.';


--
-- Name: COLUMN webhooks.version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.version IS 'Raised by each change of its key or authentication; cached webhooks are bound to it.';


--
-- Name: COLUMN webhooks.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.created_at IS 'When it was made.';


--
-- Name: COLUMN webhooks.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.updated_at IS 'When its key or authentication last changed.';


--
-- Name: COLUMN webhooks.deleted_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.deleted_at IS 'Set when its node was removed or its organization deleted.';


--
-- Name: COLUMN webhooks.previous_signing_keys; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.webhooks.previous_signing_keys IS 'The sealed entry of the key before a rotation, as long as it is taken.';


--
-- Name: workflow_events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workflow_events (
    id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    root_event_id uuid NOT NULL,
    channel text NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL,
    custom_name text,
    targets text[] NOT NULL,
    depth integer NOT NULL,
    hops integer DEFAULT 0 NOT NULL,
    execution_id uuid,
    created_at timestamp with time zone NOT NULL,
    redactions jsonb,
    locked smallint DEFAULT 0 NOT NULL,
    run_id uuid NOT NULL,
    CONSTRAINT workflow_events_channel_check CHECK (((char_length(channel) >= 1) AND (char_length(channel) <= 64))),
    CONSTRAINT workflow_events_custom_name_check CHECK ((char_length(custom_name) <= 256)),
    CONSTRAINT workflow_events_depth_check CHECK (((depth >= 1) AND (depth <= 1001))),
    CONSTRAINT workflow_events_hops_check CHECK (((hops >= 0) AND (hops <= 10))),
    CONSTRAINT workflow_events_redactions_check CHECK ((jsonb_typeof(redactions) = 'object'::text)),
    CONSTRAINT workflow_events_root CHECK ((((execution_id IS NULL) = (root_event_id = id)) OR (type = 'redrive'::text))),
    CONSTRAINT workflow_events_type_check CHECK (((char_length(type) >= 1) AND (char_length(type) <= 128)))
);


--
-- Name: TABLE workflow_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.workflow_events IS 'Something that happened: a trigger fired or an execution emitted. Immutable.';


--
-- Name: COLUMN workflow_events.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.id IS 'UUIDv7.';


--
-- Name: COLUMN workflow_events.workflow_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.workflow_id IS 'The workflow.';


--
-- Name: COLUMN workflow_events.node_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.node_id IS 'The node that it comes from.';


--
-- Name: COLUMN workflow_events.root_event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.root_event_id IS 'The root of its run; its own id for a root event.';


--
-- Name: COLUMN workflow_events.channel; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.channel IS 'The channel that it left on.';


--
-- Name: COLUMN workflow_events.type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.type IS 'What kind of event, such as webhook or http.success.';


--
-- Name: COLUMN workflow_events.data; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.data IS 'What happened, after scrubbing.';


--
-- Name: COLUMN workflow_events.custom_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.custom_name IS 'The run''s name, for root events.';


--
-- Name: COLUMN workflow_events.targets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.targets IS 'The nodes that it was routed to.';


--
-- Name: COLUMN workflow_events.depth; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.depth IS 'Events from the root down to this one; 1 for the root.';


--
-- Name: COLUMN workflow_events.hops; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.hops IS 'For root events: how often sealflow has called sealflow on the way here.';


--
-- Name: COLUMN workflow_events.execution_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.execution_id IS 'The execution that emitted it; null for a root event.';


--
-- Name: COLUMN workflow_events.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.created_at IS 'When it happened.';


--
-- Name: COLUMN workflow_events.redactions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.redactions IS 'Places of data that were blanked, as lists of JSON pointers: redacted, scrubbed; null for none.';


--
-- Name: COLUMN workflow_events.locked; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.locked IS 'Never written. UPDATE on it is what lets a role lock the row of a run''s root event and change nothing.';


--
-- Name: COLUMN workflow_events.run_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_events.run_id IS 'The run that it is of.';


--
-- Name: workflow_execution_calls; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workflow_execution_calls (
    id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    call text NOT NULL,
    called_by text NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    handled_at timestamp with time zone,
    CONSTRAINT workflow_execution_calls_call_check CHECK ((call = 'release'::text))
);


--
-- Name: TABLE workflow_execution_calls; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.workflow_execution_calls IS 'Calls that people make of held executions. The API alone inserts them: another function that is taken over decides for nobody.';


--
-- Name: COLUMN workflow_execution_calls.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_execution_calls.id IS 'UUIDv7.';


--
-- Name: COLUMN workflow_execution_calls.workflow_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_execution_calls.workflow_id IS 'The workflow.';


--
-- Name: COLUMN workflow_execution_calls.execution_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_execution_calls.execution_id IS 'The held execution.';


--
-- Name: COLUMN workflow_execution_calls.call; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_execution_calls.call IS 'The call.';


--
-- Name: COLUMN workflow_execution_calls.called_by; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_execution_calls.called_by IS 'The token or user that made it.';


--
-- Name: COLUMN workflow_execution_calls.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_execution_calls.created_at IS 'When it was made, by the database''s clock.';


--
-- Name: COLUMN workflow_execution_calls.handled_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_execution_calls.handled_at IS 'When the wake that read it was recorded.';


--
-- Name: workflow_execution_wakes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workflow_execution_wakes (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    workflow_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    cause text NOT NULL,
    caused_by text,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    handled_at timestamp with time zone,
    CONSTRAINT workflow_execution_wakes_cause_check CHECK ((cause = ANY (ARRAY['stopped'::text, 'cancelled'::text, 'node_removed'::text])))
);


--
-- Name: TABLE workflow_execution_wakes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.workflow_execution_wakes IS 'Causes for which held executions are woken. Rows are inserted, so that nobody but its own wake changes the execution.';


--
-- Name: COLUMN workflow_execution_wakes.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_execution_wakes.id IS 'Random; the order is that of created_at.';


--
-- Name: COLUMN workflow_execution_wakes.workflow_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_execution_wakes.workflow_id IS 'The workflow.';


--
-- Name: COLUMN workflow_execution_wakes.execution_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_execution_wakes.execution_id IS 'The held execution.';


--
-- Name: COLUMN workflow_execution_wakes.cause; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_execution_wakes.cause IS 'The cause.';


--
-- Name: COLUMN workflow_execution_wakes.caused_by; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_execution_wakes.caused_by IS 'The token, user or function behind it.';


--
-- Name: COLUMN workflow_execution_wakes.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_execution_wakes.created_at IS 'When it was written, by the database''s clock.';


--
-- Name: COLUMN workflow_execution_wakes.handled_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_execution_wakes.handled_at IS 'When the wake that read it was recorded.';


--
-- Name: workflow_node_execution_kvs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workflow_node_execution_kvs (
    id uuid NOT NULL,
    execution_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    CONSTRAINT workflow_node_execution_kvs_key_check CHECK (((octet_length(key) >= 1) AND (octet_length(key) <= 1024))),
    CONSTRAINT workflow_node_execution_kvs_value_check CHECK ((octet_length(value) <= 1024))
);


--
-- Name: TABLE workflow_node_execution_kvs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.workflow_node_execution_kvs IS 'Keys by which executions are found.';


--
-- Name: COLUMN workflow_node_execution_kvs.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_execution_kvs.id IS 'UUIDv7.';


--
-- Name: COLUMN workflow_node_execution_kvs.execution_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_execution_kvs.execution_id IS 'The execution.';


--
-- Name: COLUMN workflow_node_execution_kvs.workflow_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_execution_kvs.workflow_id IS 'The workflow.';


--
-- Name: COLUMN workflow_node_execution_kvs.node_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_execution_kvs.node_id IS 'The node.';


--
-- Name: COLUMN workflow_node_execution_kvs.key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_execution_kvs.key IS 'The key''s name, from the node''s `keys`.';


--
-- Name: COLUMN workflow_node_execution_kvs.value; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_execution_kvs.value IS 'What its template resolved to.';


--
-- Name: workflow_node_executions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workflow_node_executions (
    id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    root_event_id uuid NOT NULL,
    event_id uuid NOT NULL,
    previous_execution_id uuid,
    parent_execution_id uuid,
    state text NOT NULL,
    result text,
    result_reason text,
    result_message text,
    component text NOT NULL,
    configuration jsonb NOT NULL,
    residuals jsonb DEFAULT '[]'::jsonb NOT NULL,
    policy jsonb DEFAULT '{}'::jsonb NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    workflow_version bigint NOT NULL,
    node_version bigint NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    key_attempt integer DEFAULT 1 NOT NULL,
    crashes integer DEFAULT 0 NOT NULL,
    run_at timestamp with time zone,
    lease_token uuid,
    lease_until timestamp with time zone,
    last_sent_at timestamp with time zone NOT NULL,
    sent_count integer DEFAULT 0 NOT NULL,
    cancelled_by text,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    redriven_event_id uuid,
    concurrency_key text,
    node_generation integer,
    run_id uuid NOT NULL,
    failure_routed boolean DEFAULT false NOT NULL,
    held jsonb,
    wake_at timestamp with time zone,
    woken_until timestamp with time zone,
    CONSTRAINT workflow_node_executions_attempts CHECK (((LEAST(attempt, key_attempt) >= 1) AND (GREATEST(attempt, key_attempt) <= 30))),
    CONSTRAINT workflow_node_executions_concurrency_key_check CHECK ((octet_length(concurrency_key) <= 1024)),
    CONSTRAINT workflow_node_executions_counts CHECK ((LEAST(crashes, sent_count) >= 0)),
    CONSTRAINT workflow_node_executions_finished CHECK ((((state = 'finished'::text) = (result IS NOT NULL)) AND ((result IS NULL) = (finished_at IS NULL)))),
    CONSTRAINT workflow_node_executions_held_check CHECK ((((held IS NOT NULL) = (state = 'held'::text)) AND ((held IS NOT NULL) OR (COALESCE(wake_at, woken_until) IS NULL)))),
    CONSTRAINT workflow_node_executions_lease CHECK ((((lease_token IS NOT NULL) = (state = ANY ('{started,cancelling}'::text[]))) AND ((lease_token IS NULL) = (lease_until IS NULL)))),
    CONSTRAINT workflow_node_executions_reason CHECK (((result_reason IS NULL) OR (result <> 'passed'::text))),
    CONSTRAINT workflow_node_executions_redriven CHECK (((redriven_event_id IS NULL) OR (COALESCE(result, 'passed'::text) = 'failed'::text))),
    CONSTRAINT workflow_node_executions_residuals_check CHECK ((jsonb_typeof(residuals) = 'array'::text)),
    CONSTRAINT workflow_node_executions_result_check CHECK ((result = ANY ('{passed,failed,cancelled}'::text[]))),
    CONSTRAINT workflow_node_executions_result_reason_check CHECK ((result_reason = ANY ('{template_error,redacted,secret_missing,secret_denied,component_error,timeout,limit,run_limit,cancelled,node_removed,crashed,undeliverable}'::text[]))),
    CONSTRAINT workflow_node_executions_state_check CHECK ((state = ANY ('{pending,started,held,cancelling,finished}'::text[])))
);


--
-- Name: TABLE workflow_node_executions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.workflow_node_executions IS 'One run of a node over one event.';


--
-- Name: COLUMN workflow_node_executions.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.id IS 'UUIDv7.';


--
-- Name: COLUMN workflow_node_executions.workflow_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.workflow_id IS 'The workflow.';


--
-- Name: COLUMN workflow_node_executions.node_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.node_id IS 'The node.';


--
-- Name: COLUMN workflow_node_executions.root_event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.root_event_id IS 'The run.';


--
-- Name: COLUMN workflow_node_executions.event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.event_id IS 'The event that it works on.';


--
-- Name: COLUMN workflow_node_executions.previous_execution_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.previous_execution_id IS 'The execution that emitted that event; null after a trigger.';


--
-- Name: COLUMN workflow_node_executions.parent_execution_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.parent_execution_id IS 'The blueprint''s or loop''s execution that it runs inside of.';


--
-- Name: COLUMN workflow_node_executions.state; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.state IS 'Where it stands.';


--
-- Name: COLUMN workflow_node_executions.result; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.result IS 'How it ended.';


--
-- Name: COLUMN workflow_node_executions.result_reason; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.result_reason IS 'Why it did not pass.';


--
-- Name: COLUMN workflow_node_executions.result_message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.result_message IS 'A sentence for the person who wrote the workflow; never a secret''s value.';


--
-- Name: COLUMN workflow_node_executions.component; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.component IS 'The component that it was built with.';


--
-- Name: COLUMN workflow_node_executions.configuration; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.configuration IS 'The configuration as people see it: resolved, secrets shown as the reference that the author wrote.';


--
-- Name: COLUMN workflow_node_executions.residuals; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.residuals IS 'The fields of the configuration that hold secrets, each as its parts: known text and references.';


--
-- Name: COLUMN workflow_node_executions.policy; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.policy IS 'What else of the node the executor needs: {retry, redact}.';


--
-- Name: COLUMN workflow_node_executions.metadata; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.metadata IS 'Facts about its course: attempts with their errors, secrets opened, places scrubbed.';


--
-- Name: COLUMN workflow_node_executions.workflow_version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.workflow_version IS 'workflows.version that it was built with.';


--
-- Name: COLUMN workflow_node_executions.node_version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.node_version IS 'workflow_nodes.version that it was built with; its secret references are those of that version.';


--
-- Name: COLUMN workflow_node_executions.attempt; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.attempt IS 'The attempt that is at work or comes next, from 1.';


--
-- Name: COLUMN workflow_node_executions.key_attempt; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.key_attempt IS 'The attempt whose idempotency key is sent: it goes up only after an answer was received.';


--
-- Name: COLUMN workflow_node_executions.crashes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.crashes IS 'Claims in a row without a recorded outcome.';


--
-- Name: COLUMN workflow_node_executions.run_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.run_at IS 'Not before this time (a retry); null: at once.';


--
-- Name: COLUMN workflow_node_executions.lease_token; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.lease_token IS 'Names the claim that may finish it.';


--
-- Name: COLUMN workflow_node_executions.lease_until; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.lease_until IS 'When the claim lapses, by the database''s clock.';


--
-- Name: COLUMN workflow_node_executions.last_sent_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.last_sent_at IS 'When the sweeper last sent a wake; at first created_at. Only the sweeper writes it.';


--
-- Name: COLUMN workflow_node_executions.sent_count; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.sent_count IS 'Wakes that the sweeper sent.';


--
-- Name: COLUMN workflow_node_executions.cancelled_by; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.cancelled_by IS 'The token or user that cancelled it.';


--
-- Name: COLUMN workflow_node_executions.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.created_at IS 'When the builder made it.';


--
-- Name: COLUMN workflow_node_executions.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.updated_at IS 'When its state last changed.';


--
-- Name: COLUMN workflow_node_executions.started_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.started_at IS 'When it was first claimed.';


--
-- Name: COLUMN workflow_node_executions.finished_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.finished_at IS 'When it ended.';


--
-- Name: COLUMN workflow_node_executions.redriven_event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.redriven_event_id IS 'The copy of its event with which it was redriven; what counts is what came of that.';


--
-- Name: COLUMN workflow_node_executions.concurrency_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.concurrency_key IS 'The concurrency key of which it holds a slot while it is active; null for the key ''''.';


--
-- Name: COLUMN workflow_node_executions.node_generation; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.node_generation IS 'workflow_nodes.generation when it was made: one of an earlier life ends without a start; null: made by code before V12.';


--
-- Name: COLUMN workflow_node_executions.run_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.run_id IS 'The run that it is of.';


--
-- Name: COLUMN workflow_node_executions.failure_routed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.failure_routed IS 'Whether an edge took its failure: then it fails nothing but itself.';


--
-- Name: COLUMN workflow_node_executions.held; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.held IS 'The few facts that the component of a held execution keeps; null in any other state.';


--
-- Name: COLUMN workflow_node_executions.wake_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.wake_at IS 'When a held execution is to be woken; null: by no time.';


--
-- Name: COLUMN workflow_node_executions.woken_until; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_executions.woken_until IS 'Until when somebody wakes a held execution alone: meanwhile nobody else counts a crash on it.';


--
-- Name: workflow_node_queue_items; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workflow_node_queue_items (
    id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    root_event_id uuid NOT NULL,
    event_id uuid NOT NULL,
    node_generation integer NOT NULL,
    crashes integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_sent_at timestamp with time zone NOT NULL,
    sent_count integer DEFAULT 0 NOT NULL,
    concurrency_key text,
    suspect_until timestamp with time zone,
    run_id uuid NOT NULL,
    CONSTRAINT workflow_node_queue_items_concurrency_key_check CHECK ((octet_length(concurrency_key) <= 1024)),
    CONSTRAINT workflow_node_queue_items_counts CHECK ((LEAST(crashes, sent_count) >= 0))
);


--
-- Name: TABLE workflow_node_queue_items; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.workflow_node_queue_items IS 'An event that waits at a node. Consumed by exactly one execution.';


--
-- Name: COLUMN workflow_node_queue_items.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_queue_items.id IS 'UUIDv7.';


--
-- Name: COLUMN workflow_node_queue_items.workflow_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_queue_items.workflow_id IS 'The workflow.';


--
-- Name: COLUMN workflow_node_queue_items.node_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_queue_items.node_id IS 'The node that it waits at.';


--
-- Name: COLUMN workflow_node_queue_items.root_event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_queue_items.root_event_id IS 'The run.';


--
-- Name: COLUMN workflow_node_queue_items.event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_queue_items.event_id IS 'The event that waits.';


--
-- Name: COLUMN workflow_node_queue_items.node_generation; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_queue_items.node_generation IS 'workflow_nodes.generation when it was routed; of an earlier life it ends as node_removed.';


--
-- Name: COLUMN workflow_node_queue_items.crashes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_queue_items.crashes IS 'Times that a builder ended while it worked on this item alone.';


--
-- Name: COLUMN workflow_node_queue_items.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_queue_items.created_at IS 'When it was routed; with id the order of a limited node.';


--
-- Name: COLUMN workflow_node_queue_items.last_sent_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_queue_items.last_sent_at IS 'When the sweeper last sent a wake; at first created_at. Only the sweeper writes it.';


--
-- Name: COLUMN workflow_node_queue_items.sent_count; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_queue_items.sent_count IS 'Wakes that the sweeper sent.';


--
-- Name: COLUMN workflow_node_queue_items.concurrency_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_queue_items.concurrency_key IS 'What its node''s concurrency key came to, '''' at a node without one. Not resolved yet: null, '''' at a node with a key, and anything else at one without.';


--
-- Name: COLUMN workflow_node_queue_items.suspect_until; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_queue_items.suspect_until IS 'Until when the builder that works on this item alone is taken to live; null: nobody does.';


--
-- Name: COLUMN workflow_node_queue_items.run_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_queue_items.run_id IS 'The run that it is of.';


--
-- Name: workflow_node_secret_refs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workflow_node_secret_refs (
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    node_version bigint NOT NULL,
    secret_name text NOT NULL,
    secret_key text NOT NULL,
    field text DEFAULT ''::text NOT NULL
);


--
-- Name: TABLE workflow_node_secret_refs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.workflow_node_secret_refs IS 'Which keys of which secrets a version of a node may open. Only the API''s role writes it.';


--
-- Name: COLUMN workflow_node_secret_refs.workflow_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_secret_refs.workflow_id IS 'The workflow.';


--
-- Name: COLUMN workflow_node_secret_refs.node_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_secret_refs.node_id IS 'The node.';


--
-- Name: COLUMN workflow_node_secret_refs.node_version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_secret_refs.node_version IS 'workflow_nodes.version.';


--
-- Name: COLUMN workflow_node_secret_refs.secret_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_secret_refs.secret_name IS 'secrets.name.';


--
-- Name: COLUMN workflow_node_secret_refs.secret_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_secret_refs.secret_key IS 'The key in that secret.';


--
-- Name: COLUMN workflow_node_secret_refs.field; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_node_secret_refs.field IS 'JSON pointer of the field that refers to it; empty: any field, of versions that were applied before V9.';


--
-- Name: workflow_nodes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workflow_nodes (
    workflow_id uuid NOT NULL,
    node_id text NOT NULL,
    name text NOT NULL,
    type text NOT NULL,
    state text DEFAULT 'ready'::text NOT NULL,
    state_reason text,
    ref jsonb NOT NULL,
    configuration jsonb NOT NULL,
    parent_node_id text,
    webhook_id uuid,
    app_installation_id uuid,
    concurrency_max integer,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    "position" jsonb,
    version bigint NOT NULL,
    generation integer DEFAULT 1 NOT NULL,
    items_full boolean DEFAULT false NOT NULL,
    locked smallint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    concurrency_key text,
    CONSTRAINT workflow_nodes_concurrency_max_check CHECK ((concurrency_max >= 1)),
    CONSTRAINT workflow_nodes_generation_check CHECK ((generation >= 1)),
    CONSTRAINT workflow_nodes_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 128))),
    CONSTRAINT workflow_nodes_node_id_check CHECK (((char_length(node_id) >= 1) AND (char_length(node_id) <= 64))),
    CONSTRAINT workflow_nodes_state_check CHECK ((state = ANY (ARRAY['ready'::text, 'error'::text]))),
    CONSTRAINT workflow_nodes_type_check CHECK ((type = ANY (ARRAY['trigger'::text, 'component'::text, 'blueprint'::text]))),
    CONSTRAINT workflow_nodes_version_check CHECK ((version >= 1))
);


--
-- Name: TABLE workflow_nodes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.workflow_nodes IS 'A node of a workflow, live or removed.';


--
-- Name: COLUMN workflow_nodes.workflow_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.workflow_id IS 'The workflow.';


--
-- Name: COLUMN workflow_nodes.node_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.node_id IS 'Stable, chosen by the author.';


--
-- Name: COLUMN workflow_nodes.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.name IS 'What people see and expressions use; unique among live nodes of the workflow.';


--
-- Name: COLUMN workflow_nodes.type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.type IS 'What the node is.';


--
-- Name: COLUMN workflow_nodes.state; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.state IS 'Whether it can work.';


--
-- Name: COLUMN workflow_nodes.state_reason; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.state_reason IS 'Why it can''t.';


--
-- Name: COLUMN workflow_nodes.ref; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.ref IS 'Which trigger, component or blueprint: {"component": "http"}.';


--
-- Name: COLUMN workflow_nodes.configuration; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.configuration IS 'The template as the author wrote it, {{ }} unresolved.';


--
-- Name: COLUMN workflow_nodes.parent_node_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.parent_node_id IS 'The blueprint node that it was expanded from.';


--
-- Name: COLUMN workflow_nodes.webhook_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.webhook_id IS 'Its webhook, for webhook triggers.';


--
-- Name: COLUMN workflow_nodes.app_installation_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.app_installation_id IS 'Reserved for installed apps.';


--
-- Name: COLUMN workflow_nodes.concurrency_max; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.concurrency_max IS 'How many executions may be active at once; null: no limit.';


--
-- Name: COLUMN workflow_nodes.metadata; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.metadata IS 'Facts for people and tools.';


--
-- Name: COLUMN workflow_nodes."position"; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes."position" IS 'Where the console draws it: {"x", "y"}.';


--
-- Name: COLUMN workflow_nodes.version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.version IS 'The workflow''s version when this node last changed; secret references are bound to it.';


--
-- Name: COLUMN workflow_nodes.generation; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.generation IS 'Raised when a removed id is added again: items of an earlier life do not revive.';


--
-- Name: COLUMN workflow_nodes.items_full; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.items_full IS 'Whether the node has as many waiting items as are allowed; kept by builder and sweeper.';


--
-- Name: COLUMN workflow_nodes.locked; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.locked IS 'Never written. UPDATE on it is what lets a role lock the row (FOR NO KEY UPDATE) and change nothing.';


--
-- Name: COLUMN workflow_nodes.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.created_at IS 'When it first appeared.';


--
-- Name: COLUMN workflow_nodes.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.updated_at IS 'When it last changed.';


--
-- Name: COLUMN workflow_nodes.deleted_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.deleted_at IS 'Set when it was removed from the workflow.';


--
-- Name: COLUMN workflow_nodes.concurrency_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_nodes.concurrency_key IS 'Template of its concurrency key: concurrency_max holds for each value by itself; null: for the node as a whole.';


--
-- Name: workflow_run_marks; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workflow_run_marks (
    root_event_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    reason text NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT workflow_run_marks_reason_check CHECK ((reason = ANY (ARRAY['cancelled'::text, 'run_limit'::text])))
);


--
-- Name: TABLE workflow_run_marks; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.workflow_run_marks IS 'A run that is to end: cancelled, or past a limit. A mark, not a lock: writers re-read it.';


--
-- Name: COLUMN workflow_run_marks.root_event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_run_marks.root_event_id IS 'The run.';


--
-- Name: COLUMN workflow_run_marks.workflow_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_run_marks.workflow_id IS 'The workflow.';


--
-- Name: COLUMN workflow_run_marks.reason; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_run_marks.reason IS 'Why it ends.';


--
-- Name: COLUMN workflow_run_marks.created_by; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_run_marks.created_by IS 'The token, user or function that marked it.';


--
-- Name: COLUMN workflow_run_marks.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_run_marks.created_at IS 'When it was marked.';


--
-- Name: workflow_runs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workflow_runs (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    workflow_id uuid NOT NULL,
    workflow_version bigint NOT NULL,
    node_id text NOT NULL,
    root_event_id uuid NOT NULL,
    parent_run_id uuid,
    parent_execution_id uuid,
    iteration integer,
    path uuid[] NOT NULL,
    name text,
    state text NOT NULL,
    result text,
    stop text,
    stopped_by text,
    due_at timestamp with time zone,
    looked_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    expired_at timestamp with time zone,
    CONSTRAINT workflow_runs_finished CHECK ((((state = 'finished'::text) = (result IS NOT NULL)) AND ((result IS NULL) = (finished_at IS NULL)))),
    CONSTRAINT workflow_runs_result_check CHECK ((result = ANY ('{passed,failed,cancelled}'::text[]))),
    CONSTRAINT workflow_runs_state_check CHECK ((state = ANY ('{running,finished}'::text[]))),
    CONSTRAINT workflow_runs_stop CHECK (((stop IS NULL) = (stopped_by IS NULL))),
    CONSTRAINT workflow_runs_stop_check CHECK ((stop = ANY ('{cancelled,run_limit,timeout,owner}'::text[]))),
    CONSTRAINT workflow_runs_top CHECK (((root_event_id = id) AND (path = ARRAY[id]) AND (num_nonnulls(parent_run_id, parent_execution_id, iteration) = 0)))
);


--
-- Name: TABLE workflow_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.workflow_runs IS 'A run: what began with one event of a trigger, or with one turn of an execution that owns it.';


--
-- Name: COLUMN workflow_runs.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.id IS 'The id of its root event; of a sub-run a UUIDv7 of its own.';


--
-- Name: COLUMN workflow_runs.organization_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.organization_id IS 'The tenant; lists read this table alone.';


--
-- Name: COLUMN workflow_runs.workflow_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.workflow_id IS 'The workflow.';


--
-- Name: COLUMN workflow_runs.workflow_version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.workflow_version IS 'workflows.version when it began.';


--
-- Name: COLUMN workflow_runs.node_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.node_id IS 'The trigger node; of a sub-run the node of its owner.';


--
-- Name: COLUMN workflow_runs.root_event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.root_event_id IS 'The root event of the top run.';


--
-- Name: COLUMN workflow_runs.parent_run_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.parent_run_id IS 'The run that it is a part of; null: it is a top run.';


--
-- Name: COLUMN workflow_runs.parent_execution_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.parent_execution_id IS 'Its owner: the execution whose sub-run it is.';


--
-- Name: COLUMN workflow_runs.iteration; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.iteration IS 'Which of its owner''s sub-runs it is.';


--
-- Name: COLUMN workflow_runs.path; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.path IS 'The ids of its ancestors, the top run first, and its own.';


--
-- Name: COLUMN workflow_runs.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.name IS 'What run_name came to.';


--
-- Name: COLUMN workflow_runs.state; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.state IS 'finished: it has no queue item and no unfinished execution.';


--
-- Name: COLUMN workflow_runs.result; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.result IS 'How it ended.';


--
-- Name: COLUMN workflow_runs.stop; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.stop IS 'Why it is to end: nothing new of it starts.';


--
-- Name: COLUMN workflow_runs.stopped_by; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.stopped_by IS 'The token, user or function that stopped it.';


--
-- Name: COLUMN workflow_runs.due_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.due_at IS 'When its time-out stops it, by the database''s clock; null: never.';


--
-- Name: COLUMN workflow_runs.looked_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.looked_at IS 'When the sweeper last went on with its stop; null: never.';


--
-- Name: COLUMN workflow_runs.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.created_at IS 'When it began.';


--
-- Name: COLUMN workflow_runs.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.updated_at IS 'When its state last changed.';


--
-- Name: COLUMN workflow_runs.finished_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.finished_at IS 'When it ended.';


--
-- Name: COLUMN workflow_runs.expired_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_runs.expired_at IS 'When the sweeper found it older than its organization keeps runs; it is deleted a minute later.';


--
-- Name: workflow_versions; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workflow_versions (
    workflow_id uuid NOT NULL,
    version bigint NOT NULL,
    nodes jsonb NOT NULL,
    edges jsonb NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL
);


--
-- Name: TABLE workflow_versions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.workflow_versions IS 'What each version of a workflow was.';


--
-- Name: COLUMN workflow_versions.workflow_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_versions.workflow_id IS 'The workflow.';


--
-- Name: COLUMN workflow_versions.version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_versions.version IS 'workflows.version at that time.';


--
-- Name: COLUMN workflow_versions.nodes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_versions.nodes IS 'The nodes as applied.';


--
-- Name: COLUMN workflow_versions.edges; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_versions.edges IS 'The edges as applied.';


--
-- Name: COLUMN workflow_versions.created_by; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_versions.created_by IS 'The token or user that applied it.';


--
-- Name: COLUMN workflow_versions.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflow_versions.created_at IS 'When it was applied.';


--
-- Name: workflows; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.workflows (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    nodes jsonb NOT NULL,
    edges jsonb NOT NULL,
    version bigint NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    deleted_at timestamp with time zone,
    timeout_seconds integer,
    held_full boolean DEFAULT false NOT NULL,
    CONSTRAINT workflows_description_check CHECK ((char_length(description) <= 2000)),
    CONSTRAINT workflows_edges_check CHECK ((jsonb_typeof(edges) = 'array'::text)),
    CONSTRAINT workflows_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 128))),
    CONSTRAINT workflows_nodes_check CHECK ((jsonb_typeof(nodes) = 'array'::text)),
    CONSTRAINT workflows_timeout_seconds_check CHECK (((timeout_seconds >= 1) AND (timeout_seconds <= 31622400))),
    CONSTRAINT workflows_version_check CHECK ((version >= 1))
);


--
-- Name: TABLE workflows; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.workflows IS 'A graph of nodes joined by edges, as it was last applied.';


--
-- Name: COLUMN workflows.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflows.id IS 'UUIDv7.';


--
-- Name: COLUMN workflows.organization_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflows.organization_id IS 'The tenant; no role may change it.';


--
-- Name: COLUMN workflows.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflows.name IS 'Unique in the organization while the workflow lives.';


--
-- Name: COLUMN workflows.description; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflows.description IS 'What it is for, in its author''s words.';


--
-- Name: COLUMN workflows.nodes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflows.nodes IS 'The nodes as applied.';


--
-- Name: COLUMN workflows.edges; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflows.edges IS 'The edges as applied.';


--
-- Name: COLUMN workflows.version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflows.version IS 'Raised by each apply that changes something; what is planned and cached is bound to it.';


--
-- Name: COLUMN workflows.created_by; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflows.created_by IS 'The token or user that made it.';


--
-- Name: COLUMN workflows.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflows.created_at IS 'When it was made.';


--
-- Name: COLUMN workflows.updated_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflows.updated_at IS 'When it was last applied with a change.';


--
-- Name: COLUMN workflows.deleted_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflows.deleted_at IS 'Set when it was deleted.';


--
-- Name: COLUMN workflows.timeout_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflows.timeout_seconds IS 'How long a run may take; null: as long as it needs.';


--
-- Name: COLUMN workflows.held_full; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.workflows.held_full IS 'Whether so many executions are held that no more are opened. The sweeper writes it.';


--
-- Data for Name: api_tokens; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.api_tokens VALUES ('01a22739-796c-72fa-b381-cfcc22ab33c0', '01a22739-796c-72fa-b381-cfcb62c14ef3', 'bootstrap', '\x8551f086701d466a9d4f4bb3ca53e3d38551f086701d466a9d4f4bb3ca53e3d3', '2026-11-29 12:13:27.788778+00', NULL, NULL, NULL);


--
-- Data for Name: function_heartbeats; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.function_heartbeats VALUES ('builder', '2026-11-29 12:13:27.856787+00');
INSERT INTO public.function_heartbeats VALUES ('executor', '2026-11-29 12:13:27.882895+00');


--
-- Data for Name: organizations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.organizations VALUES ('01a22739-796c-72fa-b381-cfcb62c14ef3', 'Test', '2026-11-29 12:13:27.788778+00', '2026-11-29 12:13:27.788778+00', NULL, 90);


--
-- Data for Name: refinery_schema_history; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.refinery_schema_history VALUES (1, 'core', '2026-11-29T12:13:27.519543403Z', '12950079251172916946');
INSERT INTO public.refinery_schema_history VALUES (2, 'roles', '2026-11-29T12:13:27.560919289Z', '7627170915157192335');
INSERT INTO public.refinery_schema_history VALUES (3, 'redrive_and_keys', '2026-11-29T12:13:27.5655996Z', '4372819896270766050');
INSERT INTO public.refinery_schema_history VALUES (4, 'forget_previous_keys', '2026-11-29T12:13:27.568946532Z', '14756070120769353977');
INSERT INTO public.refinery_schema_history VALUES (5, 'suspects_at_work', '2026-11-29T12:13:27.570372869Z', '762409812740386310');
INSERT INTO public.refinery_schema_history VALUES (6, 'sweeper_columns', '2026-11-29T12:13:27.571270748Z', '3625681619222118746');
INSERT INTO public.refinery_schema_history VALUES (7, 'rewrap', '2026-11-29T12:13:27.571913767Z', '2340598591633061044');
INSERT INTO public.refinery_schema_history VALUES (8, 'schema_facts', '2026-11-29T12:13:27.572858606Z', '9048056669194534348');
INSERT INTO public.refinery_schema_history VALUES (9, 'secret_ref_fields', '2026-11-29T12:13:27.574891569Z', '6771474374970825070');
INSERT INTO public.refinery_schema_history VALUES (10, 'finished_is_finished', '2026-11-29T12:13:27.576255813Z', '9563688276472676598');
INSERT INTO public.refinery_schema_history VALUES (11, 'redactions', '2026-11-29T12:13:27.5771987Z', '3058807792297777368');
INSERT INTO public.refinery_schema_history VALUES (12, 'one_path_for_limits', '2026-11-29T12:13:27.577942319Z', '4304430398896418526');
INSERT INTO public.refinery_schema_history VALUES (13, 'time_outs_of_runs', '2026-11-29T12:13:27.579323659Z', '13574100927908238001');
INSERT INTO public.refinery_schema_history VALUES (14, 'runs_are_rows', '2026-11-29T12:13:27.580625527Z', '10868873885272253087');
INSERT INTO public.refinery_schema_history VALUES (15, 'every_row_has_a_run', '2026-11-29T12:13:27.594575112Z', '18371719909395532708');
INSERT INTO public.refinery_schema_history VALUES (16, 'events_are_checked', '2026-11-29T12:13:27.595942832Z', '5830112600637171278');
INSERT INTO public.refinery_schema_history VALUES (17, 'executions_are_checked', '2026-11-29T12:13:27.596954431Z', '699376938546157043');
INSERT INTO public.refinery_schema_history VALUES (18, 'one_way_to_the_root', '2026-11-29T12:13:27.598047471Z', '8078736704463569068');
INSERT INTO public.refinery_schema_history VALUES (19, 'one_intake', '2026-11-29T12:13:27.599201753Z', '5759931496415452609');
INSERT INTO public.refinery_schema_history VALUES (20, 'errors_are_routed', '2026-11-29T12:13:27.600227703Z', '12862087968437596736');
INSERT INTO public.refinery_schema_history VALUES (21, 'room_for_held', '2026-11-29T12:13:27.601187174Z', '17090962296666685821');
INSERT INTO public.refinery_schema_history VALUES (22, 'held_executions', '2026-11-29T12:13:27.602295327Z', '5059921298939048689');
INSERT INTO public.refinery_schema_history VALUES (23, 'held_indexes', '2026-11-29T12:13:27.612801967Z', '1123389557356632848');
INSERT INTO public.refinery_schema_history VALUES (24, 'held_executions_are_checked', '2026-11-29T12:13:27.613498266Z', '514437081579392107');
INSERT INTO public.refinery_schema_history VALUES (25, 'waits_are_held', '2026-11-29T12:13:27.614006704Z', '2068492857984083850');
INSERT INTO public.refinery_schema_history VALUES (26, 'fewer_indexes', '2026-11-29T12:13:27.615007166Z', '2265138005055641577');
INSERT INTO public.refinery_schema_history VALUES (27, 'cheaper_executions', '2026-11-29T12:13:27.61600836Z', '9960236589683618121');
INSERT INTO public.refinery_schema_history VALUES (28, 'cheaper_items', '2026-11-29T12:13:27.617877798Z', '14876909534543969512');
INSERT INTO public.refinery_schema_history VALUES (29, 'cheaper_events', '2026-11-29T12:13:27.618546195Z', '5728450063115670163');
INSERT INTO public.refinery_schema_history VALUES (30, 'cheaper_keys', '2026-11-29T12:13:27.619118939Z', '13582368485307296064');
INSERT INTO public.refinery_schema_history VALUES (31, 'cheaper_runs', '2026-11-29T12:13:27.619634187Z', '9949723877673003395');
INSERT INTO public.refinery_schema_history VALUES (32, 'executions_are_checked_again', '2026-11-29T12:13:27.62066145Z', '17745554789040284618');
INSERT INTO public.refinery_schema_history VALUES (33, 'items_are_checked_again', '2026-11-29T12:13:27.621456255Z', '4071985467136824562');
INSERT INTO public.refinery_schema_history VALUES (34, 'runs_are_checked_again', '2026-11-29T12:13:27.621840448Z', '18277732353775343941');
INSERT INTO public.refinery_schema_history VALUES (35, 'due_organizations_by_key', '2026-11-29T12:13:27.622319212Z', '13217831311940407784');
INSERT INTO public.refinery_schema_history VALUES (36, 'organizations_keep_runs_for_days', '2026-11-29T12:13:27.622878396Z', '5350702118504945280');
INSERT INTO public.refinery_schema_history VALUES (37, 'runs_expire', '2026-11-29T12:13:27.623476528Z', '8469062937069993684');
INSERT INTO public.refinery_schema_history VALUES (38, 'expired_runs_are_deleted', '2026-11-29T12:13:27.626991811Z', '13766013228535550192');


--
-- Data for Name: schema_facts; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.schema_facts VALUES (true, 38, 1);


--
-- Data for Name: secrets; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: webhook_deduplications; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: webhooks; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: workflow_events; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.workflow_events VALUES ('01a22739-7992-7235-83d2-581ff1a24156', '01a22739-7976-7077-b9f7-e128a7348fce', 'start', '01a22739-7992-7235-83d2-581ff1a24156', 'default', 'start', '{"for": "0s", "what": "passed", "status": 200}', NULL, '{work}', 1, 0, NULL, '2026-11-29 12:13:27.826676+00', NULL, 0, '01a22739-7992-7235-83d2-581ff1a24156');
INSERT INTO public.workflow_events VALUES ('01a22739-79c1-75ac-a268-2198e0c8f189', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', '01a22739-7992-7235-83d2-581ff1a24156', 'success', 'http.success', '{"body": {"body": "", "path": "/status/200", "method": "GET", "headers": {"host": ["127.0.0.1:1"], "connection": ["close"], "user-agent": ["sealflow/0.1.0"], "sealflow-hops": ["1"], "accept-encoding": ["gzip, deflate"], "idempotency-key": ["01a22739-79aa-74d5-88c2-f8456f3fbed0"]}}, "status": 200, "headers": {"Date": ["Sun, 29 Nov 2026 12:13:27 GMT"], "Connection": ["close"], "Content-Type": ["application/json"], "Content-Length": ["258"]}}', NULL, '{wait}', 2, 0, '01a22739-79aa-74d5-88c2-f8456f3fbed0', '2026-11-29 12:13:27.87462+00', NULL, 0, '01a22739-7992-7235-83d2-581ff1a24156');
INSERT INTO public.workflow_events VALUES ('01a22739-79cd-7194-9d9a-646522bccabf', '01a22739-7976-7077-b9f7-e128a7348fce', 'wait', '01a22739-7992-7235-83d2-581ff1a24156', 'default', 'wait.default', '{"body": {"body": "", "path": "/status/200", "method": "GET", "headers": {"host": ["127.0.0.1:1"], "connection": ["close"], "user-agent": ["sealflow/0.1.0"], "sealflow-hops": ["1"], "accept-encoding": ["gzip, deflate"], "idempotency-key": ["01a22739-79aa-74d5-88c2-f8456f3fbed0"]}}, "status": 200, "headers": {"Date": ["Sun, 29 Nov 2026 12:13:27 GMT"], "Connection": ["close"], "Content-Type": ["application/json"], "Content-Length": ["258"]}}', NULL, '{}', 3, 0, '01a22739-79cd-7194-9d9a-6464d44b567c', '2026-11-29 12:13:27.885364+00', NULL, 0, '01a22739-7992-7235-83d2-581ff1a24156');
INSERT INTO public.workflow_events VALUES ('01a22739-79d0-760b-9a3a-ef4b67fe272d', '01a22739-7976-7077-b9f7-e128a7348fce', 'start', '01a22739-79d0-760b-9a3a-ef4b67fe272d', 'default', 'start', '{"for": "no time", "what": "failed", "status": 200}', NULL, '{work}', 1, 0, NULL, '2026-11-29 12:13:27.888451+00', NULL, 0, '01a22739-79d0-760b-9a3a-ef4b67fe272d');
INSERT INTO public.workflow_events VALUES ('01a22739-79d8-76df-9f84-8bb7f47acd19', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', '01a22739-79d0-760b-9a3a-ef4b67fe272d', 'success', 'http.success', '{"body": {"body": "", "path": "/status/200", "method": "GET", "headers": {"host": ["127.0.0.1:1"], "connection": ["close"], "user-agent": ["sealflow/0.1.0"], "sealflow-hops": ["1"], "accept-encoding": ["gzip, deflate"], "idempotency-key": ["01a22739-79d2-7751-8869-abd8382283eb"]}}, "status": 200, "headers": {"Date": ["Sun, 29 Nov 2026 12:13:27 GMT"], "Connection": ["close"], "Content-Type": ["application/json"], "Content-Length": ["258"]}}', NULL, '{wait}', 2, 0, '01a22739-79d2-7751-8869-abd8382283eb', '2026-11-29 12:13:27.896744+00', NULL, 0, '01a22739-79d0-760b-9a3a-ef4b67fe272d');
INSERT INTO public.workflow_events VALUES ('01a22739-79e1-735b-8ea3-a88df2011854', '01a22739-7976-7077-b9f7-e128a7348fce', 'start', '01a22739-79e1-735b-8ea3-a88df2011854', 'default', 'start', '{"for": "0s", "what": "retrying", "status": 500}', NULL, '{work}', 1, 0, NULL, '2026-11-29 12:13:27.905397+00', NULL, 0, '01a22739-79e1-735b-8ea3-a88df2011854');
INSERT INTO public.workflow_events VALUES ('01a22739-79ec-7567-be0e-f677bd94c482', '01a22739-7976-7077-b9f7-e128a7348fce', 'start', '01a22739-79ec-7567-be0e-f677bd94c482', 'default', 'start', '{"for": "30 days", "what": "held", "status": 200}', NULL, '{work}', 1, 0, NULL, '2026-11-29 12:13:27.916725+00', NULL, 0, '01a22739-79ec-7567-be0e-f677bd94c482');
INSERT INTO public.workflow_events VALUES ('01a22739-79f4-75d4-9e26-993d56d43b7d', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', '01a22739-79ec-7567-be0e-f677bd94c482', 'success', 'http.success', '{"body": {"body": "", "path": "/status/200", "method": "GET", "headers": {"host": ["127.0.0.1:1"], "connection": ["close"], "user-agent": ["sealflow/0.1.0"], "sealflow-hops": ["1"], "accept-encoding": ["gzip, deflate"], "idempotency-key": ["01a22739-79ee-7136-8a50-6ec9f6e33c03"]}}, "status": 200, "headers": {"Date": ["Sun, 29 Nov 2026 12:13:27 GMT"], "Connection": ["close"], "Content-Type": ["application/json"], "Content-Length": ["258"]}}', NULL, '{wait}', 2, 0, '01a22739-79ee-7136-8a50-6ec9f6e33c03', '2026-11-29 12:13:27.924258+00', NULL, 0, '01a22739-79ec-7567-be0e-f677bd94c482');
INSERT INTO public.workflow_events VALUES ('01a22739-79fa-75cb-9571-1cc2b070353f', '01a22739-7976-7077-b9f7-e128a7348fce', 'start', '01a22739-79fa-75cb-9571-1cc2b070353f', 'default', 'start', '{"for": "0s", "what": "cancelled", "status": 200}', NULL, '{work}', 1, 0, NULL, '2026-11-29 12:13:27.930338+00', NULL, 0, '01a22739-79fa-75cb-9571-1cc2b070353f');
INSERT INTO public.workflow_events VALUES ('01a22739-7a0a-7238-b637-881c974fa20e', '01a22739-7976-7077-b9f7-e128a7348fce', 'start', '01a22739-7a0a-7238-b637-881c974fa20e', 'default', 'start', '{"for": "0s", "what": "pending", "status": 200}', NULL, '{work}', 1, 0, NULL, '2026-11-29 12:13:27.946176+00', NULL, 0, '01a22739-7a0a-7238-b637-881c974fa20e');
INSERT INTO public.workflow_events VALUES ('01a22739-7a10-77f5-a8ea-f5071a31babd', '01a22739-7976-7077-b9f7-e128a7348fce', 'limited', '01a22739-7a10-77f5-a8ea-f5071a31babd', 'default', 'start', '{"for": "0s", "what": "slot", "status": 200}', NULL, '{one}', 1, 0, NULL, '2026-11-29 12:13:27.952341+00', NULL, 0, '01a22739-7a10-77f5-a8ea-f5071a31babd');
INSERT INTO public.workflow_events VALUES ('01a22739-7a18-70fc-a8cf-7e33addb4335', '01a22739-7976-7077-b9f7-e128a7348fce', 'limited', '01a22739-7a18-70fc-a8cf-7e33addb4335', 'default', 'start', '{"for": "0s", "what": "waiting", "status": 200}', NULL, '{one}', 1, 0, NULL, '2026-11-29 12:13:27.960652+00', NULL, 0, '01a22739-7a18-70fc-a8cf-7e33addb4335');


--
-- Data for Name: workflow_execution_calls; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: workflow_execution_wakes; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: workflow_node_execution_kvs; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.workflow_node_execution_kvs VALUES ('01a22739-79aa-74d5-88c2-f8460f44df2a', '01a22739-79aa-74d5-88c2-f8456f3fbed0', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', 'what', 'passed');
INSERT INTO public.workflow_node_execution_kvs VALUES ('01a22739-79d2-7751-8869-abd94084bc8c', '01a22739-79d2-7751-8869-abd8382283eb', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', 'what', 'failed');
INSERT INTO public.workflow_node_execution_kvs VALUES ('01a22739-79e3-76d2-9ac0-f7805b643505', '01a22739-79e3-76d2-9ac0-f77ff2ebc6b5', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', 'what', 'retrying');
INSERT INTO public.workflow_node_execution_kvs VALUES ('01a22739-79ee-7136-8a50-6eca5b1316d5', '01a22739-79ee-7136-8a50-6ec9f6e33c03', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', 'what', 'held');
INSERT INTO public.workflow_node_execution_kvs VALUES ('01a22739-79fc-743b-afb1-ec7db2a0ed40', '01a22739-79fc-743b-afb1-ec7c0b13058c', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', 'what', 'cancelled');
INSERT INTO public.workflow_node_execution_kvs VALUES ('01a22739-7a0c-7092-aee0-6f2a33d31add', '01a22739-7a0c-7092-aee0-6f2965ddfe62', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', 'what', 'pending');
INSERT INTO public.workflow_node_execution_kvs VALUES ('01a22739-7a15-777d-aaaf-c1e38687f7c5', '01a22739-7a15-777d-aaaf-c1e24c8d5dce', '01a22739-7976-7077-b9f7-e128a7348fce', 'one', 'what', 'slot');


--
-- Data for Name: workflow_node_executions; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.workflow_node_executions VALUES ('01a22739-79aa-74d5-88c2-f8456f3fbed0', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', '01a22739-7992-7235-83d2-581ff1a24156', '01a22739-7992-7235-83d2-581ff1a24156', NULL, NULL, 'finished', 'passed', NULL, NULL, 'http', '{"url": "http://127.0.0.1:1/status/200"}', '[]', '{"retry": {"backoff": "fixed", "max_attempts": 2, "max_interval": 300, "initial_interval": 3600}}', '{"attempts": [{"attempt": 1, "secrets": [], "scrubbed": 0, "started_at": "2026-11-29T12:13:27.872379Z", "finished_at": "2026-11-29T12:13:27.873835Z"}]}', 1, 1, 1, 1, 0, NULL, NULL, NULL, '2026-11-29 12:13:27.850143+00', 0, NULL, '2026-11-29 12:13:27.850143+00', '2026-11-29 12:13:27.87462+00', '2026-11-29 12:13:27.857842+00', '2026-11-29 12:13:27.87462+00', NULL, NULL, 1, '01a22739-7992-7235-83d2-581ff1a24156', false, NULL, NULL, NULL);
INSERT INTO public.workflow_node_executions VALUES ('01a22739-79cd-7194-9d9a-6464d44b567c', '01a22739-7976-7077-b9f7-e128a7348fce', 'wait', '01a22739-7992-7235-83d2-581ff1a24156', '01a22739-79c1-75ac-a268-2198e0c8f189', '01a22739-79aa-74d5-88c2-f8456f3fbed0', NULL, 'finished', 'passed', NULL, NULL, 'wait', '{"for": "0s"}', '[]', '{}', '{"wait": {"since": "2026-11-29T12:13:27.885364Z", "until": "2026-11-29T12:13:27.885364Z", "ended_at": "2026-11-29T12:13:27.885364Z"}}', 1, 1, 1, 1, 0, NULL, NULL, NULL, '2026-11-29 12:13:27.885364+00', 0, NULL, '2026-11-29 12:13:27.885364+00', '2026-11-29 12:13:27.885364+00', '2026-11-29 12:13:27.885364+00', '2026-11-29 12:13:27.885364+00', NULL, NULL, 1, '01a22739-7992-7235-83d2-581ff1a24156', false, NULL, NULL, NULL);
INSERT INTO public.workflow_node_executions VALUES ('01a22739-79d2-7751-8869-abd8382283eb', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', '01a22739-79d0-760b-9a3a-ef4b67fe272d', '01a22739-79d0-760b-9a3a-ef4b67fe272d', NULL, NULL, 'finished', 'passed', NULL, NULL, 'http', '{"url": "http://127.0.0.1:1/status/200"}', '[]', '{"retry": {"backoff": "fixed", "max_attempts": 2, "max_interval": 300, "initial_interval": 3600}}', '{"attempts": [{"attempt": 1, "secrets": [], "scrubbed": 0, "started_at": "2026-11-29T12:13:27.895356Z", "finished_at": "2026-11-29T12:13:27.896663Z"}]}', 1, 1, 1, 1, 0, NULL, NULL, NULL, '2026-11-29 12:13:27.890592+00', 0, NULL, '2026-11-29 12:13:27.890592+00', '2026-11-29 12:13:27.896744+00', '2026-11-29 12:13:27.894133+00', '2026-11-29 12:13:27.896744+00', NULL, NULL, 1, '01a22739-79d0-760b-9a3a-ef4b67fe272d', false, NULL, NULL, NULL);
INSERT INTO public.workflow_node_executions VALUES ('01a22739-79dd-7252-a510-4ac6de2929b3', '01a22739-7976-7077-b9f7-e128a7348fce', 'wait', '01a22739-79d0-760b-9a3a-ef4b67fe272d', '01a22739-79d8-76df-9f84-8bb7f47acd19', '01a22739-79d2-7751-8869-abd8382283eb', NULL, 'finished', 'failed', 'component_error', 'the configuration came to no time: for: must be seconds, or a text such as `90s`, `1h30m` or `2 days`, and at most 366 days', 'wait', '{"for": "no time"}', '[]', '{}', '{}', 1, 1, 1, 1, 0, NULL, NULL, NULL, '2026-11-29 12:13:27.901409+00', 0, NULL, '2026-11-29 12:13:27.901409+00', '2026-11-29 12:13:27.901409+00', '2026-11-29 12:13:27.901409+00', '2026-11-29 12:13:27.901409+00', NULL, NULL, 1, '01a22739-79d0-760b-9a3a-ef4b67fe272d', false, NULL, NULL, NULL);
INSERT INTO public.workflow_node_executions VALUES ('01a22739-79e3-76d2-9ac0-f77ff2ebc6b5', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', '01a22739-79e1-735b-8ea3-a88df2011854', '01a22739-79e1-735b-8ea3-a88df2011854', NULL, NULL, 'pending', NULL, NULL, 'the server answered with status 500', 'http', '{"url": "http://127.0.0.1:1/status/500"}', '[]', '{"retry": {"backoff": "fixed", "max_attempts": 2, "max_interval": 300, "initial_interval": 3600}}', '{"attempts": [{"error": {"code": "http_status", "message": "the server answered with status 500"}, "attempt": 1, "secrets": [], "scrubbed": 0, "started_at": "2026-11-29T12:13:27.912298Z", "finished_at": "2026-11-29T12:13:27.913503Z"}]}', 1, 1, 2, 2, 0, '2026-11-29 12:18:18.328945+00', NULL, NULL, '2026-11-29 12:13:27.907584+00', 0, NULL, '2026-11-29 12:13:27.907584+00', '2026-11-29 12:13:27.913607+00', '2026-11-29 12:13:27.911064+00', NULL, NULL, NULL, 1, '01a22739-79e1-735b-8ea3-a88df2011854', false, NULL, NULL, NULL);
INSERT INTO public.workflow_node_executions VALUES ('01a22739-79ee-7136-8a50-6ec9f6e33c03', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', '01a22739-79ec-7567-be0e-f677bd94c482', '01a22739-79ec-7567-be0e-f677bd94c482', NULL, NULL, 'finished', 'passed', NULL, NULL, 'http', '{"url": "http://127.0.0.1:1/status/200"}', '[]', '{"retry": {"backoff": "fixed", "max_attempts": 2, "max_interval": 300, "initial_interval": 3600}}', '{"attempts": [{"attempt": 1, "secrets": [], "scrubbed": 0, "started_at": "2026-11-29T12:13:27.922982Z", "finished_at": "2026-11-29T12:13:27.924137Z"}]}', 1, 1, 1, 1, 0, NULL, NULL, NULL, '2026-11-29 12:13:27.918944+00', 0, NULL, '2026-11-29 12:13:27.918944+00', '2026-11-29 12:13:27.924258+00', '2026-11-29 12:13:27.921809+00', '2026-11-29 12:13:27.924258+00', NULL, NULL, 1, '01a22739-79ec-7567-be0e-f677bd94c482', false, NULL, NULL, NULL);
INSERT INTO public.workflow_node_executions VALUES ('01a22739-79f8-724b-b478-022992e9c99a', '01a22739-7976-7077-b9f7-e128a7348fce', 'wait', '01a22739-79ec-7567-be0e-f677bd94c482', '01a22739-79f4-75d4-9e26-993d56d43b7d', '01a22739-79ee-7136-8a50-6ec9f6e33c03', NULL, 'held', NULL, NULL, NULL, 'wait', '{"for": "30 days"}', '[]', '{}', '{"wait": {"since": "2026-11-29T12:13:27.928956Z", "until": "2026-12-29T12:13:27.928956Z"}}', 1, 1, 1, 1, 0, NULL, NULL, NULL, '2026-11-29 12:13:27.928956+00', 0, NULL, '2026-11-29 12:13:27.928956+00', '2026-11-29 12:13:27.928956+00', '2026-11-29 12:13:27.928956+00', NULL, NULL, NULL, 1, '01a22739-79ec-7567-be0e-f677bd94c482', false, '{"since": "2026-11-29T12:13:27.928956Z", "until": "2026-12-29T12:13:27.928956Z"}', '2026-12-29 12:13:27.92957+00', NULL);
INSERT INTO public.workflow_node_executions VALUES ('01a22739-79fc-743b-afb1-ec7c0b13058c', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', '01a22739-79fa-75cb-9571-1cc2b070353f', '01a22739-79fa-75cb-9571-1cc2b070353f', NULL, NULL, 'finished', 'cancelled', 'cancelled', 'the run was cancelled before this execution started', 'http', '{"url": "http://127.0.0.1:1/status/200"}', '[]', '{"retry": {"backoff": "fixed", "max_attempts": 2, "max_interval": 300, "initial_interval": 3600}}', '{}', 1, 1, 1, 1, 0, NULL, NULL, NULL, '2026-11-29 12:13:27.932503+00', 0, 'token:test', '2026-11-29 12:13:27.932503+00', '2026-11-29 12:13:27.935599+00', NULL, '2026-11-29 12:13:27.935599+00', NULL, NULL, 1, '01a22739-79fa-75cb-9571-1cc2b070353f', false, NULL, NULL, NULL);
INSERT INTO public.workflow_node_executions VALUES ('01a22739-7a0c-7092-aee0-6f2965ddfe62', '01a22739-7976-7077-b9f7-e128a7348fce', 'work', '01a22739-7a0a-7238-b637-881c974fa20e', '01a22739-7a0a-7238-b637-881c974fa20e', NULL, NULL, 'pending', NULL, NULL, NULL, 'http', '{"url": "http://127.0.0.1:1/status/200"}', '[]', '{"retry": {"backoff": "fixed", "max_attempts": 2, "max_interval": 300, "initial_interval": 3600}}', '{}', 1, 1, 1, 1, 0, NULL, NULL, NULL, '2026-11-29 12:13:27.948537+00', 0, NULL, '2026-11-29 12:13:27.948537+00', '2026-11-29 12:13:27.948537+00', NULL, NULL, NULL, NULL, 1, '01a22739-7a0a-7238-b637-881c974fa20e', false, NULL, NULL, NULL);
INSERT INTO public.workflow_node_executions VALUES ('01a22739-7a15-777d-aaaf-c1e24c8d5dce', '01a22739-7976-7077-b9f7-e128a7348fce', 'one', '01a22739-7a10-77f5-a8ea-f5071a31babd', '01a22739-7a10-77f5-a8ea-f5071a31babd', NULL, NULL, 'pending', NULL, NULL, NULL, 'http', '{"url": "http://127.0.0.1:1/status/200"}', '[]', '{}', '{}', 1, 1, 1, 1, 0, NULL, NULL, NULL, '2026-11-29 12:13:27.957343+00', 0, NULL, '2026-11-29 12:13:27.957343+00', '2026-11-29 12:13:27.957343+00', NULL, NULL, NULL, NULL, 1, '01a22739-7a10-77f5-a8ea-f5071a31babd', false, NULL, NULL, NULL);


--
-- Data for Name: workflow_node_queue_items; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.workflow_node_queue_items VALUES ('01a22739-7a18-70fc-a8cf-7e34debf3024', '01a22739-7976-7077-b9f7-e128a7348fce', 'one', '01a22739-7a18-70fc-a8cf-7e33addb4335', '01a22739-7a18-70fc-a8cf-7e33addb4335', 1, 0, '2026-11-29 12:13:27.960652+00', '2026-11-29 12:13:27.960652+00', 0, '', NULL, '01a22739-7a18-70fc-a8cf-7e33addb4335');


--
-- Data for Name: workflow_node_secret_refs; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: workflow_nodes; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.workflow_nodes VALUES ('01a22739-7976-7077-b9f7-e128a7348fce', 'limited', 'limited', 'trigger', 'ready', NULL, '{"trigger": "start"}', '{}', NULL, NULL, NULL, NULL, '{}', NULL, 1, 1, false, 0, '2026-11-29 12:13:27.798756+00', '2026-11-29 12:13:27.798756+00', NULL, NULL);
INSERT INTO public.workflow_nodes VALUES ('01a22739-7976-7077-b9f7-e128a7348fce', 'one', 'one', 'component', 'ready', NULL, '{"component": "http"}', '{"url": "http://127.0.0.1:1/status/{{ root().data.status }}"}', NULL, NULL, NULL, 1, '{}', NULL, 1, 1, false, 0, '2026-11-29 12:13:27.798756+00', '2026-11-29 12:13:27.798756+00', NULL, NULL);
INSERT INTO public.workflow_nodes VALUES ('01a22739-7976-7077-b9f7-e128a7348fce', 'start', 'start', 'trigger', 'ready', NULL, '{"trigger": "start"}', '{}', NULL, NULL, NULL, NULL, '{}', NULL, 1, 1, false, 0, '2026-11-29 12:13:27.798756+00', '2026-11-29 12:13:27.798756+00', NULL, NULL);
INSERT INTO public.workflow_nodes VALUES ('01a22739-7976-7077-b9f7-e128a7348fce', 'wait', 'wait', 'component', 'ready', NULL, '{"component": "wait"}', '{"for": "{{ root().data.for }}"}', NULL, NULL, NULL, NULL, '{}', NULL, 1, 1, false, 0, '2026-11-29 12:13:27.798756+00', '2026-11-29 12:13:27.798756+00', NULL, NULL);
INSERT INTO public.workflow_nodes VALUES ('01a22739-7976-7077-b9f7-e128a7348fce', 'work', 'work', 'component', 'ready', NULL, '{"component": "http"}', '{"url": "http://127.0.0.1:1/status/{{ root().data.status }}"}', NULL, NULL, NULL, NULL, '{}', NULL, 1, 1, false, 0, '2026-11-29 12:13:27.798756+00', '2026-11-29 12:13:27.798756+00', NULL, NULL);


--
-- Data for Name: workflow_run_marks; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.workflow_run_marks VALUES ('01a22739-79fa-75cb-9571-1cc2b070353f', '01a22739-7976-7077-b9f7-e128a7348fce', 'cancelled', 'token:test', '2026-11-29 12:13:27.935599+00');


--
-- Data for Name: workflow_runs; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.workflow_runs VALUES ('01a22739-7992-7235-83d2-581ff1a24156', '01a22739-796c-72fa-b381-cfcb62c14ef3', '01a22739-7976-7077-b9f7-e128a7348fce', 1, 'start', '01a22739-7992-7235-83d2-581ff1a24156', NULL, NULL, NULL, '{01a22739-7992-7235-83d2-581ff1a24156}', NULL, 'finished', 'passed', NULL, NULL, NULL, NULL, '2026-11-29 12:13:27.826676+00', '2026-11-29 12:13:27.885364+00', '2026-11-29 12:13:27.885364+00', NULL);
INSERT INTO public.workflow_runs VALUES ('01a22739-79d0-760b-9a3a-ef4b67fe272d', '01a22739-796c-72fa-b381-cfcb62c14ef3', '01a22739-7976-7077-b9f7-e128a7348fce', 1, 'start', '01a22739-79d0-760b-9a3a-ef4b67fe272d', NULL, NULL, NULL, '{01a22739-79d0-760b-9a3a-ef4b67fe272d}', NULL, 'finished', 'failed', NULL, NULL, NULL, NULL, '2026-11-29 12:13:27.888451+00', '2026-11-29 12:13:27.901409+00', '2026-11-29 12:13:27.901409+00', NULL);
INSERT INTO public.workflow_runs VALUES ('01a22739-79e1-735b-8ea3-a88df2011854', '01a22739-796c-72fa-b381-cfcb62c14ef3', '01a22739-7976-7077-b9f7-e128a7348fce', 1, 'start', '01a22739-79e1-735b-8ea3-a88df2011854', NULL, NULL, NULL, '{01a22739-79e1-735b-8ea3-a88df2011854}', NULL, 'running', NULL, NULL, NULL, NULL, NULL, '2026-11-29 12:13:27.905397+00', '2026-11-29 12:13:27.905397+00', NULL, NULL);
INSERT INTO public.workflow_runs VALUES ('01a22739-79ec-7567-be0e-f677bd94c482', '01a22739-796c-72fa-b381-cfcb62c14ef3', '01a22739-7976-7077-b9f7-e128a7348fce', 1, 'start', '01a22739-79ec-7567-be0e-f677bd94c482', NULL, NULL, NULL, '{01a22739-79ec-7567-be0e-f677bd94c482}', NULL, 'running', NULL, NULL, NULL, NULL, NULL, '2026-11-29 12:13:27.916725+00', '2026-11-29 12:13:27.916725+00', NULL, NULL);
INSERT INTO public.workflow_runs VALUES ('01a22739-79fa-75cb-9571-1cc2b070353f', '01a22739-796c-72fa-b381-cfcb62c14ef3', '01a22739-7976-7077-b9f7-e128a7348fce', 1, 'start', '01a22739-79fa-75cb-9571-1cc2b070353f', NULL, NULL, NULL, '{01a22739-79fa-75cb-9571-1cc2b070353f}', NULL, 'finished', 'cancelled', 'cancelled', 'token:test', NULL, NULL, '2026-11-29 12:13:27.930338+00', '2026-11-29 12:13:27.935599+00', '2026-11-29 12:13:27.935599+00', NULL);
INSERT INTO public.workflow_runs VALUES ('01a22739-7a0a-7238-b637-881c974fa20e', '01a22739-796c-72fa-b381-cfcb62c14ef3', '01a22739-7976-7077-b9f7-e128a7348fce', 1, 'start', '01a22739-7a0a-7238-b637-881c974fa20e', NULL, NULL, NULL, '{01a22739-7a0a-7238-b637-881c974fa20e}', NULL, 'running', NULL, NULL, NULL, NULL, NULL, '2026-11-29 12:13:27.946176+00', '2026-11-29 12:13:27.946176+00', NULL, NULL);
INSERT INTO public.workflow_runs VALUES ('01a22739-7a10-77f5-a8ea-f5071a31babd', '01a22739-796c-72fa-b381-cfcb62c14ef3', '01a22739-7976-7077-b9f7-e128a7348fce', 1, 'limited', '01a22739-7a10-77f5-a8ea-f5071a31babd', NULL, NULL, NULL, '{01a22739-7a10-77f5-a8ea-f5071a31babd}', NULL, 'running', NULL, NULL, NULL, NULL, NULL, '2026-11-29 12:13:27.952341+00', '2026-11-29 12:13:27.952341+00', NULL, NULL);
INSERT INTO public.workflow_runs VALUES ('01a22739-7a18-70fc-a8cf-7e33addb4335', '01a22739-796c-72fa-b381-cfcb62c14ef3', '01a22739-7976-7077-b9f7-e128a7348fce', 1, 'limited', '01a22739-7a18-70fc-a8cf-7e33addb4335', NULL, NULL, NULL, '{01a22739-7a18-70fc-a8cf-7e33addb4335}', NULL, 'running', NULL, NULL, NULL, NULL, NULL, '2026-11-29 12:13:27.960652+00', '2026-11-29 12:13:27.960652+00', NULL, NULL);


--
-- Data for Name: workflow_versions; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.workflow_versions VALUES ('01a22739-7976-7077-b9f7-e128a7348fce', 1, '[{"id": "start", "name": "start", "trigger": "start", "configuration": {}}, {"id": "limited", "name": "limited", "trigger": "start", "configuration": {}}, {"id": "work", "keys": {"what": "{{ root().data.what }}"}, "name": "work", "retry": {"backoff": "fixed", "max_attempts": 2, "max_interval": 300, "initial_interval": 3600}, "component": "http", "concurrency": "unlimited", "configuration": {"url": "http://127.0.0.1:1/status/{{ root().data.status }}"}}, {"id": "one", "keys": {"what": "{{ root().data.what }}"}, "name": "one", "component": "http", "concurrency": 1, "configuration": {"url": "http://127.0.0.1:1/status/{{ root().data.status }}"}}, {"id": "wait", "name": "wait", "component": "wait", "configuration": {"for": "{{ root().data.for }}"}}]', '[{"to": "work", "from": "start", "channel": "default"}, {"to": "one", "from": "limited", "channel": "default"}, {"to": "wait", "from": "work", "channel": "success"}]', 'token:test', '2026-11-29 12:13:27.798756+00');


--
-- Data for Name: workflows; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.workflows VALUES ('01a22739-7976-7077-b9f7-e128a7348fce', '01a22739-796c-72fa-b381-cfcb62c14ef3', 'workflow 01a22739-7976-7077-b9f7-e128a7348fce', '', '[{"id": "start", "name": "start", "trigger": "start", "configuration": {}}, {"id": "limited", "name": "limited", "trigger": "start", "configuration": {}}, {"id": "work", "keys": {"what": "{{ root().data.what }}"}, "name": "work", "retry": {"backoff": "fixed", "max_attempts": 2, "max_interval": 300, "initial_interval": 3600}, "component": "http", "concurrency": "unlimited", "configuration": {"url": "http://127.0.0.1:1/status/{{ root().data.status }}"}}, {"id": "one", "keys": {"what": "{{ root().data.what }}"}, "name": "one", "component": "http", "concurrency": 1, "configuration": {"url": "http://127.0.0.1:1/status/{{ root().data.status }}"}}, {"id": "wait", "name": "wait", "component": "wait", "configuration": {"for": "{{ root().data.for }}"}}]', '[{"to": "work", "from": "start", "channel": "default"}, {"to": "one", "from": "limited", "channel": "default"}, {"to": "wait", "from": "work", "channel": "success"}]', 1, 'token:test', '2026-11-29 12:13:27.798756+00', '2026-11-29 12:13:27.798756+00', NULL, NULL, false);


--
-- Name: api_tokens api_tokens_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_pkey PRIMARY KEY (id);


--
-- Name: api_tokens api_tokens_token_sha256_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_token_sha256_key UNIQUE (token_sha256);


--
-- Name: function_heartbeats function_heartbeats_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.function_heartbeats
    ADD CONSTRAINT function_heartbeats_pkey PRIMARY KEY (function);


--
-- Name: organizations organizations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.organizations
    ADD CONSTRAINT organizations_pkey PRIMARY KEY (id);


--
-- Name: refinery_schema_history refinery_schema_history_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.refinery_schema_history
    ADD CONSTRAINT refinery_schema_history_pkey PRIMARY KEY (version);


--
-- Name: schema_facts schema_facts_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schema_facts
    ADD CONSTRAINT schema_facts_pkey PRIMARY KEY (only_row);


--
-- Name: secrets secrets_domain_type_domain_id_name_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_domain_type_domain_id_name_key UNIQUE (domain_type, domain_id, name);


--
-- Name: secrets secrets_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.secrets
    ADD CONSTRAINT secrets_pkey PRIMARY KEY (id);


--
-- Name: webhook_deduplications webhook_deduplications_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.webhook_deduplications
    ADD CONSTRAINT webhook_deduplications_pkey PRIMARY KEY (webhook_id, key);


--
-- Name: webhooks webhooks_address_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_address_key UNIQUE (address);


--
-- Name: webhooks webhooks_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_pkey PRIMARY KEY (id);


--
-- Name: workflow_events workflow_events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_events
    ADD CONSTRAINT workflow_events_pkey PRIMARY KEY (id);


--
-- Name: workflow_events workflow_events_workflow_id_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_events
    ADD CONSTRAINT workflow_events_workflow_id_id_key UNIQUE (workflow_id, id);


--
-- Name: workflow_execution_calls workflow_execution_calls_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_execution_calls
    ADD CONSTRAINT workflow_execution_calls_pkey PRIMARY KEY (id);


--
-- Name: workflow_execution_wakes workflow_execution_wakes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_execution_wakes
    ADD CONSTRAINT workflow_execution_wakes_pkey PRIMARY KEY (id);


--
-- Name: workflow_node_execution_kvs workflow_node_execution_kvs_execution_id_key_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_execution_kvs
    ADD CONSTRAINT workflow_node_execution_kvs_execution_id_key_key UNIQUE (execution_id, key);


--
-- Name: workflow_node_execution_kvs workflow_node_execution_kvs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_execution_kvs
    ADD CONSTRAINT workflow_node_execution_kvs_pkey PRIMARY KEY (id);


--
-- Name: workflow_node_executions workflow_node_executions_event_id_workflow_id_node_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_executions
    ADD CONSTRAINT workflow_node_executions_event_id_workflow_id_node_id_key UNIQUE (event_id, workflow_id, node_id);


--
-- Name: workflow_node_executions workflow_node_executions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_executions
    ADD CONSTRAINT workflow_node_executions_pkey PRIMARY KEY (id);


--
-- Name: workflow_node_executions workflow_node_executions_workflow_id_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_executions
    ADD CONSTRAINT workflow_node_executions_workflow_id_id_key UNIQUE (workflow_id, id);


--
-- Name: workflow_node_queue_items workflow_node_queue_items_event_id_workflow_id_node_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_queue_items
    ADD CONSTRAINT workflow_node_queue_items_event_id_workflow_id_node_id_key UNIQUE (event_id, workflow_id, node_id);


--
-- Name: workflow_node_queue_items workflow_node_queue_items_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_queue_items
    ADD CONSTRAINT workflow_node_queue_items_pkey PRIMARY KEY (id);


--
-- Name: workflow_node_secret_refs workflow_node_secret_refs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_secret_refs
    ADD CONSTRAINT workflow_node_secret_refs_pkey PRIMARY KEY (workflow_id, node_id, node_version, secret_name, secret_key, field);


--
-- Name: workflow_nodes workflow_nodes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_nodes
    ADD CONSTRAINT workflow_nodes_pkey PRIMARY KEY (workflow_id, node_id);


--
-- Name: workflow_run_marks workflow_run_marks_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_run_marks
    ADD CONSTRAINT workflow_run_marks_pkey PRIMARY KEY (root_event_id);


--
-- Name: workflow_runs workflow_runs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_runs
    ADD CONSTRAINT workflow_runs_pkey PRIMARY KEY (id);


--
-- Name: workflow_runs workflow_runs_workflow_id_id_root_event_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_runs
    ADD CONSTRAINT workflow_runs_workflow_id_id_root_event_id_key UNIQUE (workflow_id, id, root_event_id);


--
-- Name: workflow_versions workflow_versions_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_versions
    ADD CONSTRAINT workflow_versions_pkey PRIMARY KEY (workflow_id, version);


--
-- Name: workflows workflows_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflows
    ADD CONSTRAINT workflows_pkey PRIMARY KEY (id);


--
-- Name: workflows workflows_tenant; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflows
    ADD CONSTRAINT workflows_tenant UNIQUE (organization_id, id);


--
-- Name: api_tokens_live_name; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX api_tokens_live_name ON public.api_tokens USING btree (organization_id, name) WHERE (revoked_at IS NULL);


--
-- Name: webhook_deduplications_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX webhook_deduplications_age ON public.webhook_deduplications USING btree (created_at);


--
-- Name: webhooks_node_live; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX webhooks_node_live ON public.webhooks USING btree (workflow_id, node_id) WHERE (deleted_at IS NULL);


--
-- Name: webhooks_previous; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX webhooks_previous ON public.webhooks USING btree (previous_until) WHERE (previous_until IS NOT NULL);


--
-- Name: workflow_events_execution; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_events_execution ON public.workflow_events USING btree (execution_id) WHERE (execution_id IS NOT NULL);


--
-- Name: workflow_events_run; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_events_run ON public.workflow_events USING btree (root_event_id, id);


--
-- Name: workflow_execution_calls_execution; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_execution_calls_execution ON public.workflow_execution_calls USING btree (workflow_id, execution_id);


--
-- Name: workflow_execution_calls_open; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_execution_calls_open ON public.workflow_execution_calls USING btree (created_at) WHERE (handled_at IS NULL);


--
-- Name: workflow_execution_wakes_execution; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_execution_wakes_execution ON public.workflow_execution_wakes USING btree (workflow_id, execution_id);


--
-- Name: workflow_execution_wakes_open; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_execution_wakes_open ON public.workflow_execution_wakes USING btree (created_at) WHERE (handled_at IS NULL);


--
-- Name: workflow_node_execution_kvs_lookup; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_execution_kvs_lookup ON public.workflow_node_execution_kvs USING btree (workflow_id, key, value, execution_id);


--
-- Name: workflow_node_executions_active; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_executions_active ON public.workflow_node_executions USING btree (workflow_id, node_id) WHERE (state <> 'finished'::text);


--
-- Name: workflow_node_executions_active_keys; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_executions_active_keys ON public.workflow_node_executions USING btree (workflow_id, node_id, concurrency_key) WHERE ((state <> 'finished'::text) AND (concurrency_key IS NOT NULL));


--
-- Name: workflow_node_executions_failed; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_executions_failed ON public.workflow_node_executions USING btree (workflow_id, id) WHERE ((result = 'failed'::text) AND (redriven_event_id IS NULL));


--
-- Name: workflow_node_executions_held; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_executions_held ON public.workflow_node_executions USING btree (workflow_id, node_id) WHERE (state = 'held'::text);


--
-- Name: workflow_node_executions_leases; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_executions_leases ON public.workflow_node_executions USING btree (lease_until) WHERE (state = ANY (ARRAY['started'::text, 'cancelling'::text]));


--
-- Name: workflow_node_executions_node; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_executions_node ON public.workflow_node_executions USING btree (workflow_id, node_id, id);


--
-- Name: workflow_node_executions_not_passed; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_executions_not_passed ON public.workflow_node_executions USING btree (run_id) WHERE (result = ANY (ARRAY['failed'::text, 'cancelled'::text]));


--
-- Name: workflow_node_executions_open_run; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_executions_open_run ON public.workflow_node_executions USING btree (run_id) WHERE (state <> 'finished'::text);


--
-- Name: workflow_node_executions_parent; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_executions_parent ON public.workflow_node_executions USING btree (parent_execution_id) WHERE (parent_execution_id IS NOT NULL);


--
-- Name: workflow_node_executions_pending; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_executions_pending ON public.workflow_node_executions USING btree (COALESCE(run_at, last_sent_at)) WHERE (state = 'pending'::text);


--
-- Name: workflow_node_executions_previous; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_executions_previous ON public.workflow_node_executions USING btree (previous_execution_id) WHERE (previous_execution_id IS NOT NULL);


--
-- Name: workflow_node_executions_redriven; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_executions_redriven ON public.workflow_node_executions USING btree (redriven_event_id) WHERE (redriven_event_id IS NOT NULL);


--
-- Name: workflow_node_executions_run; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_executions_run ON public.workflow_node_executions USING btree (root_event_id, id);


--
-- Name: workflow_node_executions_wakes; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_executions_wakes ON public.workflow_node_executions USING btree (COALESCE(wake_at, 'infinity'::timestamp with time zone)) WHERE (state = 'held'::text);


--
-- Name: workflow_node_queue_items_keys; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_queue_items_keys ON public.workflow_node_queue_items USING btree (workflow_id, node_id, concurrency_key, created_at, id);


--
-- Name: workflow_node_queue_items_of_run; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_queue_items_of_run ON public.workflow_node_queue_items USING btree (run_id);


--
-- Name: workflow_node_queue_items_order; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_queue_items_order ON public.workflow_node_queue_items USING btree (workflow_id, node_id, created_at, id);


--
-- Name: workflow_node_queue_items_sent; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_queue_items_sent ON public.workflow_node_queue_items USING btree (sent_count) WHERE (sent_count > 0);


--
-- Name: workflow_node_queue_items_suspects; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_node_queue_items_suspects ON public.workflow_node_queue_items USING btree (workflow_id, node_id) WHERE (crashes > 0);


--
-- Name: workflow_nodes_full; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_nodes_full ON public.workflow_nodes USING btree (workflow_id) WHERE items_full;


--
-- Name: workflow_nodes_name_live; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX workflow_nodes_name_live ON public.workflow_nodes USING btree (workflow_id, name) WHERE (deleted_at IS NULL);


--
-- Name: workflow_runs_due; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_runs_due ON public.workflow_runs USING btree (due_at) WHERE ((state = 'running'::text) AND (due_at IS NOT NULL) AND (stop IS NULL));


--
-- Name: workflow_runs_expired; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_runs_expired ON public.workflow_runs USING btree (expired_at) WHERE (expired_at IS NOT NULL);


--
-- Name: workflow_runs_name; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_runs_name ON public.workflow_runs USING btree (organization_id, name text_pattern_ops, id) WHERE (name IS NOT NULL);


--
-- Name: workflow_runs_not_passed; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_runs_not_passed ON public.workflow_runs USING btree (organization_id, result, id) WHERE (result = ANY (ARRAY['failed'::text, 'cancelled'::text]));


--
-- Name: workflow_runs_organization; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_runs_organization ON public.workflow_runs USING btree (organization_id, id);


--
-- Name: workflow_runs_owner; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX workflow_runs_owner ON public.workflow_runs USING btree (parent_execution_id, iteration) WHERE (parent_execution_id IS NOT NULL);


--
-- Name: workflow_runs_parent; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_runs_parent ON public.workflow_runs USING btree (parent_run_id) WHERE (parent_run_id IS NOT NULL);


--
-- Name: workflow_runs_running; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_runs_running ON public.workflow_runs USING btree (organization_id, id) WHERE (state = 'running'::text);


--
-- Name: workflow_runs_stopped; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflow_runs_stopped ON public.workflow_runs USING btree (COALESCE(looked_at, created_at)) WHERE ((state = 'running'::text) AND (stop IS NOT NULL));


--
-- Name: workflows_held_full; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX workflows_held_full ON public.workflows USING btree (id) WHERE held_full;


--
-- Name: workflows_name_live; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX workflows_name_live ON public.workflows USING btree (organization_id, name) WHERE (deleted_at IS NULL);


--
-- Name: workflow_events workflow_events_run; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER workflow_events_run BEFORE INSERT ON public.workflow_events FOR EACH ROW WHEN ((new.run_id IS NULL)) EXECUTE FUNCTION public.give_run();


--
-- Name: workflow_node_executions workflow_node_executions_builder; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER workflow_node_executions_builder BEFORE UPDATE ON public.workflow_node_executions FOR EACH ROW WHEN (((old.state <> 'held'::text) AND (SESSION_USER = 'sealflow_builder'::name))) EXECUTE FUNCTION public.refuse_what_is_not_held();


--
-- Name: workflow_node_executions workflow_node_executions_finished; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER workflow_node_executions_finished BEFORE UPDATE ON public.workflow_node_executions FOR EACH ROW WHEN ((old.state = 'finished'::text)) EXECUTE FUNCTION public.refuse_change_of_finished();


--
-- Name: workflow_node_executions workflow_node_executions_run; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER workflow_node_executions_run BEFORE INSERT ON public.workflow_node_executions FOR EACH ROW WHEN ((new.run_id IS NULL)) EXECUTE FUNCTION public.give_run();


--
-- Name: workflow_node_executions workflow_node_executions_take_error; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER workflow_node_executions_take_error BEFORE INSERT ON public.workflow_node_executions FOR EACH ROW WHEN (((new.result = 'failed'::text) AND (NOT new.failure_routed) AND (new.result_reason <> 'run_limit'::text))) EXECUTE FUNCTION public.route_error();


--
-- Name: workflow_node_executions workflow_node_executions_take_late_error; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER workflow_node_executions_take_late_error BEFORE UPDATE ON public.workflow_node_executions FOR EACH ROW WHEN (((old.state <> 'finished'::text) AND (new.result = 'failed'::text) AND (NOT new.failure_routed) AND (new.result_reason <> 'run_limit'::text))) EXECUTE FUNCTION public.route_error();


--
-- Name: workflow_node_queue_items workflow_node_queue_items_run; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER workflow_node_queue_items_run BEFORE INSERT ON public.workflow_node_queue_items FOR EACH ROW WHEN ((new.run_id IS NULL)) EXECUTE FUNCTION public.give_run();


--
-- Name: workflow_run_marks workflow_run_marks_stop; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER workflow_run_marks_stop AFTER INSERT ON public.workflow_run_marks FOR EACH ROW EXECUTE FUNCTION public.stop_marked_run();


--
-- Name: workflow_runs workflow_runs_mark; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER workflow_runs_mark AFTER UPDATE OF stop ON public.workflow_runs FOR EACH ROW WHEN (((old.stop IS NULL) AND (new.stop IS NOT NULL) AND (new.parent_run_id IS NULL))) EXECUTE FUNCTION public.mark_stopped_run();


--
-- Name: api_tokens api_tokens_organization_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(id);


--
-- Name: webhook_deduplications webhook_deduplications_webhook_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.webhook_deduplications
    ADD CONSTRAINT webhook_deduplications_webhook_id_fkey FOREIGN KEY (webhook_id) REFERENCES public.webhooks(id);


--
-- Name: webhooks webhooks_workflow_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES public.workflows(id);


--
-- Name: webhooks webhooks_workflow_id_node_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.webhooks
    ADD CONSTRAINT webhooks_workflow_id_node_id_fkey FOREIGN KEY (workflow_id, node_id) REFERENCES public.workflow_nodes(workflow_id, node_id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: workflow_events workflow_events_of_run; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_events
    ADD CONSTRAINT workflow_events_of_run FOREIGN KEY (workflow_id, root_event_id, run_id) REFERENCES public.workflow_runs(workflow_id, root_event_id, id);


--
-- Name: workflow_events workflow_events_workflow_id_execution_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_events
    ADD CONSTRAINT workflow_events_workflow_id_execution_id_fkey FOREIGN KEY (workflow_id, execution_id) REFERENCES public.workflow_node_executions(workflow_id, id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: workflow_execution_calls workflow_execution_calls_workflow_id_execution_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_execution_calls
    ADD CONSTRAINT workflow_execution_calls_workflow_id_execution_id_fkey FOREIGN KEY (workflow_id, execution_id) REFERENCES public.workflow_node_executions(workflow_id, id);


--
-- Name: workflow_execution_wakes workflow_execution_wakes_workflow_id_execution_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_execution_wakes
    ADD CONSTRAINT workflow_execution_wakes_workflow_id_execution_id_fkey FOREIGN KEY (workflow_id, execution_id) REFERENCES public.workflow_node_executions(workflow_id, id);


--
-- Name: workflow_node_execution_kvs workflow_node_execution_kvs_workflow_id_execution_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_execution_kvs
    ADD CONSTRAINT workflow_node_execution_kvs_workflow_id_execution_id_fkey FOREIGN KEY (workflow_id, execution_id) REFERENCES public.workflow_node_executions(workflow_id, id);


--
-- Name: workflow_node_executions workflow_node_executions_of_run; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_executions
    ADD CONSTRAINT workflow_node_executions_of_run FOREIGN KEY (workflow_id, root_event_id, run_id) REFERENCES public.workflow_runs(workflow_id, root_event_id, id);


--
-- Name: workflow_node_executions workflow_node_executions_workflow_id_event_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_executions
    ADD CONSTRAINT workflow_node_executions_workflow_id_event_id_fkey FOREIGN KEY (workflow_id, event_id) REFERENCES public.workflow_events(workflow_id, id);


--
-- Name: workflow_node_executions workflow_node_executions_workflow_id_parent_execution_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_executions
    ADD CONSTRAINT workflow_node_executions_workflow_id_parent_execution_id_fkey FOREIGN KEY (workflow_id, parent_execution_id) REFERENCES public.workflow_node_executions(workflow_id, id);


--
-- Name: workflow_node_executions workflow_node_executions_workflow_id_previous_execution_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_executions
    ADD CONSTRAINT workflow_node_executions_workflow_id_previous_execution_id_fkey FOREIGN KEY (workflow_id, previous_execution_id) REFERENCES public.workflow_node_executions(workflow_id, id);


--
-- Name: workflow_node_executions workflow_node_executions_workflow_id_redriven_event_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_executions
    ADD CONSTRAINT workflow_node_executions_workflow_id_redriven_event_id_fkey FOREIGN KEY (workflow_id, redriven_event_id) REFERENCES public.workflow_events(workflow_id, id);


--
-- Name: workflow_node_queue_items workflow_node_queue_items_of_run; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_queue_items
    ADD CONSTRAINT workflow_node_queue_items_of_run FOREIGN KEY (workflow_id, root_event_id, run_id) REFERENCES public.workflow_runs(workflow_id, root_event_id, id);


--
-- Name: workflow_node_queue_items workflow_node_queue_items_workflow_id_event_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_queue_items
    ADD CONSTRAINT workflow_node_queue_items_workflow_id_event_id_fkey FOREIGN KEY (workflow_id, event_id) REFERENCES public.workflow_events(workflow_id, id);


--
-- Name: workflow_node_secret_refs workflow_node_secret_refs_workflow_id_node_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_node_secret_refs
    ADD CONSTRAINT workflow_node_secret_refs_workflow_id_node_id_fkey FOREIGN KEY (workflow_id, node_id) REFERENCES public.workflow_nodes(workflow_id, node_id);


--
-- Name: workflow_nodes workflow_nodes_webhook_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_nodes
    ADD CONSTRAINT workflow_nodes_webhook_id_fkey FOREIGN KEY (webhook_id) REFERENCES public.webhooks(id) DEFERRABLE INITIALLY DEFERRED;


--
-- Name: workflow_nodes workflow_nodes_workflow_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_nodes
    ADD CONSTRAINT workflow_nodes_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES public.workflows(id);


--
-- Name: workflow_nodes workflow_nodes_workflow_id_parent_node_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_nodes
    ADD CONSTRAINT workflow_nodes_workflow_id_parent_node_id_fkey FOREIGN KEY (workflow_id, parent_node_id) REFERENCES public.workflow_nodes(workflow_id, node_id);


--
-- Name: workflow_run_marks workflow_run_marks_workflow_id_root_event_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_run_marks
    ADD CONSTRAINT workflow_run_marks_workflow_id_root_event_id_fkey FOREIGN KEY (workflow_id, root_event_id) REFERENCES public.workflow_events(workflow_id, id);


--
-- Name: workflow_runs workflow_runs_organization_id_workflow_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_runs
    ADD CONSTRAINT workflow_runs_organization_id_workflow_id_fkey FOREIGN KEY (organization_id, workflow_id) REFERENCES public.workflows(organization_id, id);


--
-- Name: workflow_runs workflow_runs_workflow_id_parent_execution_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_runs
    ADD CONSTRAINT workflow_runs_workflow_id_parent_execution_id_fkey FOREIGN KEY (workflow_id, parent_execution_id) REFERENCES public.workflow_node_executions(workflow_id, id);


--
-- Name: workflow_runs workflow_runs_workflow_id_root_event_id_parent_run_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_runs
    ADD CONSTRAINT workflow_runs_workflow_id_root_event_id_parent_run_id_fkey FOREIGN KEY (workflow_id, root_event_id, parent_run_id) REFERENCES public.workflow_runs(workflow_id, root_event_id, id);


--
-- Name: workflow_versions workflow_versions_workflow_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflow_versions
    ADD CONSTRAINT workflow_versions_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES public.workflows(id);


--
-- Name: workflows workflows_organization_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.workflows
    ADD CONSTRAINT workflows_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES public.organizations(id);


--
-- Name: SCHEMA public; Type: ACL; Schema: -; Owner: -
--

GRANT USAGE ON SCHEMA public TO sealflow_api;
GRANT USAGE ON SCHEMA public TO sealflow_webhook;
GRANT USAGE ON SCHEMA public TO sealflow_builder;
GRANT USAGE ON SCHEMA public TO sealflow_executor;
GRANT USAGE ON SCHEMA public TO sealflow_sweeper;
GRANT USAGE ON SCHEMA public TO sealflow_rewrap;


--
-- Name: FUNCTION begin_run(for_organization uuid, for_workflow uuid, version_planned bigint, trigger_node text, new_event uuid, event_channel text, event_type text, event_data jsonb, run_name text, event_hops integer, target_ids text[], item_ids uuid[], at timestamp with time zone, for_webhook uuid, webhook_version bigint, sender_key text, sender_key_hours double precision); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.begin_run(for_organization uuid, for_workflow uuid, version_planned bigint, trigger_node text, new_event uuid, event_channel text, event_type text, event_data jsonb, run_name text, event_hops integer, target_ids text[], item_ids uuid[], at timestamp with time zone, for_webhook uuid, webhook_version bigint, sender_key text, sender_key_hours double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION public.begin_run(for_organization uuid, for_workflow uuid, version_planned bigint, trigger_node text, new_event uuid, event_channel text, event_type text, event_data jsonb, run_name text, event_hops integer, target_ids text[], item_ids uuid[], at timestamp with time zone, for_webhook uuid, webhook_version bigint, sender_key text, sender_key_hours double precision) TO sealflow_api;
GRANT ALL ON FUNCTION public.begin_run(for_organization uuid, for_workflow uuid, version_planned bigint, trigger_node text, new_event uuid, event_channel text, event_type text, event_data jsonb, run_name text, event_hops integer, target_ids text[], item_ids uuid[], at timestamp with time zone, for_webhook uuid, webhook_version bigint, sender_key text, sender_key_hours double precision) TO sealflow_webhook;


--
-- Name: FUNCTION delete_expired_run(for_run uuid, operators_days integer); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.delete_expired_run(for_run uuid, operators_days integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.delete_expired_run(for_run uuid, operators_days integer) TO sealflow_sweeper;


--
-- Name: FUNCTION forget_previous_webhook_keys(ended_at timestamp with time zone, rows_max bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.forget_previous_webhook_keys(ended_at timestamp with time zone, rows_max bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.forget_previous_webhook_keys(ended_at timestamp with time zone, rows_max bigint) TO sealflow_sweeper;


--
-- Name: FUNCTION forget_secret_refs(ended_at timestamp with time zone, rows_max bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.forget_secret_refs(ended_at timestamp with time zone, rows_max bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.forget_secret_refs(ended_at timestamp with time zone, rows_max bigint) TO sealflow_sweeper;


--
-- Name: FUNCTION give_run(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.give_run() FROM PUBLIC;


--
-- Name: FUNCTION mark_stopped_run(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.mark_stopped_run() FROM PUBLIC;


--
-- Name: FUNCTION refuse_change_of_finished(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.refuse_change_of_finished() FROM PUBLIC;


--
-- Name: FUNCTION refuse_what_is_not_held(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.refuse_what_is_not_held() FROM PUBLIC;


--
-- Name: FUNCTION route_error(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.route_error() FROM PUBLIC;


--
-- Name: FUNCTION runs_kept_days(own_days integer, operators_days integer, deleted_at timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.runs_kept_days(own_days integer, operators_days integer, deleted_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.runs_kept_days(own_days integer, operators_days integer, deleted_at timestamp with time zone) TO sealflow_sweeper;


--
-- Name: FUNCTION stop_marked_run(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.stop_marked_run() FROM PUBLIC;


--
-- Name: TABLE api_tokens; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.api_tokens TO sealflow_api;


--
-- Name: COLUMN api_tokens.revoked_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(revoked_at) ON TABLE public.api_tokens TO sealflow_api;


--
-- Name: TABLE function_heartbeats; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,UPDATE ON TABLE public.function_heartbeats TO sealflow_builder;
GRANT SELECT,INSERT,UPDATE ON TABLE public.function_heartbeats TO sealflow_executor;
GRANT SELECT ON TABLE public.function_heartbeats TO sealflow_sweeper;


--
-- Name: TABLE organizations; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.organizations TO sealflow_api;


--
-- Name: COLUMN organizations.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.organizations TO sealflow_webhook;
GRANT SELECT(id) ON TABLE public.organizations TO sealflow_builder;
GRANT SELECT(id) ON TABLE public.organizations TO sealflow_executor;
GRANT SELECT(id) ON TABLE public.organizations TO sealflow_sweeper;


--
-- Name: COLUMN organizations.name; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(name) ON TABLE public.organizations TO sealflow_api;
GRANT SELECT(name) ON TABLE public.organizations TO sealflow_builder;


--
-- Name: COLUMN organizations.updated_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(updated_at) ON TABLE public.organizations TO sealflow_api;


--
-- Name: COLUMN organizations.deleted_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(deleted_at) ON TABLE public.organizations TO sealflow_api;
GRANT SELECT(deleted_at) ON TABLE public.organizations TO sealflow_webhook;
GRANT SELECT(deleted_at) ON TABLE public.organizations TO sealflow_builder;
GRANT SELECT(deleted_at) ON TABLE public.organizations TO sealflow_executor;
GRANT SELECT(deleted_at) ON TABLE public.organizations TO sealflow_sweeper;


--
-- Name: COLUMN organizations.retention_days; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(retention_days) ON TABLE public.organizations TO sealflow_api;
GRANT SELECT(retention_days) ON TABLE public.organizations TO sealflow_sweeper;


--
-- Name: TABLE schema_facts; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.schema_facts TO sealflow_api;
GRANT SELECT ON TABLE public.schema_facts TO sealflow_webhook;
GRANT SELECT ON TABLE public.schema_facts TO sealflow_builder;
GRANT SELECT ON TABLE public.schema_facts TO sealflow_executor;
GRANT SELECT ON TABLE public.schema_facts TO sealflow_sweeper;
GRANT SELECT ON TABLE public.schema_facts TO sealflow_rewrap;


--
-- Name: TABLE secrets; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE ON TABLE public.secrets TO sealflow_api;


--
-- Name: COLUMN secrets.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.secrets TO sealflow_executor;
GRANT SELECT(id) ON TABLE public.secrets TO sealflow_rewrap;


--
-- Name: COLUMN secrets.name; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(name) ON TABLE public.secrets TO sealflow_executor;


--
-- Name: COLUMN secrets.domain_type; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(domain_type) ON TABLE public.secrets TO sealflow_executor;
GRANT SELECT(domain_type) ON TABLE public.secrets TO sealflow_rewrap;


--
-- Name: COLUMN secrets.domain_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(domain_id) ON TABLE public.secrets TO sealflow_executor;
GRANT SELECT(domain_id) ON TABLE public.secrets TO sealflow_rewrap;


--
-- Name: COLUMN secrets.provider; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(provider) ON TABLE public.secrets TO sealflow_executor;


--
-- Name: COLUMN secrets.data; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(data) ON TABLE public.secrets TO sealflow_api;
GRANT SELECT(data) ON TABLE public.secrets TO sealflow_executor;
GRANT SELECT(data),UPDATE(data) ON TABLE public.secrets TO sealflow_rewrap;


--
-- Name: COLUMN secrets.updated_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(updated_at) ON TABLE public.secrets TO sealflow_api;


--
-- Name: TABLE webhook_deduplications; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.webhook_deduplications TO sealflow_webhook;
GRANT SELECT,DELETE ON TABLE public.webhook_deduplications TO sealflow_sweeper;


--
-- Name: COLUMN webhook_deduplications.event_id; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(event_id) ON TABLE public.webhook_deduplications TO sealflow_webhook;


--
-- Name: COLUMN webhook_deduplications.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(created_at) ON TABLE public.webhook_deduplications TO sealflow_webhook;


--
-- Name: TABLE webhooks; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.webhooks TO sealflow_api;
GRANT SELECT ON TABLE public.webhooks TO sealflow_webhook;


--
-- Name: COLUMN webhooks.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.webhooks TO sealflow_rewrap;


--
-- Name: COLUMN webhooks.workflow_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(workflow_id) ON TABLE public.webhooks TO sealflow_rewrap;


--
-- Name: COLUMN webhooks.authentication; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(authentication) ON TABLE public.webhooks TO sealflow_api;


--
-- Name: COLUMN webhooks.header_name; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(header_name) ON TABLE public.webhooks TO sealflow_api;


--
-- Name: COLUMN webhooks.deduplication_header; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(deduplication_header) ON TABLE public.webhooks TO sealflow_api;


--
-- Name: COLUMN webhooks.signing_keys; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(signing_keys) ON TABLE public.webhooks TO sealflow_api;
GRANT SELECT(signing_keys),UPDATE(signing_keys) ON TABLE public.webhooks TO sealflow_rewrap;


--
-- Name: COLUMN webhooks.current_key_name; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(current_key_name) ON TABLE public.webhooks TO sealflow_api;


--
-- Name: COLUMN webhooks.token_sha256; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(token_sha256) ON TABLE public.webhooks TO sealflow_api;


--
-- Name: COLUMN webhooks.previous_token_sha256; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(previous_token_sha256) ON TABLE public.webhooks TO sealflow_api;


--
-- Name: COLUMN webhooks.previous_until; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(previous_until) ON TABLE public.webhooks TO sealflow_api;


--
-- Name: COLUMN webhooks.version; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(version) ON TABLE public.webhooks TO sealflow_api;


--
-- Name: COLUMN webhooks.updated_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(updated_at) ON TABLE public.webhooks TO sealflow_api;


--
-- Name: COLUMN webhooks.deleted_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(deleted_at) ON TABLE public.webhooks TO sealflow_api;


--
-- Name: COLUMN webhooks.previous_signing_keys; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(previous_signing_keys) ON TABLE public.webhooks TO sealflow_api;
GRANT SELECT(previous_signing_keys),UPDATE(previous_signing_keys) ON TABLE public.webhooks TO sealflow_rewrap;


--
-- Name: TABLE workflow_events; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.workflow_events TO sealflow_api;
GRANT INSERT ON TABLE public.workflow_events TO sealflow_webhook;
GRANT SELECT,INSERT ON TABLE public.workflow_events TO sealflow_builder;
GRANT INSERT ON TABLE public.workflow_events TO sealflow_executor;
GRANT SELECT ON TABLE public.workflow_events TO sealflow_sweeper;


--
-- Name: COLUMN workflow_events.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.workflow_events TO sealflow_webhook;
GRANT SELECT(id) ON TABLE public.workflow_events TO sealflow_executor;


--
-- Name: COLUMN workflow_events.workflow_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(workflow_id) ON TABLE public.workflow_events TO sealflow_executor;


--
-- Name: COLUMN workflow_events.node_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(node_id) ON TABLE public.workflow_events TO sealflow_executor;


--
-- Name: COLUMN workflow_events.root_event_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(root_event_id) ON TABLE public.workflow_events TO sealflow_webhook;
GRANT SELECT(root_event_id) ON TABLE public.workflow_events TO sealflow_executor;


--
-- Name: COLUMN workflow_events.channel; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(channel) ON TABLE public.workflow_events TO sealflow_executor;


--
-- Name: COLUMN workflow_events.type; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(type) ON TABLE public.workflow_events TO sealflow_executor;


--
-- Name: COLUMN workflow_events.targets; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(targets) ON TABLE public.workflow_events TO sealflow_executor;


--
-- Name: COLUMN workflow_events.depth; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(depth) ON TABLE public.workflow_events TO sealflow_executor;


--
-- Name: COLUMN workflow_events.hops; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(hops) ON TABLE public.workflow_events TO sealflow_executor;


--
-- Name: COLUMN workflow_events.execution_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(execution_id) ON TABLE public.workflow_events TO sealflow_executor;


--
-- Name: COLUMN workflow_events.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(created_at) ON TABLE public.workflow_events TO sealflow_executor;


--
-- Name: COLUMN workflow_events.locked; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(locked) ON TABLE public.workflow_events TO sealflow_api;
GRANT UPDATE(locked) ON TABLE public.workflow_events TO sealflow_builder;


--
-- Name: COLUMN workflow_events.run_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(run_id) ON TABLE public.workflow_events TO sealflow_webhook;


--
-- Name: TABLE workflow_execution_calls; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.workflow_execution_calls TO sealflow_api;
GRANT SELECT ON TABLE public.workflow_execution_calls TO sealflow_builder;
GRANT SELECT ON TABLE public.workflow_execution_calls TO sealflow_sweeper;


--
-- Name: COLUMN workflow_execution_calls.id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(id) ON TABLE public.workflow_execution_calls TO sealflow_api;


--
-- Name: COLUMN workflow_execution_calls.workflow_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(workflow_id) ON TABLE public.workflow_execution_calls TO sealflow_api;


--
-- Name: COLUMN workflow_execution_calls.execution_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(execution_id) ON TABLE public.workflow_execution_calls TO sealflow_api;


--
-- Name: COLUMN workflow_execution_calls.call; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(call) ON TABLE public.workflow_execution_calls TO sealflow_api;


--
-- Name: COLUMN workflow_execution_calls.called_by; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(called_by) ON TABLE public.workflow_execution_calls TO sealflow_api;


--
-- Name: COLUMN workflow_execution_calls.handled_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(handled_at) ON TABLE public.workflow_execution_calls TO sealflow_builder;


--
-- Name: TABLE workflow_execution_wakes; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.workflow_execution_wakes TO sealflow_api;
GRANT SELECT ON TABLE public.workflow_execution_wakes TO sealflow_builder;
GRANT SELECT ON TABLE public.workflow_execution_wakes TO sealflow_sweeper;


--
-- Name: COLUMN workflow_execution_wakes.workflow_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(workflow_id) ON TABLE public.workflow_execution_wakes TO sealflow_api;
GRANT INSERT(workflow_id) ON TABLE public.workflow_execution_wakes TO sealflow_sweeper;


--
-- Name: COLUMN workflow_execution_wakes.execution_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(execution_id) ON TABLE public.workflow_execution_wakes TO sealflow_api;
GRANT INSERT(execution_id) ON TABLE public.workflow_execution_wakes TO sealflow_sweeper;


--
-- Name: COLUMN workflow_execution_wakes.cause; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(cause) ON TABLE public.workflow_execution_wakes TO sealflow_api;
GRANT INSERT(cause) ON TABLE public.workflow_execution_wakes TO sealflow_sweeper;


--
-- Name: COLUMN workflow_execution_wakes.caused_by; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(caused_by) ON TABLE public.workflow_execution_wakes TO sealflow_api;
GRANT INSERT(caused_by) ON TABLE public.workflow_execution_wakes TO sealflow_sweeper;


--
-- Name: COLUMN workflow_execution_wakes.handled_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(handled_at) ON TABLE public.workflow_execution_wakes TO sealflow_builder;
GRANT UPDATE(handled_at) ON TABLE public.workflow_execution_wakes TO sealflow_sweeper;


--
-- Name: TABLE workflow_node_execution_kvs; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.workflow_node_execution_kvs TO sealflow_api;
GRANT INSERT ON TABLE public.workflow_node_execution_kvs TO sealflow_builder;


--
-- Name: COLUMN workflow_node_execution_kvs.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.workflow_node_execution_kvs TO sealflow_builder;


--
-- Name: TABLE workflow_node_executions; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.workflow_node_executions TO sealflow_api;
GRANT SELECT,INSERT ON TABLE public.workflow_node_executions TO sealflow_builder;
GRANT SELECT ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT SELECT ON TABLE public.workflow_node_executions TO sealflow_sweeper;


--
-- Name: COLUMN workflow_node_executions.id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(id) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(id) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT INSERT(id) ON TABLE public.workflow_node_executions TO sealflow_api;


--
-- Name: COLUMN workflow_node_executions.workflow_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(workflow_id) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(workflow_id) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT INSERT(workflow_id) ON TABLE public.workflow_node_executions TO sealflow_api;


--
-- Name: COLUMN workflow_node_executions.node_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(node_id) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(node_id) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT INSERT(node_id) ON TABLE public.workflow_node_executions TO sealflow_api;


--
-- Name: COLUMN workflow_node_executions.root_event_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(root_event_id) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(root_event_id) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT INSERT(root_event_id) ON TABLE public.workflow_node_executions TO sealflow_api;


--
-- Name: COLUMN workflow_node_executions.event_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(event_id) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(event_id) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT INSERT(event_id) ON TABLE public.workflow_node_executions TO sealflow_api;


--
-- Name: COLUMN workflow_node_executions.previous_execution_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(previous_execution_id) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(previous_execution_id) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT INSERT(previous_execution_id) ON TABLE public.workflow_node_executions TO sealflow_api;


--
-- Name: COLUMN workflow_node_executions.state; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(state),UPDATE(state) ON TABLE public.workflow_node_executions TO sealflow_api;
GRANT INSERT(state),UPDATE(state) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(state),UPDATE(state) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT UPDATE(state) ON TABLE public.workflow_node_executions TO sealflow_builder;


--
-- Name: COLUMN workflow_node_executions.result; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(result),UPDATE(result) ON TABLE public.workflow_node_executions TO sealflow_api;
GRANT INSERT(result),UPDATE(result) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(result),UPDATE(result) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT UPDATE(result) ON TABLE public.workflow_node_executions TO sealflow_builder;


--
-- Name: COLUMN workflow_node_executions.result_reason; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(result_reason),UPDATE(result_reason) ON TABLE public.workflow_node_executions TO sealflow_api;
GRANT INSERT(result_reason),UPDATE(result_reason) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(result_reason),UPDATE(result_reason) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT UPDATE(result_reason) ON TABLE public.workflow_node_executions TO sealflow_builder;


--
-- Name: COLUMN workflow_node_executions.result_message; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(result_message),UPDATE(result_message) ON TABLE public.workflow_node_executions TO sealflow_api;
GRANT INSERT(result_message),UPDATE(result_message) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(result_message),UPDATE(result_message) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT UPDATE(result_message) ON TABLE public.workflow_node_executions TO sealflow_builder;


--
-- Name: COLUMN workflow_node_executions.component; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(component) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(component) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT INSERT(component) ON TABLE public.workflow_node_executions TO sealflow_api;


--
-- Name: COLUMN workflow_node_executions.configuration; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(configuration) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(configuration) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT INSERT(configuration) ON TABLE public.workflow_node_executions TO sealflow_api;


--
-- Name: COLUMN workflow_node_executions.metadata; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(metadata) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT UPDATE(metadata) ON TABLE public.workflow_node_executions TO sealflow_builder;


--
-- Name: COLUMN workflow_node_executions.workflow_version; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(workflow_version) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(workflow_version) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT INSERT(workflow_version) ON TABLE public.workflow_node_executions TO sealflow_api;


--
-- Name: COLUMN workflow_node_executions.node_version; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(node_version) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(node_version) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT INSERT(node_version) ON TABLE public.workflow_node_executions TO sealflow_api;


--
-- Name: COLUMN workflow_node_executions.attempt; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(attempt) ON TABLE public.workflow_node_executions TO sealflow_executor;


--
-- Name: COLUMN workflow_node_executions.key_attempt; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(key_attempt) ON TABLE public.workflow_node_executions TO sealflow_executor;


--
-- Name: COLUMN workflow_node_executions.crashes; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(crashes) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT UPDATE(crashes) ON TABLE public.workflow_node_executions TO sealflow_builder;


--
-- Name: COLUMN workflow_node_executions.run_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(run_at) ON TABLE public.workflow_node_executions TO sealflow_executor;


--
-- Name: COLUMN workflow_node_executions.lease_token; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(lease_token) ON TABLE public.workflow_node_executions TO sealflow_executor;


--
-- Name: COLUMN workflow_node_executions.lease_until; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(lease_until) ON TABLE public.workflow_node_executions TO sealflow_executor;


--
-- Name: COLUMN workflow_node_executions.last_sent_at; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(last_sent_at),UPDATE(last_sent_at) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT INSERT(last_sent_at) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(last_sent_at) ON TABLE public.workflow_node_executions TO sealflow_api;
GRANT UPDATE(last_sent_at) ON TABLE public.workflow_node_executions TO sealflow_builder;


--
-- Name: COLUMN workflow_node_executions.sent_count; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(sent_count) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT UPDATE(sent_count) ON TABLE public.workflow_node_executions TO sealflow_builder;


--
-- Name: COLUMN workflow_node_executions.cancelled_by; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(cancelled_by),UPDATE(cancelled_by) ON TABLE public.workflow_node_executions TO sealflow_api;
GRANT INSERT(cancelled_by),UPDATE(cancelled_by) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT UPDATE(cancelled_by) ON TABLE public.workflow_node_executions TO sealflow_builder;


--
-- Name: COLUMN workflow_node_executions.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(created_at) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(created_at) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT INSERT(created_at) ON TABLE public.workflow_node_executions TO sealflow_api;


--
-- Name: COLUMN workflow_node_executions.updated_at; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(updated_at),UPDATE(updated_at) ON TABLE public.workflow_node_executions TO sealflow_api;
GRANT INSERT(updated_at),UPDATE(updated_at) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(updated_at),UPDATE(updated_at) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT UPDATE(updated_at) ON TABLE public.workflow_node_executions TO sealflow_builder;


--
-- Name: COLUMN workflow_node_executions.started_at; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(started_at),UPDATE(started_at) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(started_at) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT INSERT(started_at) ON TABLE public.workflow_node_executions TO sealflow_api;


--
-- Name: COLUMN workflow_node_executions.finished_at; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(finished_at),UPDATE(finished_at) ON TABLE public.workflow_node_executions TO sealflow_api;
GRANT INSERT(finished_at),UPDATE(finished_at) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(finished_at),UPDATE(finished_at) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT UPDATE(finished_at) ON TABLE public.workflow_node_executions TO sealflow_builder;


--
-- Name: COLUMN workflow_node_executions.redriven_event_id; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(redriven_event_id) ON TABLE public.workflow_node_executions TO sealflow_api;


--
-- Name: COLUMN workflow_node_executions.run_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(run_id) ON TABLE public.workflow_node_executions TO sealflow_executor;
GRANT INSERT(run_id) ON TABLE public.workflow_node_executions TO sealflow_sweeper;
GRANT INSERT(run_id) ON TABLE public.workflow_node_executions TO sealflow_api;


--
-- Name: COLUMN workflow_node_executions.failure_routed; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(failure_routed) ON TABLE public.workflow_node_executions TO sealflow_executor;


--
-- Name: COLUMN workflow_node_executions.held; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(held) ON TABLE public.workflow_node_executions TO sealflow_builder;


--
-- Name: COLUMN workflow_node_executions.wake_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(wake_at) ON TABLE public.workflow_node_executions TO sealflow_builder;


--
-- Name: COLUMN workflow_node_executions.woken_until; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(woken_until) ON TABLE public.workflow_node_executions TO sealflow_builder;


--
-- Name: TABLE workflow_node_queue_items; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT,DELETE ON TABLE public.workflow_node_queue_items TO sealflow_api;
GRANT INSERT ON TABLE public.workflow_node_queue_items TO sealflow_webhook;
GRANT SELECT,INSERT,DELETE ON TABLE public.workflow_node_queue_items TO sealflow_builder;
GRANT SELECT,INSERT ON TABLE public.workflow_node_queue_items TO sealflow_executor;
GRANT SELECT,DELETE ON TABLE public.workflow_node_queue_items TO sealflow_sweeper;


--
-- Name: COLUMN workflow_node_queue_items.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.workflow_node_queue_items TO sealflow_webhook;


--
-- Name: COLUMN workflow_node_queue_items.crashes; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(crashes) ON TABLE public.workflow_node_queue_items TO sealflow_builder;


--
-- Name: COLUMN workflow_node_queue_items.last_sent_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(last_sent_at) ON TABLE public.workflow_node_queue_items TO sealflow_sweeper;


--
-- Name: COLUMN workflow_node_queue_items.sent_count; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(sent_count) ON TABLE public.workflow_node_queue_items TO sealflow_sweeper;


--
-- Name: COLUMN workflow_node_queue_items.concurrency_key; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(concurrency_key) ON TABLE public.workflow_node_queue_items TO sealflow_builder;
GRANT UPDATE(concurrency_key) ON TABLE public.workflow_node_queue_items TO sealflow_api;


--
-- Name: COLUMN workflow_node_queue_items.suspect_until; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(suspect_until) ON TABLE public.workflow_node_queue_items TO sealflow_builder;
GRANT UPDATE(suspect_until) ON TABLE public.workflow_node_queue_items TO sealflow_api;


--
-- Name: TABLE workflow_node_secret_refs; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.workflow_node_secret_refs TO sealflow_api;
GRANT SELECT ON TABLE public.workflow_node_secret_refs TO sealflow_executor;


--
-- Name: TABLE workflow_nodes; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.workflow_nodes TO sealflow_api;
GRANT SELECT ON TABLE public.workflow_nodes TO sealflow_builder;
GRANT SELECT ON TABLE public.workflow_nodes TO sealflow_executor;
GRANT SELECT ON TABLE public.workflow_nodes TO sealflow_sweeper;


--
-- Name: COLUMN workflow_nodes.workflow_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(workflow_id) ON TABLE public.workflow_nodes TO sealflow_webhook;


--
-- Name: COLUMN workflow_nodes.node_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(node_id) ON TABLE public.workflow_nodes TO sealflow_webhook;


--
-- Name: COLUMN workflow_nodes.name; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(name) ON TABLE public.workflow_nodes TO sealflow_api;


--
-- Name: COLUMN workflow_nodes.type; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(type) ON TABLE public.workflow_nodes TO sealflow_api;


--
-- Name: COLUMN workflow_nodes.ref; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(ref) ON TABLE public.workflow_nodes TO sealflow_api;


--
-- Name: COLUMN workflow_nodes.configuration; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(configuration) ON TABLE public.workflow_nodes TO sealflow_api;


--
-- Name: COLUMN workflow_nodes.webhook_id; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(webhook_id) ON TABLE public.workflow_nodes TO sealflow_api;


--
-- Name: COLUMN workflow_nodes.concurrency_max; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(concurrency_max) ON TABLE public.workflow_nodes TO sealflow_api;


--
-- Name: COLUMN workflow_nodes.metadata; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(metadata) ON TABLE public.workflow_nodes TO sealflow_api;


--
-- Name: COLUMN workflow_nodes."position"; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE("position") ON TABLE public.workflow_nodes TO sealflow_api;


--
-- Name: COLUMN workflow_nodes.version; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(version) ON TABLE public.workflow_nodes TO sealflow_api;


--
-- Name: COLUMN workflow_nodes.generation; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(generation) ON TABLE public.workflow_nodes TO sealflow_api;
GRANT SELECT(generation) ON TABLE public.workflow_nodes TO sealflow_webhook;


--
-- Name: COLUMN workflow_nodes.items_full; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(items_full) ON TABLE public.workflow_nodes TO sealflow_webhook;
GRANT UPDATE(items_full) ON TABLE public.workflow_nodes TO sealflow_builder;
GRANT UPDATE(items_full) ON TABLE public.workflow_nodes TO sealflow_sweeper;


--
-- Name: COLUMN workflow_nodes.locked; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(locked) ON TABLE public.workflow_nodes TO sealflow_api;
GRANT UPDATE(locked) ON TABLE public.workflow_nodes TO sealflow_builder;
GRANT UPDATE(locked) ON TABLE public.workflow_nodes TO sealflow_executor;
GRANT UPDATE(locked) ON TABLE public.workflow_nodes TO sealflow_sweeper;


--
-- Name: COLUMN workflow_nodes.updated_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(updated_at) ON TABLE public.workflow_nodes TO sealflow_api;


--
-- Name: COLUMN workflow_nodes.deleted_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(deleted_at) ON TABLE public.workflow_nodes TO sealflow_api;
GRANT SELECT(deleted_at) ON TABLE public.workflow_nodes TO sealflow_webhook;


--
-- Name: COLUMN workflow_nodes.concurrency_key; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(concurrency_key) ON TABLE public.workflow_nodes TO sealflow_api;
GRANT SELECT(concurrency_key) ON TABLE public.workflow_nodes TO sealflow_webhook;


--
-- Name: TABLE workflow_run_marks; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.workflow_run_marks TO sealflow_api;
GRANT SELECT,INSERT ON TABLE public.workflow_run_marks TO sealflow_builder;
GRANT SELECT ON TABLE public.workflow_run_marks TO sealflow_executor;
GRANT SELECT ON TABLE public.workflow_run_marks TO sealflow_sweeper;


--
-- Name: TABLE workflow_runs; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.workflow_runs TO sealflow_api;
GRANT SELECT ON TABLE public.workflow_runs TO sealflow_builder;
GRANT SELECT ON TABLE public.workflow_runs TO sealflow_executor;
GRANT SELECT ON TABLE public.workflow_runs TO sealflow_sweeper;


--
-- Name: COLUMN workflow_runs.id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(id) ON TABLE public.workflow_runs TO sealflow_api;
GRANT INSERT(id) ON TABLE public.workflow_runs TO sealflow_webhook;


--
-- Name: COLUMN workflow_runs.organization_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(organization_id) ON TABLE public.workflow_runs TO sealflow_api;
GRANT INSERT(organization_id) ON TABLE public.workflow_runs TO sealflow_webhook;


--
-- Name: COLUMN workflow_runs.workflow_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(workflow_id) ON TABLE public.workflow_runs TO sealflow_api;
GRANT INSERT(workflow_id) ON TABLE public.workflow_runs TO sealflow_webhook;


--
-- Name: COLUMN workflow_runs.workflow_version; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(workflow_version) ON TABLE public.workflow_runs TO sealflow_api;
GRANT INSERT(workflow_version) ON TABLE public.workflow_runs TO sealflow_webhook;


--
-- Name: COLUMN workflow_runs.node_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(node_id) ON TABLE public.workflow_runs TO sealflow_api;
GRANT INSERT(node_id) ON TABLE public.workflow_runs TO sealflow_webhook;


--
-- Name: COLUMN workflow_runs.root_event_id; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(root_event_id) ON TABLE public.workflow_runs TO sealflow_api;
GRANT INSERT(root_event_id) ON TABLE public.workflow_runs TO sealflow_webhook;


--
-- Name: COLUMN workflow_runs.path; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(path) ON TABLE public.workflow_runs TO sealflow_api;
GRANT INSERT(path) ON TABLE public.workflow_runs TO sealflow_webhook;


--
-- Name: COLUMN workflow_runs.name; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(name) ON TABLE public.workflow_runs TO sealflow_api;
GRANT INSERT(name) ON TABLE public.workflow_runs TO sealflow_webhook;


--
-- Name: COLUMN workflow_runs.state; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(state),UPDATE(state) ON TABLE public.workflow_runs TO sealflow_api;
GRANT INSERT(state) ON TABLE public.workflow_runs TO sealflow_webhook;
GRANT UPDATE(state) ON TABLE public.workflow_runs TO sealflow_builder;
GRANT UPDATE(state) ON TABLE public.workflow_runs TO sealflow_executor;
GRANT UPDATE(state) ON TABLE public.workflow_runs TO sealflow_sweeper;


--
-- Name: COLUMN workflow_runs.result; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(result),UPDATE(result) ON TABLE public.workflow_runs TO sealflow_api;
GRANT INSERT(result) ON TABLE public.workflow_runs TO sealflow_webhook;
GRANT UPDATE(result) ON TABLE public.workflow_runs TO sealflow_builder;
GRANT UPDATE(result) ON TABLE public.workflow_runs TO sealflow_executor;
GRANT UPDATE(result) ON TABLE public.workflow_runs TO sealflow_sweeper;


--
-- Name: COLUMN workflow_runs.stop; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(stop) ON TABLE public.workflow_runs TO sealflow_api;
GRANT UPDATE(stop) ON TABLE public.workflow_runs TO sealflow_builder;
GRANT UPDATE(stop) ON TABLE public.workflow_runs TO sealflow_sweeper;


--
-- Name: COLUMN workflow_runs.stopped_by; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(stopped_by) ON TABLE public.workflow_runs TO sealflow_api;
GRANT UPDATE(stopped_by) ON TABLE public.workflow_runs TO sealflow_builder;
GRANT UPDATE(stopped_by) ON TABLE public.workflow_runs TO sealflow_sweeper;


--
-- Name: COLUMN workflow_runs.due_at; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(due_at),UPDATE(due_at) ON TABLE public.workflow_runs TO sealflow_api;
GRANT INSERT(due_at) ON TABLE public.workflow_runs TO sealflow_webhook;


--
-- Name: COLUMN workflow_runs.looked_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(looked_at) ON TABLE public.workflow_runs TO sealflow_sweeper;


--
-- Name: COLUMN workflow_runs.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(created_at) ON TABLE public.workflow_runs TO sealflow_api;
GRANT INSERT(created_at) ON TABLE public.workflow_runs TO sealflow_webhook;


--
-- Name: COLUMN workflow_runs.updated_at; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(updated_at),UPDATE(updated_at) ON TABLE public.workflow_runs TO sealflow_api;
GRANT INSERT(updated_at) ON TABLE public.workflow_runs TO sealflow_webhook;
GRANT UPDATE(updated_at) ON TABLE public.workflow_runs TO sealflow_builder;
GRANT UPDATE(updated_at) ON TABLE public.workflow_runs TO sealflow_executor;
GRANT UPDATE(updated_at) ON TABLE public.workflow_runs TO sealflow_sweeper;


--
-- Name: COLUMN workflow_runs.finished_at; Type: ACL; Schema: public; Owner: -
--

GRANT INSERT(finished_at),UPDATE(finished_at) ON TABLE public.workflow_runs TO sealflow_api;
GRANT INSERT(finished_at) ON TABLE public.workflow_runs TO sealflow_webhook;
GRANT UPDATE(finished_at) ON TABLE public.workflow_runs TO sealflow_builder;
GRANT UPDATE(finished_at) ON TABLE public.workflow_runs TO sealflow_executor;
GRANT UPDATE(finished_at) ON TABLE public.workflow_runs TO sealflow_sweeper;


--
-- Name: COLUMN workflow_runs.expired_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(expired_at) ON TABLE public.workflow_runs TO sealflow_sweeper;


--
-- Name: TABLE workflow_versions; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.workflow_versions TO sealflow_api;


--
-- Name: TABLE workflows; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT,INSERT ON TABLE public.workflows TO sealflow_api;
GRANT SELECT ON TABLE public.workflows TO sealflow_builder;
GRANT SELECT ON TABLE public.workflows TO sealflow_executor;
GRANT SELECT ON TABLE public.workflows TO sealflow_sweeper;


--
-- Name: COLUMN workflows.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.workflows TO sealflow_webhook;
GRANT SELECT(id) ON TABLE public.workflows TO sealflow_rewrap;


--
-- Name: COLUMN workflows.organization_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(organization_id) ON TABLE public.workflows TO sealflow_webhook;
GRANT SELECT(organization_id) ON TABLE public.workflows TO sealflow_rewrap;


--
-- Name: COLUMN workflows.name; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(name) ON TABLE public.workflows TO sealflow_webhook;


--
-- Name: COLUMN workflows.description; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(description) ON TABLE public.workflows TO sealflow_api;
GRANT SELECT(description) ON TABLE public.workflows TO sealflow_webhook;


--
-- Name: COLUMN workflows.nodes; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(nodes) ON TABLE public.workflows TO sealflow_api;
GRANT SELECT(nodes) ON TABLE public.workflows TO sealflow_webhook;


--
-- Name: COLUMN workflows.edges; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(edges) ON TABLE public.workflows TO sealflow_api;
GRANT SELECT(edges) ON TABLE public.workflows TO sealflow_webhook;


--
-- Name: COLUMN workflows.version; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(version) ON TABLE public.workflows TO sealflow_api;
GRANT SELECT(version) ON TABLE public.workflows TO sealflow_webhook;


--
-- Name: COLUMN workflows.updated_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(updated_at) ON TABLE public.workflows TO sealflow_api;


--
-- Name: COLUMN workflows.deleted_at; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(deleted_at) ON TABLE public.workflows TO sealflow_api;
GRANT SELECT(deleted_at) ON TABLE public.workflows TO sealflow_webhook;


--
-- Name: COLUMN workflows.timeout_seconds; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(timeout_seconds) ON TABLE public.workflows TO sealflow_api;
GRANT SELECT(timeout_seconds) ON TABLE public.workflows TO sealflow_webhook;


--
-- Name: COLUMN workflows.held_full; Type: ACL; Schema: public; Owner: -
--

GRANT UPDATE(held_full) ON TABLE public.workflows TO sealflow_sweeper;


--
-- PostgreSQL database dump complete
--


