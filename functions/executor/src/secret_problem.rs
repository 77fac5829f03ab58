//! Refusals of secrets.

use domain::execution::ResultReason;

/// The refusal of a secret to an execution. It names secret and key, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretProblem {
    /// The execution fails.
    Fails {
        /// Why.
        reason: ResultReason,
        /// For the author.
        message: String,
    },
    /// The claim is given back and tried again.
    TriedAgain,
    /// It was stored in a form that this version can't read, and another one may: the claim is
    /// given back for a while.
    Unreadable,
}

/// A failure of the author's.
pub fn fails(reason: ResultReason, message: String) -> SecretProblem {
    SecretProblem::Fails { reason, message }
}
