//! Work that goes on at the same time: interleavings, locks, outages, retries.

mod interleavings;
mod locked_nodes;
mod outages;
mod tries;
