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
    /// The secret, or the field that holds it, is stored in a form that this version of sealflow
    /// can't read but another version may be able to. The claim is given back for a while.
    Unreadable,
}

/// A failure that the author can mend: the execution fails with this message.
pub fn fails(reason: ResultReason, message: String) -> SecretProblem {
    SecretProblem::Fails { reason, message }
}
