//! AWS Signature Version 4, with the author's keys.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign as sign_request,
};
use aws_sigv4::sign::v4;
use components::credential::AwsSigV4;
use jiff::Timestamp;

use super::SentRequest;

/// The hash of the body, which may stand in a header.
pub fn body_sha256(request: &SentRequest<'_>) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, request.body))
}

/// The headers to add, and the signature in them. None where the request can't be signed.
pub fn sign(
    keys: &AwsSigV4,
    request: &SentRequest<'_>,
    now: Timestamp,
) -> Option<(Vec<(String, String)>, String)> {
    let identity = Credentials::new(
        &keys.access_key_id,
        &keys.secret_access_key,
        keys.session_token.clone(),
        None,
        "the author's",
    )
    .into();
    let mut settings = SigningSettings::default();
    if keys.service == "s3" {
        // The exceptions of S3: the path as it is, and the hash of the body in a header.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&keys.region)
        .name(&keys.service)
        .time(SystemTime::from(now))
        .settings(settings)
        .build()
        .ok()?
        .into();
    let is_signed = |name: &str| {
        let name = name.to_ascii_lowercase();
        name == "content-type" || name.starts_with("x-amz-")
    };
    let headers = request.headers.iter().filter(|(name, _)| is_signed(name));
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
    let signable = SignableRequest::new(
        request.method,
        request.url.as_str(),
        headers,
        SignableBody::Bytes(request.body),
    )
    .ok()?;
    let (instructions, signature) = sign_request(signable, &parameters).ok()?.into_parts();
    let (headers, _) = instructions.into_parts();
    let headers = headers.iter().map(|header| (header.name().to_owned(), header.value().to_owned()));
    Some((headers.collect(), signature))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn signed(keys: &AwsSigV4, url: &str, headers: &[(&str, &str)]) -> Vec<(String, String)> {
        let url = Url::parse(url).unwrap();
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let request = SentRequest { method: "GET", url: &url, headers: &headers, body: b"" };
        sign(keys, &request, "2015-08-30T12:36:00Z".parse().unwrap()).unwrap().0
    }

    fn keys(service: &str, session_token: Option<&str>) -> AwsSigV4 {
        AwsSigV4 {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: session_token.map(str::to_owned),
            region: "us-east-1".into(),
            service: service.into(),
        }
    }

    /// `get-vanilla` of AWS's test suite for Signature Version 4.
    #[test]
    fn a_signature_is_that_of_the_test_suite() {
        let headers =
            signed(&keys("service", None), "https://example.amazonaws.com/", &[("Idempotency-Key", "k")]);
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, \
                        Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        assert!(headers.contains(&("authorization".to_owned(), expected.to_owned())), "{headers:?}");
        assert!(headers.contains(&("x-amz-date".to_owned(), "20150830T123600Z".to_owned())));
    }

    #[test]
    fn s3_wants_the_hash_of_the_body_and_temporary_keys_send_their_token() {
        let url = "https://bucket.s3.amazonaws.com/a%20b";
        let headers = signed(
            &keys("s3", Some("session")),
            url,
            &[("Content-Type", "text/plain"), ("X-Amz-Acl", "private")],
        );
        let value = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).unwrap().1.as_str();
        assert_eq!(value("x-amz-security-token"), "session");
        assert!(value("x-amz-content-sha256").starts_with("e3b0c442"));
        let signed =
            "SignedHeaders=content-type;host;x-amz-acl;x-amz-content-sha256;x-amz-date;x-amz-security-token";
        assert!(value("authorization").contains(signed), "{headers:?}");
    }
}
