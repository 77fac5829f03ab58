//! Work that goes on at the same time: interleavings, locks, outages, retries.

mod crowded_run;
mod interleavings;
mod locked_nodes;
mod outages;
mod tries;
