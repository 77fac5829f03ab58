//! The difference between a workflow's rows and a definition, as the rows that an apply writes.
//!
//! The crate is pure: it does no I/O, reads no clock and makes no id. The API uses it, and so do
//! tests to write most of these rows.

mod plan;

pub use plan::{Current, CurrentWebhook, Plan, ScheduleWanted, Wanted, WebhookWanted, plan};
