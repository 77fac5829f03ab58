//! Credentials in `authorization`: what is wrong with one is said where it stands, and where its
//! secrets go is found.

use super::*;

const KEY: &str = r#"'{{ secrets("idp").key }}'"#;

fn with(authorization: &str) -> String {
    http(&format!("{URL}, authorization: {{ {authorization} }}"))
}

fn jwt(more: &str) -> String {
    format!("type: jwt_bearer, issuer: a, key: {KEY}{more}")
}

#[test]
fn an_issuer_is_literal_and_asked_over_https_i2() {
    let error = |authorization: &str| {
        let found = errors(&with(authorization));
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    };
    let open = error(&jwt(", token_url: 'https://{{ root().data.host }}/token'"));
    assert!(
        open.contains("token_url: must be literal: no template chooses whom a credential is shown to"),
        "{open}"
    );
    let secret = errors(&with(&jwt(r#", token_url: '{{ secrets("idp").url }}'"#)));
    assert!(secret.iter().any(|said| said.contains("must be literal")), "{secret:?}");
    for url in [
        "idp.example.com/token",
        "ftp://idp.example.com",
        "https://user:word@idp.example.com",
        "https://idp.example.com/#a",
    ] {
        assert!(error(&jwt(&format!(", token_url: '{url}'"))).contains("must be a whole https URL"), "{url}");
    }
    let plain = warnings(&with(&jwt(", token_url: 'http://idp.example.com/token'")));
    let said = "authorization.token_url: an issuer is asked over https";
    assert!(plain.len() == 1 && plain[0].contains(said), "{plain:?}");
    assert_eq!(warnings(&with(&jwt(", token_url: 'https://idp.example.com/token'"))), [""; 0]);
}

#[test]
fn a_secret_goes_to_the_issuer_and_to_the_target() {
    let targets = |text: &str| {
        let checked = check(text).unwrap();
        let of = |secret: &NodeSecretRef| {
            let hosts: Vec<_> = secret.targets.iter().map(|target| target.host.clone()).collect();
            let place = secret.place.as_ref().map_or("?".to_owned(), Placement::to_string);
            format!("{} {place} {}", secret.pointer, hosts.join(" "))
        };
        checked.secret_refs.iter().map(of).collect::<Vec<_>>()
    };
    let client = "type: oauth2_client_credentials, token_url: 'https://idp.example.com/t', client_id: 'i', client_secret";
    assert_eq!(
        targets(&with(&format!("{client}: {KEY}"))),
        ["/authorization/client_secret authorization api.example.com idp.example.com"]
    );
    assert_eq!(
        targets(&with(&format!("auth_method: client_secret_post, {client}: {KEY}"))),
        ["/authorization/client_secret body api.example.com idp.example.com"]
    );
    assert_eq!(targets(&with(&jwt(""))), ["/authorization/key signing api.example.com"]);
    let github = format!("type: github_app, app_id: {KEY}, installation_id: 7, key: {KEY}");
    assert_eq!(
        targets(&with(&github)),
        [
            "/authorization/app_id authorization api.example.com api.github.com",
            "/authorization/key signing api.example.com api.github.com"
        ]
    );
    let aws = format!(
        "type: aws_sigv4, region: a, service: b, access_key_id: {KEY}, secret_access_key: {KEY}, session_token: {KEY}"
    );
    assert_eq!(
        targets(&with(&aws)),
        [
            "/authorization/access_key_id authorization api.example.com",
            "/authorization/secret_access_key signing api.example.com",
            "/authorization/session_token header:x-amz-security-token api.example.com"
        ]
    );
    let exchanged = format!(
        "type: jwt_bearer, token_url: 'https://idp.example.com/t', issuer: {KEY}, subject: {KEY}, key_id: {KEY}, key: {KEY}"
    );
    let to_both = "api.example.com idp.example.com";
    let mut of_exchanged = targets(&with(&exchanged));
    of_exchanged.sort();
    assert_eq!(
        of_exchanged,
        [
            format!("/authorization/issuer body {to_both}"),
            format!("/authorization/key signing {to_both}"),
            format!("/authorization/key_id body {to_both}"),
            format!("/authorization/subject body {to_both}"),
        ]
    );
    let mut sent = targets(&with(&format!("type: jwt_bearer, issuer: {KEY}, key: {KEY}")));
    sent.sort();
    assert_eq!(
        sent,
        ["/authorization/issuer authorization api.example.com", "/authorization/key signing api.example.com"]
    );
    let code = r#"type: hmac, name: X-Sign, template: '{{ hmac("sha256", secrets("idp").key, request("body") + secrets("idp").salt, "hex") }}'"#;
    let mut of_code = targets(&with(code));
    of_code.sort();
    assert_eq!(
        of_code,
        [
            "/authorization/template header:x-sign api.example.com",
            "/authorization/template signing api.example.com"
        ]
    );
    let header = format!(
        "{URL}, headers: [ {{ name: X-Key, value: {KEY} }} ], authorization: {{ {} }}",
        jwt(", token_url: 'https://idp.example.com/t'")
    );
    let found = targets(&http(&header));
    assert!(found.contains(&"/headers/0/value header:x-key api.example.com".to_owned()), "{found:?}");
}

#[test]
fn a_request_is_signed_in_one_field_and_stands_in_the_data_of_hmac_i1() {
    let code = |data: &str| format!(r#"{{{{ hmac("sha256", secrets("idp").key, {data}, "hex") }}}}"#);
    let signed = |template: &str| with(&format!("type: hmac, name: X-Signature, template: '{template}'"));
    assert_eq!(warnings(&signed(&code("request(\"body\")"))), [""; 0]);
    let error = |text: &str, said: &str| {
        let found = errors(text);
        assert!(found.len() == 1 && found[0].contains(said), "{found:?}");
    };
    error(&signed("{{ request(\"body\") }}"), "`request` can stand in the data of `hmac` only");
    error(
        &signed("{{ hmac(\"sha256\", secrets(\"idp\").key, \"x\", request(\"body\")) }}"),
        "`request` can stand in the data of `hmac` only",
    );
    let header = http(&format!("{URL}, headers: [ {{ name: A, value: '{}' }} ]", code("request(\"body\")")));
    error(&header, "in the `template` of an `authorization` of the type `hmac` only");
    let body = http(&format!("{URL}, body: {{ text: '{}' }}", code("\"a\" + request(\"path\")")));
    error(&body, "in the `template` of an `authorization` of the type `hmac` only");
}

#[test]
fn a_credential_that_is_not_whole_says_what_is_missing() {
    let found = |authorization: &str| errors(&with(authorization)).join("; ");
    let client = found("type: oauth2_client_credentials, client_id: a, auth_method: none");
    for said in [
        "`token_url` is missing",
        "`client_secret` is missing",
        "must be one of client_secret_basic, client_secret_post",
    ] {
        assert!(client.contains(said), "{said}: {client}");
    }
    assert!(
        found("type: oauth2").contains("did you mean")
            || found("type: oauth2").contains("must be one of bearer, basic")
    );
    assert!(found(&jwt(", algorithm: HS256")).contains("must be one of RS256, ES256"));
    assert!(found(&jwt(", audiance: a")).contains("did you mean `audience`"));
    let github = found(&format!("type: github_app, app_id: 1, installation_id: '../7', key: {KEY}"));
    assert!(github.contains("installation_id: must be a number"), "{github}");
    let both = http(&format!(
        "{URL}, headers: [ {{ name: X-Amz-Date, value: a }} ], authorization: {{ type: aws_sigv4, region: a, service: b, access_key_id: c, secret_access_key: {KEY} }}"
    ));
    assert!(errors(&both).join("; ").contains("the header `X-Amz-Date` stands in `headers` too"));
}

#[test]
fn a_key_is_one_secret_as_it_is_i1() {
    let key = |text: &str| with(&format!("type: jwt_bearer, issuer: a, key: '{text}'"));
    for text in [
        r#"-----BEGIN {{ secrets("idp").key }}"#,
        r#"{{ secrets("idp").key }}{{ secrets("idp").key }}"#,
        r#"{{ toBase64(secrets("idp").key) }}"#,
        r#"{{ "a" + secrets("idp").key }}"#,
        r#"{{ root().data.x ? toJSON(secrets("idp").key) : secrets("idp").key }}"#,
        r#"{{ hmac("sha256", secrets("idp").key, "x", "hex") }}"#,
    ] {
        let found = errors(&key(text));
        assert!(found.iter().any(|said| said.contains("a key is one secret as it is")), "{text}: {found:?}");
    }
    for text in [
        r#"{{ secrets("idp").key }}"#,
        r#"{{ fromJSON(secrets("idp").account).private_key }}"#,
        r#"{{ {"a": secrets("idp").key, "b": secrets("idp").other}[root().data.which] }}"#,
        r#"{{ root().data.x ? secrets("idp").key : secrets("idp").other }}"#,
    ] {
        assert_eq!(errors(&key(text)), [""; 0], "{text}");
    }
}

#[test]
fn words_that_are_written_out_are_checked_at_apply() {
    let template = |text: &str| with(&format!("type: hmac, name: X, template: '{text}'"));
    for (text, said) in [
        (r#"{{ hmac("sha257", secrets("idp").key, "x", "hex") }}"#, "an algorithm is one of"),
        (r#"{{ hmac("sha256", secrets("idp").key, "x", "hexx") }}"#, "a format is one of hex"),
        (
            r#"{{ hmac("sha256", secrets("idp").key, request("headers"), "hex") }}"#,
            "a part of a request is one of",
        ),
        (r#"{{ sent_at("tomorrow") }}"#, "a format is one of unix"),
        ("static", "has no code of the request"),
    ] {
        let found = errors(&template(text));
        assert!(found.len() == 1 && found[0].contains(said), "{text}: {found:?}");
    }
}

#[test]
fn bytes_of_an_answer_are_not_kept_beside_a_secret_i1() {
    let node = |more: &str| errors(&http(&format!("{URL}, binary_body: base64{more}")));
    assert_eq!(node(""), [""; 0]);
    let found = node(r#", headers: { X-Key: '{{ secrets("idp").key }}' }"#);
    assert!(found.len() == 1 && found[0].contains("`base64` needs a node without secrets"), "{found:?}");
}

#[test]
fn a_certificate_of_a_client_is_one_secret_as_it_is_i1() {
    let node = |tls: &str| errors(&http(&format!("{URL}, tls: {{ {tls} }}")));
    assert_eq!(
        node(r#"certificate: '{{ secrets("mtls").cert }}', key: '{{ secrets("mtls").key }}'"#),
        [""; 0]
    );
    for tls in [
        r#"certificate: 'x{{ secrets("mtls").cert }}', key: '{{ secrets("mtls").key }}'"#,
        r#"certificate: '{{ secrets("mtls").cert }}', key: '{{ secrets("mtls").key }} '"#,
    ] {
        let found = node(tls);
        assert!(found.iter().any(|said| said.contains("a key is one secret as it is")), "{tls}: {found:?}");
    }
    let found = node(r#"authorities: '{{ secrets("mtls").ca }}'"#);
    assert!(found.len() == 1, "authorities are no secret: {found:?}");
}
