-- A webhook's row is never deleted, and a delivery is known by the webhook that took it. Each
-- delivery put a lock on that one row.
-- Functions lock a node before its rows, and so does this. One that holds rows and then reads a node
-- is told of the circle after a second, and tries again.
LOCK TABLE workflow_nodes IN ACCESS EXCLUSIVE MODE;
ALTER TABLE webhook_deduplications DROP CONSTRAINT webhook_deduplications_webhook_id_fkey;

UPDATE schema_facts SET version = 44;
