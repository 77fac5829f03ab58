//! Definitions as authors write them: read with positions, checked with every error in one answer,
//! and compared.
//!
//! - [`check()`] takes the author's YAML or JSON to a [`Checked`] definition, or to all of its
//!   [`Problem`]s;
//! - [`difference()`] says what applying a definition again changes.
//!
//! Only the API links this crate: the reader of YAML is in no other function. It does no I/O, reads
//! no clock and makes no ids. What must not be here: a secret's value.

mod check;
mod difference;
mod problem;
mod source;

pub use check::{Checked, NodeSecretRef, PROBLEMS_MAX, Refused, UrlTarget, check};
pub use difference::{Changes, NodeChange, difference};
pub use problem::Problem;
