//! The closed sets: each word is spelled in the code as the database's CHECKs have it.

use domain::definition::NodeType;
use domain::execution::{ExecutionResult, ExecutionState, ResultReason};
use domain::function::Function;
use domain::held::{Call, WakeCause};
use domain::run::{RunState, RunStop};
use domain::webhook::Authentication;
use tests::Database;

/// The words that the CHECKs of a table allow in a column, by the form `column IN (…)`, or by
/// `column = ANY ('{…}')` in the function that a CHECK calls.
async fn words_in_check(database: &Database, table: &str, column: &str) -> String {
    database
        .sql(&format!(
            "WITH rules AS (
                 SELECT c.oid, pg_get_constraintdef(c.oid) AS definition FROM pg_constraint c
                 WHERE c.conrelid = '{table}'::regclass AND c.contype = 'c'),
             listed AS (
                 SELECT definition FROM rules
                 WHERE definition LIKE 'CHECK (({column} = ANY (ARRAY[%'
                    OR definition LIKE 'CHECK (({column} = ANY (''{{%'
                    OR definition LIKE 'CHECK (({column} = ''%'
                 UNION ALL
                 SELECT (regexp_matches(p.prosrc, '\\m{column} = ANY \\(\\s*(''[^'']*'')'))[1]
                 FROM rules
                 JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = rules.oid
                     AND d.refclassid = 'pg_proc'::regclass
                 JOIN pg_proc p ON p.oid = d.refobjid)
             SELECT string_agg(word, ' ' ORDER BY word) FROM (
                 SELECT DISTINCT (regexp_matches(definition, '(?:''|[{{,])\\s*([a-z_]+)(?=[,}}''])', 'g'))[1]
                     AS word
                 FROM listed) words"
        ))
        .await
}

#[tokio::test]
async fn words_are_spelled_as_the_checks_have_them() {
    let database = Database::create().await;
    let check = async |table: &str, column: &str, words: Vec<&str>| {
        let mut words = words;
        words.sort_unstable();
        assert_eq!(words_in_check(&database, table, column).await, words.join(" "), "{table}.{column}");
    };
    let executions = "workflow_node_executions";
    check(executions, "state", ExecutionState::ALL.iter().map(|word| word.as_str()).collect()).await;
    check(executions, "result", ExecutionResult::ALL.iter().map(|word| word.as_str()).collect()).await;
    check(executions, "result_reason", ResultReason::ALL.iter().map(|word| word.as_str()).collect()).await;
    check("workflow_runs", "state", RunState::ALL.iter().map(|word| word.as_str()).collect()).await;
    check("workflow_runs", "result", ExecutionResult::ALL.iter().map(|word| word.as_str()).collect()).await;
    check("workflow_runs", "stop", RunStop::ALL.iter().map(|word| word.as_str()).collect()).await;
    check("webhooks", "authentication", Authentication::ALL.iter().map(|word| word.as_str()).collect()).await;
    let causes = WakeCause::ALL.iter().map(|word| word.as_str()).collect();
    check("workflow_execution_wakes", "cause", causes).await;
    check("workflow_execution_calls", "call", Call::ALL.iter().map(|word| word.as_str()).collect()).await;
    let types = [NodeType::Trigger, NodeType::Component, NodeType::Blueprint].map(NodeType::as_str).to_vec();
    check("workflow_nodes", "type", types).await;
    // Only the functions that queues wake have a heartbeat.
    let functions = [Function::Builder, Function::Executor].map(Function::as_str).to_vec();
    check("function_heartbeats", "function", functions).await;
}
