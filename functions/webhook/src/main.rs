//! The webhook Lambda.

use std::process::ExitCode;

use anyhow::Context;
use process::{Clock, Ids, Metrics, Settings};
use webhook::{Deliveries, Deps, WebhookCache, router};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    process::serve_function(Box::pin(serve())).await
}

async fn serve() -> anyhow::Result<()> {
    process::forbid_core_dumps()?;
    let settings = Settings::from_env(&["SEALFLOW_DATABASE_URL", "SEALFLOW_NODE_QUEUE_URL"])?;
    let sqs = aws_client::config(aws_client::Service::Sqs).context("the queues can't be reached")?;
    let kms = aws_client::config(aws_client::Service::Kms).context("the vault can't be reached")?;
    let clock = Clock::system();
    let deps = Deps {
        store: database_login::open(&settings, "sealflow-webhook", clock)?,
        queue: queue::Queue::new(&sqs, settings.node_queue_url, settings.execution_queue_url),
        opener: vault_open::Opener::new(&kms),
        clock,
        ids: Ids::new(),
        cache: WebhookCache::default(),
        rates: process::RateLimits::default(),
        rate_max: settings.webhook_rate_max,
        deliveries: Deliveries::default(),
        metrics: Metrics::new(&settings.metrics_namespace, domain::function::Function::Webhook),
    };
    // The process lives as long as its dependencies.
    http_event::serve(router(Box::leak(Box::new(deps)))).await.map_err(anyhow::Error::from_boxed)
}
