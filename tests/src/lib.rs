//! Fixtures of the integration tests: a database of one's own, a world with workflows in it, a
//! queue that remembers, a wire that counts, and the crash suite.
//!
//! Tests drive the functions as libraries, on real Postgres, each as its own role. A fixture that
//! fails ends the test with a panic that names the failed step.

pub mod api_world;
pub mod aws_wire;
pub mod bench;
pub mod crash;
pub mod database;
pub mod e2e;
pub mod gate;
pub mod graph;
pub mod kms;
pub mod login;
pub mod older_schema;
pub mod openapi;
pub mod panicking;
pub mod queues;
pub mod release;
pub mod rows;
pub mod template;
pub mod wire;
pub mod world;

pub use database::Database;
pub use gate::Gate;
pub use queues::FakeQueues;
pub use wire::{Asleep, PostgresWire};
pub use world::{Workflow, World};

use std::future::Future;
use std::time::Duration;

/// The longest wait for a state.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// The pause between two looks at a state.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// Looks again and again until `look` finds something; bounded by [`WAIT_MAX`].
///
/// # Panics
/// When it is not found in time.
pub async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let found = tokio::time::timeout(WAIT_MAX, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what}: not seen within {} s", WAIT_MAX.as_secs()))
}

/// The time of one tick of the sweeper.
#[must_use]
pub fn tick() -> process::Deadline {
    process::Deadline::after(Duration::from_secs(29))
}
