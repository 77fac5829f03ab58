//! The process of the function: clients made once, then one invocation after the other.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http_guard::{GuardSettings, GuardedClient};
use lambda_runtime::{LambdaEvent, run, service_fn};
use process::{Clock, Deadline, Ids, Metric, Metrics, Settings, SqsBatch};

use crate::{ComponentSet, Deps, EdgesCache, RunDeps, handle};

/// Serves invocations until the process is ended. The whole of `main`.
///
/// # Errors
/// When the settings are not complete, or the runtime can't be reached.
pub async fn serve(components: ComponentSet) -> anyhow::Result<()> {
    process::forbid_core_dumps()?;
    let settings = Settings::from_env(&[
        "SEALFLOW_DATABASE_URL",
        "SEALFLOW_NODE_QUEUE_URL",
        "SEALFLOW_EXECUTION_QUEUE_URL",
    ])?;
    let sqs = aws_client::config(aws_client::Service::Sqs).context("the queues can't be reached")?;
    let kms = aws_client::config(aws_client::Service::Kms).context("the vault can't be reached")?;
    let clock = Clock::system();
    let deps = Deps {
        store: database_login::open(&settings, "sealflow-executor", clock)?,
        queue: queue::Queue::new(&sqs, settings.node_queue_url, settings.execution_queue_url),
        ids: Ids::new(),
        share: settings.executor_share,
        edges: EdgesCache::default(),
        metrics: Metrics::new(&settings.metrics_namespace, domain::function::Function::Executor),
        run: RunDeps {
            opener: vault_open::Opener::new(&kms)
                .keep_data_keys_for(Duration::from_secs(u64::from(settings.data_key_cache_seconds))),
            client: Arc::new(GuardedClient::new(GuardSettings::from_env()?)),
            tokens: Arc::default(),
            components,
            clock,
            times: settings.times,
        },
    };
    let least = Duration::from_secs(u64::from(deps.run.times.function_timeout_seconds));
    let deps = &deps;
    run(service_fn(move |event: LambdaEvent<SqsBatch>| async move {
        let (batch, context) = event.into_parts();
        let now = clock.now();
        let deadline = Deadline::of_invocation(now, context.deadline, least);
        batch.ages_seconds(now).into_iter().for_each(|age| deps.metrics.add(Metric::WakeAgeSeconds, age));
        let work = Box::pin(process::contain_panics(handle(batch, deadline, deps)));
        let response = process::in_invocation(&context.request_id, work).await;
        deps.metrics.count(Metric::KmsCalls, deps.run.opener.take_calls());
        deps.metrics.count(Metric::DatabaseConnects, deps.store.take_connects());
        deps.metrics.write(clock.now());
        Ok::<_, lambda_runtime::Error>(response?)
    }))
    .await
    .map_err(anyhow::Error::from_boxed)
}
