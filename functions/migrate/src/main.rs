//! The migrate Lambda.

use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, run, service_fn};
use migrate::{Deps, Invocation, handle};
use process::{Clock, Ids, Settings};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    process::serve_function(Box::pin(serve())).await
}

async fn serve() -> anyhow::Result<()> {
    let settings = Settings::from_env(&["SEALFLOW_DATABASE_URL"])?;
    let clock = Clock::system();
    let deps = Deps {
        store: database_login::open(&settings, "sealflow-migrate", clock)?,
        login: settings.database_login,
        clock,
        ids: Ids::new(),
    };
    let deps = &deps;
    run(service_fn(move |event: LambdaEvent<Value>| async move {
        let invocation = Invocation::read(event.payload)?;
        let work = Box::pin(process::contain_panics(handle(invocation, deps)));
        let done = process::in_invocation(&event.context.request_id, work).await?;
        Ok::<_, lambda_runtime::Error>(done.inspect_err(|error| tracing::error!(%error, "not all was done"))?)
    }))
    .await
    .map_err(anyhow::Error::from_boxed)
}
