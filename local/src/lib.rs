//! sealflow on one machine: real Postgres, stand-ins for SQS and KMS that speak their protocols,
//! and a Lambda runner for the very function binaries that run on AWS. Demo, development loop,
//! tests and benchmarks stand on it.
//!
//! For development machines only: everything binds loopback and trusts every client that reaches
//! it.

pub mod child;
mod clock;
pub mod demo;
pub mod dev;
pub mod folder;
pub mod gateway;
pub mod http;
pub mod invoke;
mod janitor;
pub mod lambda;
pub mod leaks;
pub mod lineage;
pub mod mapping;
pub mod net;
mod random;
pub mod schedule;
pub mod sealflow;
pub mod signals;
pub mod sqs;
pub mod stack;
pub mod target;
