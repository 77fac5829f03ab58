//! The buffers that each list, look-up and search of the sweeper reads at 50 k rows, compared with
//! those that it reads where a page is just full. They are the server's own counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use local::stack::{PostgresOptions, StackOptions};
use serde_json::json;
use tests::e2e::{Product, word};

use super::plans::{GROWING, fill, read_everything, use_everything};

/// Rows of the first measurement: several times as many as one search of the sweeper looks at.
const FEW: usize = 2_500;
/// Names another number of rows than 49,000 for the second measurement.
const ROWS: &str = "SEALFLOW_BUFFERS_ROWS";
/// A search may read so many times as much.
const TIMES_MAX: f64 = 2.0;
/// Pages that a search may read more, whatever it read before. Indexes become higher by a level, and
/// a session reads the catalogs anew after a vacuum. To walk over 50,000 rows takes more than 300.
const MORE_PAGES: f64 = 100.0;
/// The least number of statements that are compared.
const STATEMENTS_MIN: usize = 30;

/// Statements that read more where there is more, each with the reason.
const MEANT: [(&str, &str); 2] = [
    ("count_waiting_items", "what waits is counted, up to 100,000 items"),
    ("mark_full_nodes", "the items of each node are counted, up to 100,000"),
];

/// The mean of the buffers of each statement of the API and the sweeper, by name.
async fn read_buffers(product: &Product) -> BTreeMap<String, f64> {
    let sql = "SELECT string_agg(name || '|' || buffers, E'\\n') FROM (
        SELECT pg_get_userbyid(userid) || ': ' || substring(query FROM '/\\* ([a-z_]+) \\*/') AS name,
            max((shared_blks_hit + shared_blks_read)::float8 / calls) AS buffers
        FROM pg_stat_statements
        WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND pg_get_userbyid(userid) IN ('sealflow_api', 'sealflow_sweeper')
        GROUP BY 1) statements WHERE name IS NOT NULL";
    let lines = product.sealflow.sql(sql).await.unwrap();
    lines
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(name, buffers)| (name.to_owned(), buffers.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn no_list_look_up_or_search_reads_more_beside_fifty_thousand_rows() {
    let preload = ("shared_preload_libraries".to_owned(), "pg_stat_statements".to_owned());
    let postgres = PostgresOptions { settings: vec![preload], ..PostgresOptions::default() };
    let stack = StackOptions::new().postgres_with(postgres).ministack().own().start().await.unwrap();
    // Nothing is due: a search that finds work reads that too.
    let product = Product::start(|builder| {
        builder.stack(Arc::new(stack)).sweep_every(Duration::from_millis(500)).environment(
            "sweeper",
            "SEALFLOW_SWEEP_GRACE_SECONDS",
            "3600",
        )
    })
    .await;
    let sql = async |sql: &str| product.sealflow.sql(sql).await.unwrap();
    sql("CREATE EXTENSION pg_stat_statements").await;
    let story = product.story("plans").await;
    use_everything(&product, &story).await;
    let workflow = sql("SELECT id FROM workflows WHERE name = 'plans'").await;
    let run = story.run("plans", json!({ "n": 1 })).await;
    let (run, failed) = (word(&run["id"]), story.execution(&word(&run["id"]), "fails").await);
    for table in GROWING {
        sql(&format!("ALTER TABLE {table} SET (autovacuum_enabled = off)")).await;
    }
    let rows = std::env::var(ROWS).map_or(49_000, |rows| rows.parse().expect("a number of rows"));
    let mut measured = Vec::new();
    for rows in [FEW, rows] {
        sql(&fill(workflow.trim(), rows)).await;
        sql("VACUUM ANALYZE").await;
        sql("SELECT pg_stat_statements_reset()").await;
        read_everything(&story, &run, &word(&failed["id"])).await;
        product.sealflow.invoke("sweeper", &json!({})).await.expect("the sweeper sweeps");
        measured.push(read_buffers(&product).await);
    }
    let (few, many) = (&measured[0], &measured[1]);
    println!("buffers of a call with {FEW} rows, and with {rows} more:");
    let mut wrong = Vec::new();
    for (name, after) in many {
        let Some(before) = few.get(name) else { continue };
        println!("  {name}: {before:.0} {after:.0}");
        let is_meant = MEANT.iter().any(|(meant, _)| name.ends_with(meant));
        if !is_meant && *after > before * TIMES_MAX + MORE_PAGES {
            wrong.push(format!("{name}: {before:.0} buffers with {FEW} rows, {after:.0} with {rows} more"));
        }
    }
    let compared = many.keys().filter(|name| few.contains_key(*name)).count();
    assert!(compared >= STATEMENTS_MIN, "only {compared} statements ran both times");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
