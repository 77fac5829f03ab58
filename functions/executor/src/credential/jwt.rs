//! JSON Web Tokens (RFC 7519), signed with a key of the author's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use components::credential::{Jwt, JwtAlgorithm};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;
use zeroize::{Zeroize as _, Zeroizing};

/// Seconds by which a token begins before now: an issuer's clock may be slow.
const BEFORE_SECONDS: i64 = 60;
/// Seconds after now at which a token ends. Salesforce accepts a life of three minutes at most, and
/// no issuer accepts less.
const AFTER_SECONDS: i64 = 120;

/// Signs a token. None where the key does not fit the algorithm. The cause is not told: it may
/// reveal something about the key (I1).
pub fn sign(jwt: &Jwt, now: Timestamp) -> Option<Zeroizing<String>> {
    let algorithm = match jwt.algorithm {
        JwtAlgorithm::Rs256 => "RS256",
        JwtAlgorithm::Es256 => "ES256",
    };
    let mut header = json!({ "alg": algorithm, "typ": "JWT" });
    if let Some(key_id) = &jwt.key_id {
        header["kid"] = json!(key_id);
    }
    let now = now.as_second();
    let mut claims = json!({ "iss": jwt.issuer, "iat": now - BEFORE_SECONDS, "exp": now + AFTER_SECONDS });
    for (name, value) in [("sub", &jwt.subject), ("aud", &jwt.audience), ("scope", &jwt.scope)] {
        if let Some(value) = value {
            claims[name] = json!(value);
        }
    }
    let [header, claims] = [header, claims].map(|json| Zeroizing::new(json.to_string()));
    let mut token = Zeroizing::new(String::with_capacity(2 * (header.len() + claims.len()) + 1024));
    URL_SAFE_NO_PAD.encode_string(header.as_bytes(), &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.as_bytes(), &mut token);
    let signature = sign_bytes(jwt, token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Some(token)
}

fn sign_bytes(jwt: &Jwt, message: &[u8]) -> Option<Vec<u8>> {
    let mut key = PrivateKeyDer::from_pem_slice(jwt.key.as_bytes()).ok()?;
    let signature = match jwt.algorithm {
        JwtAlgorithm::Rs256 => sign_rsa(&key, message),
        JwtAlgorithm::Es256 => sign_ecdsa(&key, message),
    };
    key.zeroize();
    signature
}

fn sign_rsa(key: &PrivateKeyDer<'_>, message: &[u8]) -> Option<Vec<u8>> {
    let key = match key {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        _ => return None,
    };
    let key = key.ok()?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
    Some(signature)
}

fn sign_ecdsa(key: &PrivateKeyDer<'_>, message: &[u8]) -> Option<Vec<u8>> {
    let PrivateKeyDer::Pkcs8(key) = key else { return None };
    let random = SystemRandom::new();
    let key =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der(), &random).ok()?;
    key.sign(&random, message).ok().map(|signature| signature.as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use components::credential::Exchange;
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
        UnparsedPublicKey,
    };
    use serde_json::Value;

    use super::*;

    const PKCS1: &str = include_str!("../../../../tests/keys/rsa_pkcs1.pem");
    const PKCS8: &str = include_str!("../../../../tests/keys/rsa_pkcs8.pem");

    fn jwt(key: &str, algorithm: JwtAlgorithm) -> Jwt {
        Jwt {
            key: key.to_owned(),
            algorithm,
            key_id: None,
            issuer: "ada".into(),
            subject: None,
            audience: Some("https://idp.example/token".into()),
            scope: None,
            exchange: Exchange::Itself,
        }
    }

    fn signed(jwt: &Jwt) -> Option<(String, Vec<u8>, [Value; 2])> {
        let token = sign(jwt, Timestamp::from_second(1_000_000).unwrap())?;
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = message.split_once('.').unwrap();
        let read = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        Some((message.to_owned(), signature, [read(header), read(claims)]))
    }

    #[test]
    fn a_token_is_signed_with_an_rsa_key_of_either_form() {
        for pem in [PKCS1, PKCS8] {
            let (message, signature, [header, claims]) = signed(&jwt(pem, JwtAlgorithm::Rs256)).unwrap();
            let der = PrivateKeyDer::from_pem_slice(PKCS8.as_bytes()).unwrap();
            let PrivateKeyDer::Pkcs8(der) = der else { panic!("another form") };
            let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
            let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
            public.verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature).unwrap();
            assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT" }));
            let expected =
                json!({ "iss": "ada", "aud": "https://idp.example/token", "iat": 999_940, "exp": 1_000_120 });
            assert_eq!(claims, expected);
        }
    }

    #[test]
    fn a_token_is_signed_with_an_elliptic_key() {
        let pair = rcgen::KeyPair::generate().unwrap();
        let all = Jwt {
            key_id: Some("k1".into()),
            subject: Some("sub".into()),
            scope: Some("a b".into()),
            ..jwt(&pair.serialize_pem(), JwtAlgorithm::Es256)
        };
        let (message, signature, [header, claims]) = signed(&all).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &pair.serialize_der(),
            &SystemRandom::new(),
        );
        let public =
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.unwrap().public_key().as_ref().to_vec());
        public.verify(message.as_bytes(), &signature).unwrap();
        assert_eq!((&header["kid"], &header["alg"]), (&json!("k1"), &json!("ES256")));
        assert_eq!((&claims["sub"], &claims["scope"]), (&json!("sub"), &json!("a b")));
    }

    #[test]
    fn a_key_of_another_kind_signs_nothing() {
        let elliptic = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for (key, algorithm) in [
            (elliptic.as_str(), JwtAlgorithm::Rs256),
            (PKCS8, JwtAlgorithm::Es256),
            (PKCS1, JwtAlgorithm::Es256),
            ("no key", JwtAlgorithm::Rs256),
            ("", JwtAlgorithm::Es256),
        ] {
            assert!(signed(&jwt(key, algorithm)).is_none());
        }
    }
}
