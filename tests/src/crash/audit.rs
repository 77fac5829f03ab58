//! The notes of the database itself while the suite runs: every change of an execution's state and
//! every queue item that came or went, in the order in which it happened under the node's lock.

/// Triggers and tables of the suite's own, in a schema that no function knows.
pub(super) const INSTALL: &str = r"
CREATE SCHEMA audit;
CREATE SEQUENCE audit.place;
CREATE TABLE audit.execution_changes (
    place bigint PRIMARY KEY DEFAULT nextval('audit.place'), xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    began_at timestamptz NOT NULL DEFAULT transaction_timestamp(), id uuid NOT NULL, workflow_id uuid NOT NULL, node_id text NOT NULL,
    old_state text, state text NOT NULL, old_token uuid, token uuid, old_lease_until timestamptz, attempt integer NOT NULL,
    old_attempt integer, crashes integer NOT NULL);
CREATE TABLE audit.item_changes (
    place bigint PRIMARY KEY DEFAULT nextval('audit.place'), xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    began_at timestamptz NOT NULL DEFAULT transaction_timestamp(), is_gone boolean NOT NULL, id uuid NOT NULL,
    workflow_id uuid NOT NULL, node_id text NOT NULL, event_id uuid NOT NULL, created_at timestamptz NOT NULL);
CREATE TABLE audit.sends (
    place bigint PRIMARY KEY DEFAULT nextval('audit.place'), what text NOT NULL, id uuid NOT NULL);
CREATE FUNCTION audit.note_execution() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.sent_count > OLD.sent_count THEN
        INSERT INTO audit.sends (what, id) VALUES ('execution', NEW.id);
    END IF;
    IF TG_OP = 'INSERT' OR (NEW.state, NEW.lease_token, NEW.attempt) IS DISTINCT FROM (OLD.state, OLD.lease_token, OLD.attempt) THEN
        INSERT INTO audit.execution_changes (id, workflow_id, node_id, old_state, state, old_token, token, old_lease_until, attempt,
            old_attempt, crashes)
        VALUES (NEW.id, NEW.workflow_id, NEW.node_id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END, NEW.state,
            CASE WHEN TG_OP = 'UPDATE' THEN OLD.lease_token END, NEW.lease_token,
            CASE WHEN TG_OP = 'UPDATE' THEN OLD.lease_until END, NEW.attempt, CASE WHEN TG_OP = 'UPDATE' THEN OLD.attempt END,
            NEW.crashes);
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION audit.note_item() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.sent_count > OLD.sent_count THEN INSERT INTO audit.sends (what, id) VALUES ('item', NEW.id); END IF;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO audit.item_changes (is_gone, id, workflow_id, node_id, event_id, created_at)
        VALUES (false, NEW.id, NEW.workflow_id, NEW.node_id, NEW.event_id, NEW.created_at);
    ELSE
        INSERT INTO audit.item_changes (is_gone, id, workflow_id, node_id, event_id, created_at)
        VALUES (true, OLD.id, OLD.workflow_id, OLD.node_id, OLD.event_id, OLD.created_at);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_execution AFTER INSERT OR UPDATE ON workflow_node_executions
    FOR EACH ROW EXECUTE FUNCTION audit.note_execution();
CREATE TRIGGER audit_item AFTER INSERT OR UPDATE OR DELETE ON workflow_node_queue_items
    FOR EACH ROW EXECUTE FUNCTION audit.note_item();";
