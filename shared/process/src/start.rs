use std::process::ExitCode;

use futures_util::future::BoxFuture;
use tracing::Instrument as _;

use crate::start_logs;

/// Runs a function's `main`: it starts the logs, then `serve`. A failure to start is one line of
/// level ERROR, which raises the operator's alarm; Lambda itself would only report that the process
/// ended.
pub async fn serve_function<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    serve: impl Future<Output = Result<(), E>>,
) -> ExitCode {
    start_logs(&std::env::var("RUST_LOG").unwrap_or_default());
    match serve.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = chain(&*error.into());
            tracing::error!(error, "the function can't start");
            ExitCode::FAILURE
        }
    }
}

/// Runs the work of one invocation. Its log lines carry Lambda's request id, which connects the
/// errors and the REPORT line of an invocation.
///
/// The future is boxed, for its type is deep and near the compiler's limit of nesting.
pub async fn in_invocation<T>(request_id: &str, work: BoxFuture<'_, T>) -> T {
    // Level ERROR, for a span of that level is never filtered away.
    work.instrument(tracing::error_span!("invocation", request_id)).await
}

/// The text of an error with its causes, repeated texts left out.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut said: Vec<String> = causes.map(ToString::to_string).collect();
    said.dedup();
    said.join(": ")
}
