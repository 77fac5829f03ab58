//! The sweeper Lambda.

use std::process::ExitCode;

use anyhow::Context;
use lambda_runtime::{LambdaEvent, run, service_fn};
use process::{Clock, Deadline, Ids, Metric, Metrics, Settings};
use serde::de::IgnoredAny;
use sweeper::{Deps, GRACE_SECONDS, sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    process::serve_function(Box::pin(serve())).await
}

async fn serve() -> anyhow::Result<()> {
    let settings = Settings::from_env(&[
        "SEALFLOW_DATABASE_URL",
        "SEALFLOW_NODE_QUEUE_URL",
        "SEALFLOW_EXECUTION_QUEUE_URL",
    ])?;
    let sqs = aws_client::config(aws_client::Service::Sqs).context("the queues can't be reached")?;
    let clock = Clock::system();
    let deps = Deps {
        store: database_login::open(&settings, "sealflow-sweeper", clock)?,
        queue: queue::Queue::new(&sqs, settings.node_queue_url, settings.execution_queue_url),
        clock,
        ids: Ids::new(),
        net: sweeper::runs::Net::default(),
        places: sweeper::places::Places::default(),
        grace_seconds: settings.sweep_grace_seconds.unwrap_or(GRACE_SECONDS),
        retention_days_max: settings.retention_days_max,
        audit_days: settings.audit_days,
        retention_place: sweeper::retention::Place::default(),
        metrics: Metrics::new(&settings.metrics_namespace, domain::function::Function::Sweeper),
    };
    let deps = &deps;
    run(service_fn(move |event: LambdaEvent<IgnoredAny>| async move {
        let deadline =
            Deadline::of_invocation(deps.clock.now(), event.context.deadline, process::DEADLINE_LEAST);
        let work = Box::pin(process::contain_panics(sweep(deps, deadline)));
        let swept = process::in_invocation(&event.context.request_id, work).await;
        deps.metrics.count(Metric::DatabaseConnects, deps.store.take_connects());
        deps.metrics.write(deps.clock.now());
        Ok::<_, lambda_runtime::Error>(swept??)
    }))
    .await
    .map_err(anyhow::Error::from_boxed)
}
