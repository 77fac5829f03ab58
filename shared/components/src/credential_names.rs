//! The names of headers and query parameters that carry credentials.

/// The words in such names, in lower case.
const WORDS: [&str; 18] = [
    "signature",
    "token",
    "secret",
    "api-key",
    "api_key",
    "apikey",
    "access-key",
    "access_key",
    "password",
    "passwd",
    "credential",
    "hmac",
    "x-auth",
    "authenticat",
    "authorization",
    "subscription-key",
    "jwt-assertion",
    "set-cookie",
];

/// Whether a header or a query parameter of this name, in any case, may carry a credential.
pub(crate) fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "cookie" || name.starts_with("proxy-") || WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whether_a_credential_is_in_it() {
        for name in [
            "Authorization",
            "COOKIE",
            "Proxy-Authorization",
            "X-Api-Key",
            "x-hub-signature-256",
            "WWW-Authenticate",
            "set-cookie2",
            "X-JWT-Assertion",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in ["content-type", "idempotency-key", "x-request-id", "cookie-policy", "author"] {
            assert!(!is_credential(name), "{name}");
        }
    }
}
