//! The things that go on at once: interleavings, locks, outages, tries.

mod interleavings;
mod locked_nodes;
mod outages;
mod tries;
