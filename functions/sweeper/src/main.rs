//! The sweeper Lambda.

use anyhow::Context;
use lambda_runtime::{LambdaEvent, run, service_fn};
use process::{Clock, Ids, Settings};
use serde::de::IgnoredAny;
use store::{Store, StoreSettings};
use sweeper::{Deps, GRACE_SECONDS, sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_env(&[
        "SEALFLOW_DATABASE_URL",
        "SEALFLOW_NODE_QUEUE_URL",
        "SEALFLOW_EXECUTION_QUEUE_URL",
    ])?;
    process::start_logs(&settings.rust_log);
    let sqs = aws_client::config(aws_client::Service::Sqs).context("the queues can't be reached")?;
    let deps = Deps {
        store: Store::new(StoreSettings {
            url: settings.database_url,
            application_name: "sealflow-sweeper",
        })?,
        queue: queue::Queue::new(&sqs, settings.node_queue_url, settings.execution_queue_url),
        clock: Clock::system(),
        ids: Ids::new(),
        grace_seconds: settings.sweep_grace_seconds.unwrap_or(GRACE_SECONDS),
    };
    let deps = &deps;
    run(service_fn(move |_: LambdaEvent<IgnoredAny>| async move {
        Ok::<_, lambda_runtime::Error>(process::contain_panics(sweep(deps)).await??)
    }))
    .await
    .map_err(anyhow::Error::from_boxed)
}
