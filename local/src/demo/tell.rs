//! The output of the demo: its steps, with times.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// Numbers steps and measures time.
#[derive(Debug)]
pub(super) struct Teller {
    started: Instant,
    steps: AtomicU32,
}

impl Teller {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), steps: AtomicU32::new(0) }
    }

    /// The next step begins.
    pub(super) fn step(&self, what: &str) {
        let number = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        println!("\n{number}. {what}  [{:.1} s]", self.started.elapsed().as_secs_f64());
    }

    /// Something about this step.
    pub(super) fn line(&self, text: &str) {
        println!("   {text}");
    }

    /// A command, as the user would type it.
    pub(super) fn command(&self, text: &str) {
        println!("   $ {text}");
    }

    /// All went well.
    pub(super) fn end(&self) {
        println!("\nAll of it held, in {:.1} s.", self.started.elapsed().as_secs_f64());
    }
}
