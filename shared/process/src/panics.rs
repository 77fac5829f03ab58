use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

/// The error of an invocation that panicked. The panic hook has logged the place. The panic's
/// message is dropped, for it may quote data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the invocation ended with a panic; the log says where")]
pub struct Panicked;

/// Runs the work of an invocation so that no panic reaches the Lambda runtime. The runtime would
/// send the panic's message to the log and to the invoker of the function.
///
/// # Errors
/// [`Panicked`]: the invocation fails, and its messages are delivered again.
pub async fn contain_panics<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_panic_said_is_not_in_its_error_i1() {
        let secret = "hunter2-hunter2";
        let error = contain_panics(async { panic!("{secret}") }).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(secret));
        assert_eq!(contain_panics(async { 1 }).await, Ok(1));
    }
}
