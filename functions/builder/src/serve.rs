//! The process of the function: clients made once, then one invocation after the other.

use anyhow::Context;
use lambda_runtime::{LambdaEvent, run, service_fn};
use process::{Clock, Deadline, Ids, Metric, Metrics, Settings, SqsBatch};

use crate::definitions::Definitions;
use crate::{ComponentSet, Deps, PlanDeps, handle};

/// Serves invocations until the process is ended. The whole of `main`.
///
/// # Errors
/// When the settings are not complete, or the runtime can't be reached.
pub async fn serve(components: ComponentSet) -> anyhow::Result<()> {
    let settings = Settings::from_env(&[
        "SEALFLOW_DATABASE_URL",
        "SEALFLOW_NODE_QUEUE_URL",
        "SEALFLOW_EXECUTION_QUEUE_URL",
        "SEALFLOW_PUBLIC_URL",
    ])?;
    let sqs = aws_client::config(aws_client::Service::Sqs).context("the queues can't be reached")?;
    let clock = Clock::system();
    let deps = Deps {
        store: database_login::open(&settings, "sealflow-builder", clock)?,
        queue: queue::Queue::new(&sqs, settings.node_queue_url, settings.execution_queue_url),
        metrics: Metrics::new(&settings.metrics_namespace, domain::function::Function::Builder),
        plan: PlanDeps {
            clock,
            ids: Ids::new(),
            definitions: Definitions::default(),
            public_url: settings.public_url,
            components,
            time_max: crate::PLAN_TIME_MAX,
        },
    };
    let deps = &deps;
    run(service_fn(move |event: LambdaEvent<SqsBatch>| async move {
        let (batch, context) = event.into_parts();
        let now = clock.now();
        let deadline = Deadline::of_invocation(now, context.deadline, process::DEADLINE_LEAST);
        batch.ages_seconds(now).into_iter().for_each(|age| deps.metrics.add(Metric::WakeAgeSeconds, age));
        let work = Box::pin(process::contain_panics(handle(batch, deadline, deps)));
        let response = process::in_invocation(&context.request_id, work).await;
        deps.metrics.count(Metric::DatabaseConnects, deps.store.take_connects());
        deps.metrics.write(clock.now());
        Ok::<_, lambda_runtime::Error>(response?)
    }))
    .await
    .map_err(anyhow::Error::from_boxed)
}
