-- As V45.
ALTER TABLE workflow_events
    VALIDATE CONSTRAINT workflow_events_check;

UPDATE schema_facts SET version = 46;
