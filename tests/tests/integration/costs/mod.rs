//! The costs: plans, round trips, buffers, memory.

mod limit_costs;
mod undeliverable_cost;
mod wire_counts;
