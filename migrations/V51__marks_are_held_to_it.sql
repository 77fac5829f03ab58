-- As V45.
ALTER TABLE workflow_run_marks
    VALIDATE CONSTRAINT workflow_run_marks_of_run;

UPDATE schema_facts SET version = 51;
