//! The errors of opening an entry.

use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};

/// The error of an entry that does not open. No variant carries text of KMS, which names keys,
/// roles and contexts.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum OpenError {
    /// The ciphertext is damaged or was sealed for another scope. The execution fails, for another
    /// attempt is useless.
    #[error("the sealed value does not open here: it was damaged, or sealed for another place")]
    Corrupt,
    /// Throttling, time-out or network. The claim is given back, and the execution tried again.
    #[error("the vault's key service could not be reached")]
    Unavailable,
    /// KMS refuses this function or this key (disabled, deleted, no permission). The execution is
    /// tried again, and an alarm is raised.
    #[error("the vault's key may not be used")]
    Denied,
}

impl OpenError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::Denied)
    }

    /// Whether an operator must act.
    #[must_use]
    pub fn needs_alarm(self) -> bool {
        matches!(self, Self::Denied)
    }

    /// The caller's possible response to an error of KMS; by its kind and code, never by its text.
    pub(crate) fn classify<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Self {
        match error {
            SdkError::ConstructionFailure(_) => Self::Denied,
            SdkError::ServiceError(service) => Self::from_code(service.err().code()),
            _ => Self::Unavailable,
        }
    }

    fn from_code(code: Option<&str>) -> Self {
        match code {
            Some("InvalidCiphertextException" | "IncorrectKeyException" | "ValidationException") => {
                Self::Corrupt
            }
            Some(code) if vault_format::is_refusal(code) => Self::Denied,
            // Throttling, limits, internal errors, and codes that KMS may add: an unknown code must
            // fail no execution for good.
            _ => Self::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_what_to_do() {
        let check = |code, expected| assert_eq!(OpenError::from_code(Some(code)), expected, "{code}");
        check("InvalidCiphertextException", OpenError::Corrupt);
        check("IncorrectKeyException", OpenError::Corrupt);
        check("AccessDeniedException", OpenError::Denied);
        check("DisabledException", OpenError::Denied);
        check("KMSInvalidStateException", OpenError::Denied);
        check("NotFoundException", OpenError::Denied);
        check("ThrottlingException", OpenError::Unavailable);
        check("KMSInternalException", OpenError::Unavailable);
        check("DependencyTimeoutException", OpenError::Unavailable);
        check("KeyUnavailableException", OpenError::Unavailable);
        check("SomethingNewException", OpenError::Unavailable);
        assert_eq!(OpenError::from_code(None), OpenError::Unavailable);
    }

    #[test]
    fn only_a_damaged_value_is_final() {
        assert!(!OpenError::Corrupt.is_retryable());
        assert!(OpenError::Unavailable.is_retryable() && !OpenError::Unavailable.needs_alarm());
        assert!(OpenError::Denied.is_retryable() && OpenError::Denied.needs_alarm());
    }
}
