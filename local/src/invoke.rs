//! Invoking functions, which our own runner or `cargo lambda watch` runs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;

use crate::http;
use crate::lambda::{Answer, Lambda};

/// The longest time of an invocation through `cargo lambda watch`, which may compile first, and
/// never answers for a function that crashed.
const REMOTE_SECONDS_MAX: u64 = 180;

/// The runner of the functions.
#[derive(Debug, Clone)]
pub enum Invoker {
    /// The runner in this process.
    Runner(Arc<Lambda>),
    /// Another process with Lambda's invoke path, at `http://HOST:PORT`.
    Remote(String),
}

impl Invoker {
    /// Invokes a function and waits for its answer. A failure of the function is an answer.
    ///
    /// # Errors
    ///
    /// When there is no such function, or no answer comes.
    pub async fn invoke(&self, function: &str, payload: impl Into<Bytes>) -> Result<Answer> {
        match self {
            Self::Runner(lambda) => lambda.invoke(function, payload.into()).await,
            Self::Remote(url) => invoke_remote(url, function, payload.into()).await,
        }
    }

    /// As [`Invoker::invoke`], for an invocation that is `hops` invocations away from the outside
    /// world. Only our own runner counts hops.
    ///
    /// # Errors
    ///
    /// As [`Invoker::invoke`].
    pub async fn invoke_after(&self, function: &str, payload: impl Into<Bytes>, hops: u32) -> Result<Answer> {
        match self {
            Self::Runner(lambda) => lambda.invoke_after(function, payload.into(), hops).await,
            Self::Remote(_) => self.invoke(function, payload).await,
        }
    }

    /// The most invocations of a function that run at one time.
    pub fn instances_max(&self, function: &str) -> usize {
        match self {
            Self::Runner(lambda) => lambda.options(function).map_or(1, |options| options.instances_max),
            // `cargo lambda watch` runs one instance and queues the rest.
            Self::Remote(_) => 1,
        }
    }
}

async fn invoke_remote(url: &str, function: &str, payload: Bytes) -> Result<Answer> {
    let request = ::http::Request::post(format!("{url}/2015-03-31/functions/{function}/invocations"))
        .header("content-type", "application/json")
        .body(payload)?;
    let answer = http::send(request, Duration::from_secs(REMOTE_SECONDS_MAX)).await?;
    let is_error = answer.headers().contains_key("x-amz-function-error") || !answer.status().is_success();
    if answer.status() == 404 {
        bail!("there is no function {function} at {url}");
    }
    Ok(Answer { payload: answer.into_body(), is_error })
}
