-- A table in a transaction: one that is broken off begins with that table again.

ALTER TABLE workflow_events VALIDATE CONSTRAINT workflow_events_of_run, VALIDATE CONSTRAINT workflow_events_has_run;

UPDATE schema_facts SET version = 16;
