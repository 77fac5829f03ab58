//! The crash suite: the whole product with real function processes that are killed and frozen at
//! every step, a queue that loses, doubles and delays messages, and a database whose COMMITs get
//! lost; then an independent check of the database and of the target's requests (I3, I4, I5, I8).
//!
//! The faults follow from a seed: the instances and their steps, and the fates of messages. The
//! processes' own timing does not follow from it. So a seed that is run again has the same faults,
//! but not exactly the same course.

mod answered;
mod assembled;
mod audit;
mod aws_proxy;
mod backlog;
mod called;
mod checker;
mod faults;
mod merged;
mod options;
mod outages;
mod repeated;
mod report;
mod run_states;
mod shapes;
mod suite;
mod tended;
mod timed;

pub use aws_proxy::{AwsProxy, QueueFaults};
pub use backlog::{Backlog, backlog};
pub use checker::Violation;
pub use faults::{Faults, STEPS};
pub use options::{Beside, Guard, Options};
pub use report::Report;
pub use suite::{Suite, run};
