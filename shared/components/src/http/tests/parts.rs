//! Forms of several parts, TLS, and answers that are no text.

use super::*;

#[test]
fn a_form_of_several_parts_is_written_as_browsers_do() {
    let parts = json!([
        { "name": "note", "value": "héllo" },
        { "name": "file", "filename": "a \"b\".png", "type": "image/png", "base64": "AAH/" },
        { "name": "plain\r\nX: y", "filename": "f", "value": "text" },
    ]);
    let configuration =
        json!({ "url": "https://a.example", "method": "POST", "body": { "multipart": parts } });
    let request = sent(&configuration, &[]);
    assert_eq!(header(&request, "content-type"), Some("multipart/form-data; boundary=sealflow-the-key"));
    let expected = [
        b"--sealflow-the-key\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nh\xc3\xa9llo\r\n".to_vec(),
        b"--sealflow-the-key\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a %22b%22.png\"\r\nContent-Type: image/png\r\n\r\n\x00\x01\xff\r\n".to_vec(),
        b"--sealflow-the-key\r\nContent-Disposition: form-data; name=\"plain%0D%0AX: y\"; filename=\"f\"\r\nContent-Type: application/octet-stream\r\n\r\ntext\r\n".to_vec(),
        b"--sealflow-the-key--\r\n".to_vec(),
    ];
    assert_eq!(String::from_utf8_lossy(&request.body), String::from_utf8_lossy(&expected.concat()));
}

#[test]
fn a_form_that_would_break_is_refused() {
    let message = |parts: Value| {
        let configuration = json!({ "url": "https://a.example", "body": { "multipart": parts } });
        problems(&configuration).into_iter().map(|(at, text)| format!("{at}: {text}")).collect::<Vec<_>>()
    };
    let none: [String; 0] = [];
    assert_eq!(message(json!([{ "name": "a", "value": "{{ root().data }}" }])), none);
    for (parts, said) in [
        (json!([]), "must have 1 to 200 parts"),
        (json!([{ "value": "x" }]), "`name` is missing"),
        (json!([{ "name": "a" }]), "exactly one of value and base64"),
        (json!([{ "name": "a", "value": "x", "base64": "eA==" }]), "exactly one of value and base64"),
        (json!([{ "name": "a", "base64": "%" }]), "must be base64"),
        (json!([{ "name": "a", "value": "x", "type": "a/b\r\nX: y" }]), "must be a content type"),
        (json!([{ "name": "a", "value": "x", "file": "f" }]), "unknown field `file`"),
    ] {
        assert!(
            message(parts.clone()).iter().any(|text| text.contains(said)),
            "{said}: {:?}",
            message(parts)
        );
    }
    let parts = |count: usize| message(Value::Array(vec![json!({ "name": "a", "value": "x" }); count]));
    assert_eq!((parts(200).len(), parts(201).len()), (0, 1), "I10");
    let typed = json!({
        "url": "https://a.example", "headers": { "content-type": "x/y" },
        "body": { "multipart": [{ "name": "a", "value": "x" }] },
    });
    assert!(problems(&typed)[0].1.contains("boundary of `body.multipart`"));
    let own = json!({
        "url": "https://a.example", "body": { "multipart": [{ "name": "a", "value": "x sealflow-the-key y" }] },
    });
    let (outcome, request) = execute(&own, &[], Ok(text(200, "")));
    assert!(request.is_none() && format!("{outcome:?}").contains("holds the boundary"), "{outcome:?}");
    let (outcome, _) = execute(&own, &["/body/multipart/0/value"], Ok(text(200, "")));
    let said = format!("{outcome:?}");
    assert!(said.contains("is not told") && !said.contains("boundary"), "I1: {said}");
}

#[test]
fn tls_is_whole_or_refused() {
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----";
    let request = sent(
        &json!({ "url": "https://a.example", "tls": { "authorities": PEM, "certificate": PEM, "key": "k" } }),
        &["/tls/key"],
    );
    let client = request.tls.client.unwrap();
    assert_eq!(
        (request.tls.authorities.as_deref(), client.chain.as_str(), client.key.as_str()),
        (Some(PEM), PEM, "k")
    );
    let said = |tls: Value| {
        let found = problems(&json!({ "url": "https://a.example", "tls": tls }));
        found.into_iter().map(|(at, text)| format!("{at}: {text}")).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(said(json!({ "certificate": PEM, "key": "{{ secrets(\"a\").b }}" })), "");
    assert!(said(json!({})).contains("must have `authorities`"));
    assert!(said(json!({ "certificate": PEM })).contains("`certificate` stands without `key`"));
    assert!(said(json!({ "key": "{{ secrets(\"a\").b }}" })).contains("`key` stands without `certificate`"));
    assert!(said(json!({ "authorities": "/etc/ca.pem" })).contains("must be PEM"));
}

#[test]
fn of_an_answer_that_is_no_text_the_bytes_are_kept_where_they_were_asked_for() {
    let asked = json!({ "url": "https://a.example", "binary_body": "base64" });
    assert!(
        sent(&asked, &[]).keeps_binary && !sent(&json!({ "url": "https://a.example" }), &[]).keeps_binary
    );
    let body = HttpBody::Binary { sha256: Some("ab".into()), base64: Some("AAE=".into()), bytes: 2 };
    let (outcome, _) = execute(&asked, &[], Ok(answer(200, &[("Content-Type", "image/png")], body)));
    let Outcome::Passed(Some(Output { data, .. })) = outcome else { panic!("{outcome:?}") };
    assert_eq!(data["body"], json!({ "bytes": 2, "type": "image/png", "sha256": "ab", "base64": "AAE=" }));
}
