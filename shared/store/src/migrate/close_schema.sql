-- Runs before every migration. Nobody but the owner may create in the schema: otherwise the owner
-- could run another person's function that fits a migration's call better than the intended one.
DO $$
BEGIN
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
EXCEPTION WHEN insufficient_privilege THEN
    NULL; -- somebody else owns the schema; whether others may create is asked next
END
$$;
