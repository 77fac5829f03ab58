//! The meaning of KMS's error codes for a caller.

/// Whether KMS refuses the caller or the key: an operator must act, and another attempt is useless
/// until then. The codes are from the [KMS API
/// Reference](https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html), common errors
/// and those of each operation.
#[must_use]
pub fn is_refusal(code: &str) -> bool {
    matches!(
        code,
        "AccessDeniedException"
            | "DisabledException"
            | "KMSInvalidStateException"
            | "NotFoundException"
            | "InvalidKeyUsageException"
            | "InvalidGrantTokenException"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "ExpiredTokenException"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_that_passes_is_no_refusal() {
        assert!(is_refusal("AccessDeniedException") && is_refusal("DisabledException"));
        for passing in ["ThrottlingException", "KMSInternalException", "KeyUnavailableException", ""] {
            assert!(!is_refusal(passing), "{passing}");
        }
    }
}
