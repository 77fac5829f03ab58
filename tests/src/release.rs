//! The database of a release, kept as a dump: what runs in it has to go on after later migrations.

use std::process::Command;

use domain::execution::ExecutionState;
use local::stack::find_postgres;
use local::target::Target;
use serde_json::{Value, json};

use crate::world::{build, event, execute, messages};
use crate::{Database, World};

/// Stands in a dump for the address of the target.
pub const TARGET: &str = "127.0.0.1:1";

/// The runs of a database: what each is, and its result or else its state.
pub const RUNS: &str = "
    SELECT string_agg(e.data ->> 'what' || '=' || coalesce(r.result, r.state), ' ' ORDER BY e.data ->> 'what')
    FROM workflow_runs r JOIN workflow_events e ON e.id = r.id";

/// A database with runs in each state, as today's code leaves them: its dump, with the runs in its
/// first line.
///
/// # Panics
/// When a run does not come to its state.
pub async fn dump() -> String {
    let (world, target) = (World::create().await, Target::start().await.expect("the target starts"));
    let http = |id: &str, more: Value| {
        let url = format!("{}/status/{{{{ root().data.status }}}}", target.url());
        let mut node = json!({ "id": id, "name": id, "component": "http", "configuration": { "url": url }, "keys": { "what": "{{ root().data.what }}" } });
        more.as_object().expect("a map").iter().for_each(|(name, value)| node[name] = value.clone());
        node
    };
    let nodes = json!([
        { "id": "start", "name": "start", "trigger": "start" },
        { "id": "limited", "name": "limited", "trigger": "start" },
        http("work", json!({ "concurrency": "unlimited", "retry": { "max_attempts": 2, "initial_interval": 3600, "backoff": "fixed" } })),
        http("one", json!({ "concurrency": 1 })),
        { "id": "wait", "name": "wait", "component": "wait", "configuration": { "for": "{{ root().data.for }}" } },
    ]);
    let edges = json!([
        { "from": "start", "to": "work" }, { "from": "limited", "to": "one" },
        { "from": "work", "channel": "success", "to": "wait" },
    ]);
    let workflow = world.workflow(nodes, edges).await;
    let (builder, executor) = (world.builder(), world.executor(&target.host_port()));
    let start = async |node: &str, what: &str, status: u16, wait: &str| {
        let data = json!({ "what": what, "status": status, "for": wait });
        let run_id = world.start(&workflow, node, data).await;
        build(&builder, &[event(run_id)]).await;
        run_id
    };
    for (what, status, wait) in
        [("passed", 200, "0s"), ("failed", 200, "no time"), ("retrying", 500, "0s"), ("held", 200, "30 days")]
    {
        start("start", what, status, wait).await;
        execute(&executor, &messages(&world.queues.take())).await;
        build(&builder, &messages(&world.queues.take())).await;
    }
    let cancelled = start("start", "cancelled", 200, "0s").await;
    world.cancel(cancelled).await;
    start("start", "pending", 200, "0s").await;
    start("limited", "slot", 200, "0s").await;
    start("limited", "waiting", 200, "0s").await;
    let runs = world.database.sql(RUNS).await;
    let expected = "cancelled=cancelled failed=failed held=running passed=passed pending=running \
                    retrying=running slot=running waiting=running";
    assert_eq!(runs, expected);
    let executions = world.executions().await;
    let count = |state| executions.iter().filter(|execution| execution.state == state).count();
    let open = [ExecutionState::Pending, ExecutionState::Held].map(count);
    assert_eq!((open, world.items().await), ([3, 1], 1), "{executions:?}");
    format!("-- {runs}\n{}", pg_dump(&world.database, &[]).replace(&target.host_port(), TARGET))
}

/// The schema of a database.
///
/// # Panics
/// When `pg_dump` is missing or fails.
#[must_use]
pub fn schema(database: &Database) -> String {
    pg_dump(database, &["--schema-only", "--exclude-table=refinery_schema_history"])
}

fn pg_dump(database: &Database, arguments: &[&str]) -> String {
    let output = Command::new(find_postgres().expect("Postgres is installed").join("pg_dump"))
        .args(["--no-owner", "--inserts", "--dbname", &database.admin_url()])
        .args(arguments)
        .output()
        .expect("pg_dump starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("a dump is text");
    // Newer versions of pg_dump write a random word around the dump.
    let lines =
        text.lines().filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
    lines.collect::<Vec<_>>().join("\n")
}
