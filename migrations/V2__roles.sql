-- One role for each function, with no more than it uses (I7). Roles belong to the whole cluster, so they are made only where
-- they are missing. A row lock needs UPDATE on one column: `locked` on nodes, the columns a function writes elsewhere.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['sealflow_api', 'sealflow_webhook', 'sealflow_builder', 'sealflow_executor', 'sealflow_sweeper']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I LOGIN', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of the cluster was migrated at the same moment
            END;
            -- On RDS a role may log in by IAM token once it has rds_iam.
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
                EXECUTE format('GRANT rds_iam TO %I', role_name);
            END IF;
        END IF;
    END LOOP;
END
$$;

-- A frozen sandbox in a transaction holds its locks until the server gives up, by default never. Functions check these at start.
-- Set for this database, so that two databases of one cluster do not write the same row of the catalogue.
DO $$
DECLARE
    role_name text;
    setting text[];
BEGIN
    FOREACH role_name IN ARRAY ARRAY['sealflow_api', 'sealflow_webhook', 'sealflow_builder', 'sealflow_executor', 'sealflow_sweeper']
    LOOP
        FOREACH setting SLICE 1 IN ARRAY ARRAY[
            ['idle_in_transaction_session_timeout', '5s'],
            ['statement_timeout', '10s'],
            ['lock_timeout', '3s'],
            ['tcp_keepalives_idle', '5'],
            ['tcp_keepalives_interval', '3'],
            ['tcp_keepalives_count', '3'],
            ['tcp_user_timeout', '15s'],
            ['jit', 'off']]
        LOOP
            EXECUTE format('ALTER ROLE %I IN DATABASE %I SET %s = %L', role_name, current_database(), setting[1], setting[2]);
        END LOOP;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role_name);
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role_name);
    END LOOP;
END
$$;

-- A role's row belongs to the whole cluster and takes one writer at a time, so it is written only where it differs.
DO $$
DECLARE
    role_limit record;
BEGIN
    FOR role_limit IN
        SELECT r.rolname, wanted.connections
        FROM (VALUES ('sealflow_api', 20), ('sealflow_webhook', 20), ('sealflow_builder', 20), ('sealflow_executor', 20),
            ('sealflow_sweeper', 3)) AS wanted (rolname, connections)
        JOIN pg_roles r ON r.rolname = wanted.rolname AND r.rolconnlimit <> wanted.connections
    LOOP
        BEGIN
            EXECUTE format('ALTER ROLE %I CONNECTION LIMIT %s', role_limit.rolname, role_limit.connections);
        EXCEPTION WHEN internal_error THEN
            NULL; -- "tuple concurrently updated": another database of the cluster was migrated at the same moment
        END;
    END LOOP;
END
$$;

-- api: management. It seals and never opens, so it may read sealed data (key names and hosts are readable by design).
GRANT SELECT ON organizations, api_tokens, workflows, workflow_versions, workflow_nodes, workflow_node_secret_refs, workflow_events,
    workflow_run_marks, workflow_node_queue_items, workflow_node_executions, workflow_node_execution_kvs, secrets, webhooks
    TO sealflow_api;
GRANT INSERT ON workflows, workflow_versions, workflow_nodes, workflow_node_secret_refs, workflow_events, workflow_run_marks,
    workflow_node_queue_items, secrets, webhooks TO sealflow_api;
GRANT UPDATE (name, updated_at, deleted_at) ON organizations TO sealflow_api;
GRANT UPDATE (description, nodes, edges, version, updated_at, deleted_at) ON workflows TO sealflow_api;
GRANT UPDATE (name, type, ref, configuration, webhook_id, concurrency_max, metadata, position, version, generation, locked,
    updated_at, deleted_at) ON workflow_nodes TO sealflow_api;
GRANT UPDATE (authentication, header_name, deduplication_header, signing_keys, current_key_name, token_sha256,
    previous_token_sha256, previous_until, version, updated_at, deleted_at) ON webhooks TO sealflow_api;
