//! The rewrap Lambda.

use std::process::ExitCode;

use anyhow::Context;
use lambda_runtime::{LambdaEvent, run, service_fn};
use process::{Clock, DEADLINE_LEAST, Deadline, Settings};
use rewrap::{Deps, Error, Request, handle};
use vault_rewrap::Rewrapper;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    process::serve_function(Box::pin(serve())).await
}

async fn serve() -> anyhow::Result<()> {
    let settings = Settings::from_env(&["SEALFLOW_DATABASE_URL", "SEALFLOW_KMS_KEY_ID"])?;
    let kms = aws_client::config(aws_client::Service::Kms).context("KMS can't be reached")?;
    let clock = Clock::system();
    let store = database_login::open(&settings, "sealflow-rewrap", clock)?;
    // Without a key to move from there is nothing to do, and each invocation answers with this
    // error.
    let rewrapper = Some(settings.rewrap_from_key_id)
        .filter(|source| !source.is_empty())
        .ok_or(Error::NoSource)
        .and_then(|source| Rewrapper::new(&kms, source, settings.kms_key_id).map_err(Error::from));
    let deps = rewrapper.map(|rewrapper| Deps { store, rewrapper });
    let deps = &deps;
    run(service_fn(move |event: LambdaEvent<Request>| async move {
        let deps = deps.as_ref().map_err(ToString::to_string)?;
        let deadline = Deadline::of_invocation(clock.now(), event.context.deadline, DEADLINE_LEAST);
        let work = Box::pin(process::contain_panics(handle(event.payload, deps, deadline)));
        let moved = process::in_invocation(&event.context.request_id, work).await?;
        Ok::<_, lambda_runtime::Error>(
            moved.inspect_err(|error| tracing::error!(%error, "not all was moved"))?,
        )
    }))
    .await
    .map_err(anyhow::Error::from_boxed)
}
