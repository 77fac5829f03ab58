-- A constraint is read and prepared once for each statement that writes: what says the same in fewer words stands here and in the next
-- migrations, a table in each, and is validated by later ones. The text of a closed set is one array; columns that are null together are
-- held against each other.
--
-- A foreign key is checked once for each row, with a lock on the row that it points at. That to the node is gone: a node's row is never
-- deleted, a row's node is that of the definition whose version is compared, or that of a row that is there, and the lock stood on the row
-- by which the claims of a limited node are ordered.

-- Functions lock a node before its rows, and so does this: nobody waits here who holds what we wait for.
LOCK TABLE workflow_nodes IN ACCESS EXCLUSIVE MODE;
ALTER TABLE workflow_node_executions DROP CONSTRAINT workflow_node_executions_workflow_id_node_id_fkey;
ALTER TABLE workflow_node_executions
    DROP CONSTRAINT workflow_node_executions_state_check,
    ADD CONSTRAINT workflow_node_executions_state_check
        CHECK (state = ANY ('{pending,started,held,cancelling,finished}'::text[])) NOT VALID,
    DROP CONSTRAINT workflow_node_executions_result_check,
    ADD CONSTRAINT workflow_node_executions_result_check
        CHECK (result = ANY ('{passed,failed,cancelled}'::text[])) NOT VALID,
    DROP CONSTRAINT workflow_node_executions_result_reason_check,
    ADD CONSTRAINT workflow_node_executions_result_reason_check
        CHECK (result_reason = ANY ('{template_error,redacted,secret_missing,secret_denied,component_error,timeout,limit,run_limit,cancelled,node_removed,crashed,undeliverable}'::text[])) NOT VALID,
    DROP CONSTRAINT workflow_node_executions_reason,
    ADD CONSTRAINT workflow_node_executions_reason
        CHECK (result_reason IS NULL OR result <> 'passed') NOT VALID,
    DROP CONSTRAINT workflow_node_executions_redriven,
    ADD CONSTRAINT workflow_node_executions_redriven
        CHECK (redriven_event_id IS NULL OR coalesce(result, 'passed') = 'failed') NOT VALID,
    DROP CONSTRAINT workflow_node_executions_finished,
    ADD CONSTRAINT workflow_node_executions_finished
        CHECK ((state = 'finished') = (result IS NOT NULL) AND (result IS NULL) = (finished_at IS NULL)) NOT VALID,
    DROP CONSTRAINT workflow_node_executions_lease,
    ADD CONSTRAINT workflow_node_executions_lease
        CHECK ((lease_token IS NOT NULL) = (state = ANY ('{started,cancelling}'::text[]))
            AND (lease_token IS NULL) = (lease_until IS NULL)) NOT VALID,
    DROP CONSTRAINT workflow_node_executions_held_check,
    ADD CONSTRAINT workflow_node_executions_held_check
        CHECK ((held IS NOT NULL) = (state = 'held') AND (held IS NOT NULL OR coalesce(wake_at, woken_until) IS NULL)) NOT VALID,
    DROP CONSTRAINT workflow_node_executions_attempt_check,
    DROP CONSTRAINT workflow_node_executions_key_attempt_check,
    ADD CONSTRAINT workflow_node_executions_attempts
        CHECK (least(attempt, key_attempt) >= 1 AND greatest(attempt, key_attempt) <= 30) NOT VALID,
    DROP CONSTRAINT workflow_node_executions_crashes_check,
    DROP CONSTRAINT workflow_node_executions_sent_count_check,
    ADD CONSTRAINT workflow_node_executions_counts CHECK (least(crashes, sent_count) >= 0) NOT VALID;

UPDATE schema_facts SET version = 27;