GRANT UPDATE (data, updated_at), DELETE ON secrets TO sealflow_api;
GRANT UPDATE (state, result, result_reason, result_message, finished_at, updated_at, cancelled_by)
    ON workflow_node_executions TO sealflow_api;

-- webhook: public intake. It sees no secret, no execution and no event that is there already.
GRANT SELECT (id, deleted_at) ON organizations TO sealflow_webhook;
GRANT SELECT (id, organization_id, name, description, nodes, edges, version, deleted_at) ON workflows TO sealflow_webhook;
GRANT SELECT (workflow_id, node_id, generation, items_full, deleted_at) ON workflow_nodes TO sealflow_webhook;
GRANT SELECT ON webhooks TO sealflow_webhook;
GRANT SELECT, INSERT, UPDATE (event_id, created_at) ON webhook_deduplications TO sealflow_webhook;
GRANT SELECT (id, root_event_id), INSERT ON workflow_events TO sealflow_webhook;
GRANT SELECT (id), INSERT ON workflow_node_queue_items TO sealflow_webhook;

-- builder: takes items, makes executions. No secret, no webhook.
GRANT SELECT ON workflows, workflow_nodes, workflow_events, workflow_run_marks, workflow_node_queue_items,
    workflow_node_executions TO sealflow_builder;
GRANT SELECT (id, name, deleted_at) ON organizations TO sealflow_builder;
GRANT INSERT ON workflow_events, workflow_run_marks, workflow_node_queue_items, workflow_node_executions,
    workflow_node_execution_kvs TO sealflow_builder;
GRANT SELECT (id) ON workflow_node_execution_kvs TO sealflow_builder;
GRANT UPDATE (locked, items_full) ON workflow_nodes TO sealflow_builder;
GRANT UPDATE (crashes), DELETE ON workflow_node_queue_items TO sealflow_builder;
GRANT SELECT, INSERT, UPDATE ON function_heartbeats TO sealflow_builder;

-- executor: claims, opens what the execution refers to, finishes. It can't change what an execution was built with.
GRANT SELECT ON workflows, workflow_nodes, workflow_node_secret_refs, workflow_run_marks, workflow_node_queue_items,
    workflow_node_executions TO sealflow_executor;
GRANT SELECT (id, workflow_id, node_id, root_event_id, channel, type, depth, hops, execution_id, targets, created_at)
    ON workflow_events TO sealflow_executor;
GRANT SELECT (id, deleted_at) ON organizations TO sealflow_executor;
GRANT SELECT (id, name, domain_type, domain_id, provider, data) ON secrets TO sealflow_executor;
GRANT INSERT ON workflow_events, workflow_node_queue_items TO sealflow_executor;
GRANT UPDATE (locked) ON workflow_nodes TO sealflow_executor;
GRANT UPDATE (state, result, result_reason, result_message, metadata, attempt, key_attempt, crashes, run_at, lease_token, lease_until,
    started_at, finished_at, updated_at) ON workflow_node_executions TO sealflow_executor;
GRANT SELECT, INSERT, UPDATE ON function_heartbeats TO sealflow_executor;

-- sweeper: sends again what was committed and not delivered, and ends what can't be.
GRANT SELECT ON workflows, workflow_nodes, workflow_events, workflow_run_marks, workflow_node_queue_items,
    workflow_node_executions, function_heartbeats, webhook_deduplications TO sealflow_sweeper;
GRANT SELECT (id, deleted_at) ON organizations TO sealflow_sweeper;
GRANT UPDATE (locked, items_full) ON workflow_nodes TO sealflow_sweeper;
GRANT UPDATE (last_sent_at, sent_count), DELETE ON workflow_node_queue_items TO sealflow_sweeper;
GRANT INSERT ON workflow_node_executions TO sealflow_sweeper;
GRANT UPDATE (state, result, result_reason, result_message, lease_token, lease_until, last_sent_at, sent_count, finished_at,
    updated_at) ON workflow_node_executions TO sealflow_sweeper;
GRANT DELETE ON webhook_deduplications TO sealflow_sweeper;
