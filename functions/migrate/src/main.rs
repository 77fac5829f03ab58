//! The migrate Lambda.

use lambda_runtime::{LambdaEvent, run, service_fn};
use migrate::{Deps, Request, handle};
use process::{Clock, Ids, Settings};
use store::{Store, StoreSettings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_env(&["SEALFLOW_DATABASE_URL"])?;
    process::start_logs(&settings.rust_log);
    let deps = Deps {
        store: Store::new(StoreSettings {
            url: settings.database_url,
            application_name: "sealflow-migrate",
        })?,
        clock: Clock::system(),
        ids: Ids::new(),
    };
    let deps = &deps;
    run(service_fn(move |event: LambdaEvent<Request>| async move {
        Ok::<_, lambda_runtime::Error>(process::contain_panics(handle(event.payload, deps)).await??)
    }))
    .await
    .map_err(anyhow::Error::from_boxed)
}
