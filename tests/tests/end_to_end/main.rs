//! End to end: the whole product, with the functions' binaries, Postgres and the stand-ins.
//!
//! A binary of its own: a database lets each function's role have few connections, and a product takes
//! them from tests that run functions within themselves.

mod api;
mod attacks;
mod bad_records;
mod buffers;
mod circles;
mod cli;
mod examples;
mod injection;
mod leaks;
mod main_job;
mod memory;
mod new_kms_key;
mod plans;
mod recipes;
mod recovery;
mod senders;
mod sleep;
mod targets;
mod tokens;
mod webhook;
