//! Random credentials and their hashes.

use ring::digest::{SHA256, digest};

use crate::error::ApiError;

/// The beginning of a token of the API.
const TOKEN_PREFIX: &str = "sf_";
/// Characters of a token; ours have fewer than half as many.
const TOKEN_CHARS_MAX: usize = 128;

/// The SHA-256 under which a token is kept.
pub(crate) type TokenHash = [u8; 32];

/// The SHA-256 of a token.
pub(crate) fn sha256(token: &str) -> TokenHash {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The token of an `Authorization` header, if it can be one of ours.
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    let fits = token.len() <= TOKEN_CHARS_MAX && token.starts_with(TOKEN_PREFIX);
    (scheme.eq_ignore_ascii_case("bearer") && fits).then_some(token)
}

/// A new token of the API: 256 random bits behind the prefix by which people and scanners know it.
pub(crate) fn new_token() -> Result<String, ApiError> {
    Ok(format!("{TOKEN_PREFIX}{}", random::<32>()?))
}

/// 256 random bits in hex: a webhook's signing key or token.
pub(crate) fn random_key() -> Result<String, ApiError> {
    random::<32>()
}

/// 128 random bits in hex: a webhook's address.
pub(crate) fn random_address() -> Result<String, ApiError> {
    random::<16>()
}

fn random<const BYTES: usize>() -> Result<String, ApiError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|_| {
        tracing::error!("the machine has no random numbers");
        ApiError::Internal
    })?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_our_token_is_looked_up() {
        let check = |header: &str, expected| assert_eq!(bearer(header), expected, "{header}");
        check("Bearer sf_abc", Some("sf_abc"));
        check("bearer   sf_abc", Some("sf_abc"));
        check("Basic sf_abc", None);
        check("Bearer abc", None);
        check("Bearer", None);
        check("", None);
        let longest = format!("sf_{}", "a".repeat(TOKEN_CHARS_MAX - 3));
        check(&format!("Bearer {longest}"), Some(&longest));
        check(&format!("Bearer {longest}a"), None);
    }

    #[test]
    fn addresses_and_keys_have_their_bits_and_differ() {
        let (one, other) = (random_address().unwrap(), random_address().unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
        assert_eq!(random_key().unwrap().len(), 64);
    }
}
