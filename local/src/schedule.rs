//! A schedule: a function is invoked with `{}` every so often, one invocation at a time.

use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval_at};

use crate::http::runtime;
use crate::invoke::Invoker;

/// A running schedule; dropped, it invokes no more.
#[derive(Debug)]
pub struct Schedule {
    task: AbortHandle,
}

impl Schedule {
    /// Invokes `function` every `period`, the first time after one period.
    pub fn start(invoker: Invoker, function: &str, period: Duration) -> Self {
        let function = function.to_owned();
        let task = runtime().spawn(async move {
            let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                // A failed sweep is in the function's log, and the next one finds the same rows.
                let _in_its_log = invoker.invoke(&function, "{}").await;
            }
        });
        Self { task: task.abort_handle() }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.task.abort();
    }
}
