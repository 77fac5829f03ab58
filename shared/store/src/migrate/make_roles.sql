-- Runs before every migration: makes the functions' roles where they are missing, and nothing more.
-- Migrations that make them too find them there; whether they log in by token is decided after the
-- migrations, for who may grant that is RDS's matter.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['sealflow_api', 'sealflow_webhook', 'sealflow_builder',
        'sealflow_executor', 'sealflow_sweeper', 'sealflow_rewrap']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I LOGIN', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of the cluster was migrated at the same moment
            END;
        END IF;
    END LOOP;
END
$$;
