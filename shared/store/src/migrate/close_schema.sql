-- Runs before every migration: nobody but the owner may create in the schema, or a function of
-- somebody else's, better fitting than the one that a migration means, would be run by the owner.
DO $$
BEGIN
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
EXCEPTION WHEN insufficient_privilege THEN
    NULL; -- somebody else owns the schema; whether others may create is asked next
END
$$;
