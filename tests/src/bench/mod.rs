//! `cargo xtask bench`: what one node execution costs, in the units of the machine's own Postgres.
//!
//! A number of seconds says little about another machine. So each run also measures `P`: the CPU
//! time that Postgres and pgbench take for one transaction of `pgbench -N` at 8 clients. Ratios to
//! it, and counts, are what is compared.

mod drive;
mod lost;
mod measure;
mod neighbours;
mod options;
mod pgbench;
mod profile;
mod report;
mod retention;
mod suite;
mod workloads;

pub use options::Options;
pub use profile::Profile;
pub use report::Report;
pub use suite::run;
pub use workloads::{WORKLOADS, Workload};
