-- Runs after every migration, even if none was due: a restored dump brings roles without their
-- settings, and roles belong to the whole cluster. A setting is written only where it differs, for
-- its row takes one writer at a time. The setting sealflow.login is 'iam', 'password' or 'url'.
DO $$
DECLARE
    wanted record;
    setting text[];
    login constant text := current_setting('sealflow.login');
BEGIN
    -- Only the roles of this list may connect.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    FOR wanted IN
        SELECT r.rolname, r.oid, r.rolconnlimit, w.connections
        FROM (VALUES ('sealflow_api', 20), ('sealflow_webhook', 20), ('sealflow_builder', 20),
                     ('sealflow_executor', 20), ('sealflow_sweeper', 3), ('sealflow_rewrap', 3))
            AS w (rolname, connections)
        JOIN pg_roles r ON r.rolname = w.rolname
    LOOP
        BEGIN
            IF wanted.rolconnlimit <> wanted.connections THEN
                EXECUTE format('ALTER ROLE %I CONNECTION LIMIT %s',
                    wanted.rolname, wanted.connections);
            END IF;
            -- On RDS a role with rds_iam logs in by token alone, so a role with a password must not
            -- have it. Where this session may not revoke rds_iam, migrate says who may.
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
                IF login = 'iam' AND NOT pg_has_role(wanted.oid, 'rds_iam', 'MEMBER') THEN
                    EXECUTE format('GRANT rds_iam TO %I', wanted.rolname);
                ELSIF login = 'password' AND pg_has_role(wanted.oid, 'rds_iam', 'MEMBER') THEN
                    BEGIN
                        EXECUTE format('REVOKE rds_iam FROM %I CASCADE', wanted.rolname);
                    EXCEPTION WHEN insufficient_privilege THEN
                        NULL;
                    END;
                END IF;
            END IF;
        EXCEPTION WHEN internal_error THEN
            -- "tuple concurrently updated": another database of the cluster was migrated at the
            -- same moment.
            NULL;
        END;
        FOREACH setting SLICE 1 IN ARRAY ARRAY[
            ['idle_in_transaction_session_timeout', '5s'],
            ['statement_timeout', '10s'],
            ['lock_timeout', '3s'],
            ['tcp_keepalives_idle', '5'],
            ['tcp_keepalives_interval', '3'],
            ['tcp_keepalives_count', '3'],
            ['tcp_user_timeout', '15s'],
            ['jit', 'off'],
            -- The plan of a statement does not depend on the statistics of its first run, and goes
            -- by indexes from row to row. A merge or a hash would walk over a whole table or a
            -- whole index.
            ['plan_cache_mode', 'force_generic_plan'],
            ['enable_seqscan', 'off'],
            ['enable_hashjoin', 'off'],
            ['enable_mergejoin', 'off']]
        LOOP
            IF NOT EXISTS (
                SELECT FROM pg_db_role_setting s
                WHERE s.setrole = wanted.oid
                  AND s.setdatabase = (
                      SELECT oid FROM pg_database WHERE datname = current_database())
                  AND (setting[1] || '=' || setting[2]) = ANY (s.setconfig))
            THEN
                EXECUTE format('ALTER ROLE %I IN DATABASE %I SET %s = %L',
                    wanted.rolname, current_database(), setting[1], setting[2]);
            END IF;
        END LOOP;
        IF NOT has_database_privilege(wanted.oid, current_database(), 'CONNECT') THEN
            EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I',
                current_database(), wanted.rolname);
        END IF;
    END LOOP;
END
$$;
