-- The role of the rewrap function, which moves sealed values to another KMS key: it replaces sealed bytes and knows no more than whose
-- they are. Sealed bytes of another place do not open; older ones of the same place do, as for the API's role.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sealflow_rewrap') THEN
        BEGIN
            CREATE ROLE sealflow_rewrap LOGIN CONNECTION LIMIT 3;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of the cluster was migrated at the same moment
        END;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
            GRANT rds_iam TO sealflow_rewrap;
        END IF;
    END IF;
END
$$;

DO $$
DECLARE
    setting text[];
BEGIN
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
        EXECUTE format('ALTER ROLE sealflow_rewrap IN DATABASE %I SET %s = %L', current_database(), setting[1], setting[2]);
    END LOOP;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO sealflow_rewrap', current_database());
END
$$;
GRANT USAGE ON SCHEMA public TO sealflow_rewrap;

GRANT SELECT (id, domain_type, domain_id, data), UPDATE (data) ON secrets TO sealflow_rewrap;
GRANT SELECT (id, workflow_id, signing_keys, previous_signing_keys), UPDATE (signing_keys, previous_signing_keys)
    ON webhooks TO sealflow_rewrap;
GRANT SELECT (id, organization_id) ON workflows TO sealflow_rewrap;
