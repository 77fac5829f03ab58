//! The webhook Lambda.

use anyhow::Context;
use process::{Clock, Ids, Settings};
use store::{Store, StoreSettings};
use webhook::{Deps, RateLimits, WebhookCache, router};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    process::forbid_core_dumps()?;
    let settings = Settings::from_env(&["SEALFLOW_DATABASE_URL", "SEALFLOW_NODE_QUEUE_URL"])?;
    process::start_logs(&settings.rust_log);
    let sqs = aws_client::config(aws_client::Service::Sqs).context("the queues can't be reached")?;
    let kms = aws_client::config(aws_client::Service::Kms).context("the vault can't be reached")?;
    let deps = Deps {
        store: Store::new(StoreSettings {
            url: settings.database_url,
            application_name: "sealflow-webhook",
        })?,
        queue: queue::Queue::new(&sqs, settings.node_queue_url, settings.execution_queue_url),
        opener: vault_open::Opener::new(&kms),
        clock: Clock::system(),
        ids: Ids::new(),
        cache: WebhookCache::default(),
        rates: RateLimits::default(),
    };
    // The process lives as long as its dependencies.
    lambda_http::run(router(Box::leak(Box::new(deps)))).await.map_err(anyhow::Error::from_boxed)
}
