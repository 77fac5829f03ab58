//! The parts that people and machines reach: the management API, the command line, webhooks.

mod pages;
mod run_list;
