//! The crash suite: the whole product with real function processes that are killed and frozen at every step, a queue that loses,
//! doubles and delays messages, and a database whose COMMITs get lost; then an independent look at what the database and the target
//! remember of it (I3, I4, I5, I8).
//!
//! What goes wrong follows from a seed: which step of which instance, and what becomes of which send. The processes' own timing does
//! not, so a seed that is run again meets the same faults, not to the microsecond the same course.

mod audit;
mod checker;
mod faults;
mod queue_proxy;
mod shapes;
mod suite;

pub use checker::Violation;
pub use faults::{Faults, STEPS};
pub use queue_proxy::{QueueFaults, QueueProxy};
pub use suite::{Guard, Options, Report, Suite, run};
