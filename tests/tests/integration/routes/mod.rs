//! The routes that people and machines call.

mod approvals;
mod blueprints;
mod pages;
mod run_list;
mod searches;
mod sub_runs;
