//! `P`: what one transaction of `pgbench -N` costs on this machine, at this moment.

use std::process::Command;
use std::time::Duration;

use local::stack::{Stack, find_pgbench};

use super::measure;
use crate::database::connect;

/// The length and the width of a run.
const SECONDS: u32 = 3;
const CLIENTS: u32 = 8;
/// Looks at what the server does besides, and the pause between two.
const VACUUM_LOOKS_MAX: u32 = 100;
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// A database that is ready for runs.
pub(super) struct Pgbench {
    url: String,
}

impl Pgbench {
    /// Makes and fills the database.
    pub(super) async fn prepare(stack: &Stack) -> Self {
        let database = stack.postgres().create_database("pgbench").await.expect("a database is made");
        let pgbench = Self { url: stack.postgres().url("postgres", &database) };
        pgbench.run(["-i", "-q", "-s", "10"].map(str::to_owned).to_vec()).await;
        pgbench
    }

    /// CPU milliseconds of Postgres and pgbench for one transaction: as with the functions, both
    /// sides count.
    pub(super) async fn measure(&self, stack: &Stack) -> f64 {
        self.await_vacuum().await;
        let postmaster = stack.postgres().pid().expect("the server is ours");
        let both = || measure::postgres_cpu_seconds(postmaster) + measure::ended_children_cpu_seconds();
        let before = both();
        let arguments = ["-N", "-c", &CLIENTS.to_string(), "-j", "2", "-T", &SECONDS.to_string()];
        let said = self.run(arguments.map(str::to_owned).to_vec()).await;
        let cpu = both() - before;
        let line =
            said.lines().find_map(|line| line.strip_prefix("number of transactions actually processed: "));
        let transactions: f64 = line
            .and_then(|text| text.split('/').next()?.trim().parse().ok())
            .expect("pgbench tells how many");
        cpu * 1e3 / transactions
    }

    /// Waits until the server has cleaned up after the last run: that is none of pgbench's work.
    async fn await_vacuum(&self) {
        let client = connect(&self.url).await;
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'";
        for _ in 0..VACUUM_LOOKS_MAX {
            let at_work: i64 = client.query_one(sql, &[]).await.expect("Postgres answers").get(0);
            if at_work == 0 {
                return;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    async fn run(&self, arguments: Vec<String>) -> String {
        let program = find_pgbench().expect("pgbench is beside Postgres");
        let url = self.url.clone();
        let output =
            tokio::task::spawn_blocking(move || Command::new(program).args(arguments).arg(url).output());
        let output = output.await.expect("it does not panic").expect("pgbench runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
