-- Rows that were deleted stay on their pages while any transaction might still read them, and
-- claims walk over them. A role sees when its own transactions began, and a member of pg_monitor
-- those of all. The owner is to be one, and this function tells the sweeper one number.
CREATE FUNCTION oldest_transaction_seconds() RETURNS float8
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)::float8
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
      AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
$$;
COMMENT ON FUNCTION oldest_transaction_seconds() IS
    'Seconds since the oldest transaction of this database began that holds a snapshot or has written, of those that the owner of the schema may see.';
REVOKE ALL ON FUNCTION oldest_transaction_seconds() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION oldest_transaction_seconds() TO sealflow_sweeper;

UPDATE schema_facts SET version = 53;
