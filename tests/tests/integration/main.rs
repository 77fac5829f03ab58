//! The integration tests: on real Postgres and the stand-ins of SQS and KMS, the functions
//! called within the test.

mod costs;
mod deployment;
mod engine;
mod house;
mod races;
mod routes;
mod security;
