//! The age of the oldest transaction, which the sweeper reports.

use std::time::{Duration, Instant};

use store::sweeper::oldest_transaction_seconds;
use tests::Database;

#[tokio::test]
async fn the_sweeper_sees_for_how_long_anybodys_transaction_is_open() {
    let database = Database::create().await;
    let sweeper = database.store("sweeper");
    let seconds = async || oldest_transaction_seconds(&sweeper).await.unwrap();
    let begun = Instant::now();
    let other = database.connect("builder").await;
    // One without a snapshot keeps no row from being vacuumed.
    other.batch_execute("BEGIN; SELECT 1").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(seconds().await < 1.1);
    other.batch_execute("COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let open = seconds().await;
    assert!(open >= 1.1 && open <= begun.elapsed().as_secs_f64() + 1.0, "{open}");
    other.batch_execute("COMMIT").await.unwrap();
    assert!(seconds().await < open, "the sweeper's own is younger");
}
