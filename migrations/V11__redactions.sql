-- Places of an event's data that were redacted, or in which a secret was scrubbed: an expression that would take what stands there for
-- data fails (`redacted`) instead of sending `Authorization: Bearer [redacted]`.

ALTER TABLE workflow_events ADD COLUMN redactions jsonb CHECK (jsonb_typeof(redactions) = 'object');
COMMENT ON COLUMN workflow_events.redactions IS 'Places of data that were blanked, as lists of JSON pointers: redacted, scrubbed; null for none.';

-- What the constraint before took, this one takes.
ALTER TABLE workflow_node_executions DROP CONSTRAINT workflow_node_executions_result_reason_check;
ALTER TABLE workflow_node_executions ADD CONSTRAINT workflow_node_executions_result_reason_check
    CHECK (result_reason IN ('template_error', 'redacted', 'secret_missing', 'secret_denied', 'component_error', 'timeout', 'limit', 'run_limit', 'cancelled', 'node_removed', 'crashed', 'undeliverable'))
    NOT VALID;

COMMENT ON COLUMN workflow_node_executions.residuals IS 'The fields of the configuration that hold secrets, each as its parts: known text and references.';

UPDATE schema_facts SET version = 11;
