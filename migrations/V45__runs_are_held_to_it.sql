-- By itself, for it takes as long as the table is large, and holds no lock that writers wait for.
ALTER TABLE workflow_runs
    VALIDATE CONSTRAINT workflow_runs_check;

UPDATE schema_facts SET version = 45;
