use std::process::ExitCode;

use futures_util::future::BoxFuture;
use tracing::Instrument as _;

use crate::start_logs;

/// The whole of a function's `main`: logs first, then `serve`. Whatever keeps a function from
/// starting is one line of level ERROR, which raises the operator's alarm; Lambda itself would only
/// say that the process ended.
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

/// The work of one invocation, whose log lines carry Lambda's request id: REPORT lines and errors
/// of one invocation belong together.
///
/// The work comes boxed: it is deep, and the compiler's limit of nesting is near.
pub async fn in_invocation<T>(request_id: &str, work: BoxFuture<'_, T>) -> T {
    // Of the lowest level that is never filtered away.
    work.instrument(tracing::error_span!("invocation", request_id)).await
}

/// An error with its causes, each said once.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut said: Vec<String> = causes.map(ToString::to_string).collect();
    said.dedup();
    said.join(": ")
}
