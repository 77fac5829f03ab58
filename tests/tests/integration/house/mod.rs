//! The rules of the sources and the schema: dependencies, limits, words.

mod checksums;
mod dependencies;
mod fences;
mod limits;
mod openapi;
mod references;
mod schema;
mod state_machine;
