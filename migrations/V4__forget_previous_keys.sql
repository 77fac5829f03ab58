-- The key before a rotation gets a column of its own, so that it can be forgotten once it is taken no more. Of a signing key that was
-- kept beside its successor before this migration, the sealed bytes go with the next rotation.

ALTER TABLE webhooks ADD COLUMN previous_signing_keys bytea;
ALTER TABLE webhooks ADD CONSTRAINT webhooks_previous_signing_key
    CHECK (previous_signing_keys IS NULL OR (signing_keys IS NOT NULL AND previous_until IS NOT NULL));
COMMENT ON COLUMN webhooks.signing_keys IS 'Sealed entries (purpose webhook): the current key; only for signature.';
COMMENT ON COLUMN webhooks.current_key_name IS 'The name of the current entry. A key keeps its name for life, for its sealed bytes are bound to it.';
COMMENT ON COLUMN webhooks.previous_signing_keys IS 'The sealed entry of the key before a rotation, as long as it is taken.';
COMMENT ON COLUMN webhooks.previous_until IS 'Until when the previous key or token is taken; null: none is. Then the sweeper forgets all three.';
CREATE INDEX webhooks_previous ON webhooks (previous_until) WHERE previous_until IS NOT NULL;

GRANT UPDATE (previous_signing_keys) ON webhooks TO sealflow_api;

-- The sweeper forgets through a function and has no right to the table: with UPDATE on these columns it could set a token of its own.
-- The worst that a taken-over sweeper can do with it is to end a previous key too early.
CREATE FUNCTION forget_previous_webhook_keys(ended_at timestamptz, rows_max bigint) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH forgotten AS (
        UPDATE public.webhooks SET previous_signing_keys = NULL, previous_token_sha256 = NULL, previous_until = NULL
        WHERE id IN (
            SELECT id FROM public.webhooks WHERE previous_until <= ended_at
            ORDER BY previous_until LIMIT rows_max FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING id)
    SELECT count(*) FROM forgotten
$$;
COMMENT ON FUNCTION forget_previous_webhook_keys(timestamptz, bigint) IS 'Forgets previous keys and tokens that are taken no more at that time; returns how many.';
REVOKE ALL ON FUNCTION forget_previous_webhook_keys(timestamptz, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_previous_webhook_keys(timestamptz, bigint) TO sealflow_sweeper;
