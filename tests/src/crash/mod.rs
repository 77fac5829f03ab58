//! The crash suite: the whole product with real function processes that are killed and frozen at
//! every step, a queue that loses, doubles and delays messages, and a database whose COMMITs get
//! lost; then an independent look at what the database and the target remember of it (I3, I4, I5,
//! I8).
//!
//! What goes wrong follows from a seed: which step of which instance, and what becomes of which
//! send. The processes' own timing does not, so a seed that is run again meets the same faults, not
//! to the microsecond the same course.

mod audit;
mod aws_proxy;
mod backlog;
mod checker;
mod faults;
mod options;
mod outages;
mod report;
mod run_states;
mod shapes;
mod suite;
mod tended;

pub use aws_proxy::{AwsProxy, QueueFaults};
pub use backlog::{Backlog, backlog};
pub use checker::Violation;
pub use faults::{Faults, STEPS};
pub use options::{Beside, Guard, Options};
pub use report::Report;
pub use suite::{Suite, run};
