//! The surroundings of a function's process: settings, clock, ids, logs and the panic hook.
//!
//! These are the edges of the world. They are made once in `main` and passed in; nothing else reads
//! the environment, the clock or the random source.

mod clock;
mod core_dumps;
mod ids;
mod logs;
mod metrics;
mod panics;
mod rate;
mod settings;
mod sqs;
mod start;

pub use clock::{Clock, DEADLINE_LEAST, Deadline};
pub use core_dumps::forbid_core_dumps;
pub use ids::Ids;
pub use logs::{OWN_CRATES, start_logs};
pub use metrics::{Metric, Metrics};
pub use panics::{Panicked, contain_panics};
pub use rate::{RateLimits, TooFast};
pub use settings::{DatabaseLogin, REQUIRED_NAMES, Settings, SettingsError};
pub use sqs::{BatchResponse, Received, SqsBatch};
pub use start::{in_invocation, serve_function};
