//! The API Lambda.

use std::sync::Arc;

use anyhow::Context;
use api::{Deps, router};
use aws_client::Service;
use process::{Clock, Ids, Settings};
use store::{Store, StoreSettings};
use vault_seal::Sealer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // It has secrets in its memory too, on their way to being sealed.
    process::forbid_core_dumps()?;
    let settings = Settings::from_env(&[
        "SEALFLOW_DATABASE_URL",
        "SEALFLOW_NODE_QUEUE_URL",
        "SEALFLOW_KMS_KEY_ID",
        "SEALFLOW_PUBLIC_URL",
    ])?;
    process::start_logs(&settings.rust_log);
    let sqs = aws_client::config(Service::Sqs).context("the queues can't be reached")?;
    let kms = aws_client::config(Service::Kms).context("the vault can't be reached")?;
    let deps = Deps {
        store: Store::new(StoreSettings { url: settings.database_url, application_name: "sealflow-api" })?,
        queue: queue::Queue::new(&sqs, settings.node_queue_url, settings.execution_queue_url),
        sealer: Sealer::new(&kms, settings.kms_key_id),
        clock: Clock::system(),
        ids: Ids::new(),
        public_url: settings.public_url,
    };
    lambda_http::run(router(Arc::new(deps))).await.map_err(anyhow::Error::from_boxed)
}
