-- Runs before every migration: makes the missing roles of functions, and nothing more. Migrations
-- that make roles too find them there. The login by token is granted after the migrations, for RDS
-- decides who may grant it.
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
