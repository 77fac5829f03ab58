//! The routes that people and machines call.

mod pages;
mod run_list;
mod searches;
