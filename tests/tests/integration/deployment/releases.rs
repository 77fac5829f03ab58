//! The dump of each release, brought up to date: it has the schema of a new database, no run
//! changes by that, and what was at work goes on.

use local::target::Target;
use store::RoleLogin;
use tests::release::{RUNS, TARGET, schema};
use tests::{Database, World};

/// The runs of a dump, once all that was open has ended.
const ENDED: &str = "cancelled=cancelled failed=failed held=passed passed=passed pending=passed \
                     retrying=failed slot=passed waiting=passed";

#[tokio::test]
async fn the_database_of_each_release_migrates_and_its_runs_go_on_i8() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/data/releases");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let dumps: Vec<String> = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    assert!(!dumps.is_empty());
    // The roles that a dump names belong to the whole cluster.
    let world = World::create().await;
    let fresh = schema(&world.database);
    for dump in dumps {
        let target = Target::start().await.unwrap();
        let dump = dump.replace(TARGET, &target.host_port());
        let runs = dump.lines().next().and_then(|line| line.strip_prefix("-- ")).unwrap().to_owned();
        let database = Database::create_empty().await;
        database.connect_admin().await.batch_execute(&dump).await.unwrap();
        store::migrate(&database.admin_store(), RoleLogin::Url).await.unwrap();
        assert_eq!(schema(&database), fresh);
        assert_eq!(database.sql(RUNS).await, runs);

        let builder = world.builder_at(database.url("builder"));
        let executor = world.executor_at(database.url("executor"), &target.host_port(), "http://127.0.0.1:9");
        let sweeper = sweeper::Deps { store: database.store("sweeper"), ..world.sweeper(0) };
        // The time of the retry and of the wait has come, and every message was lost. The retry
        // is the last one, and fails.
        database
            .sql(
                "UPDATE workflow_node_executions
                 SET run_at = now() - interval '1 hour', last_sent_at = now() - interval '1 hour',
                     wake_at = CASE WHEN state = 'held' THEN now() - interval '1 hour' END
                 WHERE state <> 'finished';
                 UPDATE organizations SET retention_days = NULL",
            )
            .await;
        for _ in 0..5 {
            sweeper::sweep(&sweeper, tests::tick()).await.unwrap();
            world.run_to_end(&builder, &executor).await;
        }
        assert_eq!(database.sql(RUNS).await, ENDED, "I8");
    }
}
