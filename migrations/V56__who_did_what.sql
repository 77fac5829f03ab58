-- Roles, members, and who did what.
ALTER TABLE api_tokens
    ADD COLUMN kind text NOT NULL DEFAULT 'token' CHECK (kind IN ('token', 'member')),
    ADD COLUMN role text NOT NULL DEFAULT 'owner'
        CHECK (role IN ('viewer', 'operator', 'editor', 'admin', 'owner')),
    ADD COLUMN grants text[] NOT NULL DEFAULT '{data:read,secrets:write}'
        CHECK (grants <@ ARRAY['data:read', 'secrets:write']),
    ADD COLUMN made_by uuid REFERENCES api_tokens (id),
    ADD COLUMN used_at timestamptz,
    ADD COLUMN throttled bigint NOT NULL DEFAULT 0 CHECK (throttled >= 0);
COMMENT ON COLUMN api_tokens.kind IS 'A token for a program, or a member: a person''s token, with an e-mail address as its name.';
COMMENT ON COLUMN api_tokens.role IS 'What it may do. Code from before this column makes tokens that may do everything, as all could.';
COMMENT ON COLUMN api_tokens.grants IS 'What its role does not settle alone.';
COMMENT ON COLUMN api_tokens.made_by IS 'The token that made it, as which it counts: it may do no more, and ends with it. Null: it was made by the operator, or before this column.';
COMMENT ON COLUMN api_tokens.used_at IS 'When it was last used, to the minute.';
COMMENT ON COLUMN api_tokens.throttled IS 'Requests that were refused because they came too fast.';
CREATE INDEX api_tokens_made_by ON api_tokens (made_by) WHERE made_by IS NOT NULL;
GRANT UPDATE (role, grants, used_at, throttled) ON api_tokens TO sealflow_api;

ALTER TABLE organizations
    ADD COLUMN suspended_at timestamptz,
    ADD COLUMN requests_per_second_max integer CHECK (requests_per_second_max >= 1);
COMMENT ON COLUMN organizations.suspended_at IS 'Since when its tokens and webhooks are refused; null: they are not.';
COMMENT ON COLUMN organizations.requests_per_second_max IS 'How many requests a second each instance of the API takes of it; null: as many as its tokens may make.';
GRANT SELECT (suspended_at) ON organizations TO sealflow_webhook;

CREATE TABLE audit_log (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations (id),
    created_at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    object_kind text NOT NULL,
    object_id text NOT NULL,
    object_name text,
    source_ip text,
    read_key text UNIQUE
);
COMMENT ON TABLE audit_log IS 'Who did what to what, when and from where. A line is never changed; it ends by age alone.';
COMMENT ON COLUMN audit_log.id IS 'UUIDv7.';
COMMENT ON COLUMN audit_log.organization_id IS 'The tenant.';
COMMENT ON COLUMN audit_log.created_at IS 'When it was done.';
COMMENT ON COLUMN audit_log.actor IS 'Who did it: kind, id and name.';
COMMENT ON COLUMN audit_log.action IS 'The action, such as workflows:write.';
COMMENT ON COLUMN audit_log.object_kind IS 'What it was done to, such as workflow.';
COMMENT ON COLUMN audit_log.object_id IS 'Its id, or its name where it has none.';
COMMENT ON COLUMN audit_log.object_name IS 'Its name at that time.';
COMMENT ON COLUMN audit_log.source_ip IS 'The address that the request came from.';
COMMENT ON COLUMN audit_log.read_key IS 'Of a read of data: actor, object and hour, which have one line. Null: a write.';
CREATE INDEX audit_log_organization ON audit_log (organization_id, id);
CREATE INDEX audit_log_age ON audit_log (created_at);
GRANT SELECT, INSERT ON audit_log TO sealflow_api;

-- The one way in which lines end.
CREATE FUNCTION end_audit_lines(kept_days integer, rows_max bigint)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE ended bigint;
BEGIN
    IF kept_days IS NULL OR kept_days < 30 THEN
        RAISE EXCEPTION 'lines of the audit log are kept for 30 days at least'
            USING ERRCODE = 'check_violation';
    END IF;
    DELETE FROM public.audit_log WHERE id IN (
        SELECT id FROM public.audit_log
        WHERE created_at < now() - make_interval(days => kept_days)
        ORDER BY created_at LIMIT rows_max);
    GET DIAGNOSTICS ended = ROW_COUNT;
    RETURN ended;
END $$;
COMMENT ON FUNCTION end_audit_lines IS
    'Deletes up to so many lines of the audit log that are older than so many days, 30 at least. Returns how many.';
REVOKE ALL ON FUNCTION end_audit_lines FROM PUBLIC;
GRANT EXECUTE ON FUNCTION end_audit_lines TO sealflow_sweeper;

UPDATE schema_facts SET version = 56;
