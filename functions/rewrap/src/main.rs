//! The rewrap Lambda.

use anyhow::{Context, ensure};
use lambda_runtime::{LambdaEvent, run, service_fn};
use process::{Clock, DEADLINE_LEAST, Deadline, Settings};
use rewrap::{Deps, Request, handle};
use store::{Store, StoreSettings};
use vault_rewrap::Rewrapper;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let settings =
        Settings::from_env(&["SEALFLOW_DATABASE_URL", "SEALFLOW_KMS_KEY_ID", "SEALFLOW_REWRAP_FROM_KEY_ID"])?;
    ensure!(
        settings.rewrap_from_key_id != settings.kms_key_id,
        "SEALFLOW_REWRAP_FROM_KEY_ID is the key that secrets are sealed under already"
    );
    process::start_logs(&settings.rust_log);
    let kms = aws_client::config(aws_client::Service::Kms).context("KMS can't be reached")?;
    let deps = Deps {
        store: Store::new(StoreSettings { url: settings.database_url, application_name: "sealflow-rewrap" })?,
        rewrapper: Rewrapper::new(&kms, settings.rewrap_from_key_id, settings.kms_key_id),
    };
    let (deps, clock) = (&deps, Clock::system());
    run(service_fn(move |event: LambdaEvent<Request>| async move {
        let deadline = Deadline::of_invocation(clock.now(), event.context.deadline, DEADLINE_LEAST);
        Ok::<_, lambda_runtime::Error>(process::contain_panics(handle(event.payload, deps, deadline)).await??)
    }))
    .await
    .map_err(anyhow::Error::from_boxed)
}
