-- Every foreign key to an event names its run now, and lists are as well read by that index. A mark
-- of a run that was stopped belongs to the run, as its root event does.
-- Functions lock a node before its rows, and so does this. One that holds rows and then reads a node
-- is told of the circle after a second, and tries again.
LOCK TABLE workflow_nodes IN ACCESS EXCLUSIVE MODE;
ALTER TABLE workflow_run_marks
    DROP CONSTRAINT workflow_run_marks_workflow_id_root_event_id_fkey,
    ADD CONSTRAINT workflow_run_marks_of_run
        FOREIGN KEY (workflow_id, root_event_id, root_event_id)
        REFERENCES workflow_runs (workflow_id, id, root_event_id) NOT VALID;
ALTER TABLE workflow_events DROP CONSTRAINT workflow_events_workflow_id_id_key;

UPDATE schema_facts SET version = 43;
