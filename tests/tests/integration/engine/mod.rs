//! The engine's work on a run: building, executing, limits, holding, ending.

mod builder_claims;
mod builder_flow;
mod claims;
mod concurrency_keys;
mod dead_letters;
mod earlier_life;
mod errors;
mod execution_cancel;
mod finished;
mod full_nodes;
mod held;
mod missing_node;
mod old_transaction;
mod poison;
mod queue_items;
mod redactions;
mod redelivered;
mod retention;
mod run_cancel;
mod run_messages;
mod runs;
mod secret_count;
mod shares;
mod slow_vault;
mod sweeper;
mod waits;
