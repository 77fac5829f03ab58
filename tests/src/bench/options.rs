//! The settings of a run of the benchmark.

use std::path::PathBuf;

use super::profile::Profile;
use super::workloads::{WORKLOADS, Workload};

/// The settings of a run of the benchmark.
#[derive(Clone, Debug)]
pub struct Options {
    /// The workloads that are measured.
    pub workloads: Vec<Workload>,
    /// Runs of each workload; medians are told.
    pub runs: usize,
    /// Deliveries of one run.
    pub deliveries: usize,
    /// Deliveries on their way at one time; the load tool waits for an answer before it sends the
    /// next.
    pub at_once: usize,
    /// Deliveries a second of the run at low load; 0 leaves it out.
    pub low_rate: u32,
    /// Finished executions that are there before.
    pub history: usize,
    /// Whether it is measured what one organization's trouble does to others (`w4`).
    pub has_neighbours: bool,
    /// Whether the deletion of old runs is measured (`w5`).
    pub has_retention: bool,
    /// Whether all messages are lost (`w6`).
    pub has_lost: bool,
    /// Instances of builder and executor each.
    pub instances: usize,
    /// A run of each workload more, for a flame graph.
    pub profile: Option<Profile>,
    /// The folder with the functions' programs.
    pub bin_dir: PathBuf,
}

impl Options {
    /// The settings of `cargo xtask bench` unless it is told otherwise, with the programs of a
    /// folder.
    #[must_use]
    pub fn usual(bin_dir: PathBuf) -> Self {
        Self {
            workloads: WORKLOADS.to_vec(),
            runs: 5,
            deliveries: 600,
            at_once: 32,
            low_rate: 10,
            history: 0,
            has_neighbours: true,
            has_retention: false,
            has_lost: false,
            instances: 2,
            profile: None,
            bin_dir,
        }
    }
}
