//! Definitions as authors write them: read with positions, checked with every error in one answer,
//! and compared.
//!
//! - [`check()`] turns the author's YAML or JSON into a [`Checked`] definition, or into all of its
//!   [`Problem`]s;
//! - [`difference()`] gives the changes that a further apply of a definition makes.
//!
//! Only the API links this crate, so no other function has a reader of YAML. The crate does no I/O,
//! reads no clock, makes no ids, and never has a secret's value.

mod blueprint;
mod check;
mod difference;
mod problem;
mod source;

pub use blueprint::{Blueprint, BlueprintRef, Input, Library, Missing, Output};
pub use check::{
    Checked, CheckedBlueprint, Deployment, NodeSecretRef, PROBLEMS_MAX, Refused, UrlTarget, blueprints_in,
    check, check_blueprint, check_within,
};
pub use difference::{Changes, NodeChange, difference};
pub use problem::Problem;
