//! The API Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use api::{Deps, router};
use aws_client::Service;
use definition_check::Deployment;
use process::{Clock, Ids, Metrics, Settings};
use vault_seal::Sealer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    process::serve_function(Box::pin(serve())).await
}

async fn serve() -> anyhow::Result<()> {
    // This function, like the executor, has secrets in memory: those that it is about to seal.
    process::forbid_core_dumps()?;
    let settings = Settings::from_env(&[
        "SEALFLOW_DATABASE_URL",
        "SEALFLOW_NODE_QUEUE_URL",
        "SEALFLOW_KMS_KEY_ID",
        "SEALFLOW_PUBLIC_URL",
    ])?;
    let sqs = aws_client::config(Service::Sqs).context("the queues can't be reached")?;
    let kms = aws_client::config(Service::Kms).context("the vault can't be reached")?;
    let clock = Clock::system();
    let deps = Deps {
        store: database_login::open(&settings, "sealflow-api", clock)?,
        queue: queue::Queue::new(&sqs, settings.node_queue_url, settings.execution_queue_url),
        sealer: Sealer::new(&kms, settings.kms_key_id),
        clock,
        ids: Ids::new(),
        public_url: settings.public_url,
        deployment: Deployment {
            component_seconds_max: settings.times.component_seconds_max,
            webhook_rate_max: settings.webhook_rate_max.per_second,
        },
        retention_days_max: settings.retention_days_max,
        limits: api::RequestLimits::new(settings.token_rate_max),
        metrics: Metrics::new(&settings.metrics_namespace, domain::function::Function::Api),
    };
    http_event::serve(router(Arc::new(deps))).await.map_err(anyhow::Error::from_boxed)
}
