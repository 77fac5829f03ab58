//! The process of the function: clients made once, then one invocation after the other.

use anyhow::Context;
use lambda_runtime::{LambdaEvent, run, service_fn};
use process::{Clock, Deadline, Ids, Settings, SqsBatch};
use store::{Store, StoreSettings};

use crate::definitions::Definitions;
use crate::{Deps, Parts, handle};

/// Serves invocations until the process is ended. The whole of `main`.
///
/// # Errors
/// When the settings are not complete, or the runtime can't be reached.
pub async fn serve(parts: Parts) -> anyhow::Result<()> {
    let settings = Settings::from_env(&[
        "SEALFLOW_DATABASE_URL",
        "SEALFLOW_NODE_QUEUE_URL",
        "SEALFLOW_EXECUTION_QUEUE_URL",
        "SEALFLOW_PUBLIC_URL",
    ])?;
    process::start_logs(&settings.rust_log);
    let sqs = aws_client::config(aws_client::Service::Sqs).context("the queues can't be reached")?;
    let deps = Deps {
        store: Store::new(StoreSettings {
            url: settings.database_url,
            application_name: "sealflow-builder",
        })?,
        queue: queue::Queue::new(&sqs, settings.node_queue_url, settings.execution_queue_url),
        clock: Clock::system(),
        ids: Ids::new(),
        definitions: Definitions::default(),
        public_url: settings.public_url,
        parts,
    };
    let deps = &deps;
    run(service_fn(move |event: LambdaEvent<SqsBatch>| async move {
        let deadline =
            Deadline::of_invocation(deps.clock.now(), event.context.deadline, process::DEADLINE_LEAST);
        Ok::<_, lambda_runtime::Error>(process::contain_panics(handle(event.payload, deadline, deps)).await?)
    }))
    .await
    .map_err(anyhow::Error::from_boxed)
}
