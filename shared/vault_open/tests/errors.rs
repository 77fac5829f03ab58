//! The meaning of KMS's errors for the caller. None of their text gets out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::atomic::Ordering;

use common::{config, open, scope, service_answering, value};
use vault_format::{Bounds, Entry};
use vault_open::{OpenError, Opener};
use vault_seal::{SealError, Sealer};

const CANARY: &str = "arn:aws:kms:canary";

fn entry() -> Entry {
    Entry::new("token".into(), Bounds::default(), vec![1; 184], [0; 12], vec![0; 20]).unwrap()
}

async fn both(status: &str, code: &str) -> (OpenError, SealError, usize) {
    let body = format!(r#"{{"__type":"{code}","message":"{CANARY} is not authorized"}}"#);
    let (url, calls) = service_answering(status, &body).await;
    let opened = open(&Opener::new(&config(&url)), scope(1, 2), entry()).await.err().unwrap();
    let open_calls = calls.load(Ordering::SeqCst);
    let sealer = Sealer::new(&config(&url), "key");
    let sealed = sealer.seal(&scope(1, 2), vec![value("token", "value", &[])]).await.err().unwrap();
    let shown = format!("{opened} {opened:?} {sealed} {sealed:?}");
    assert!(!shown.contains("canary"), "{shown}");
    (opened, sealed, open_calls)
}

#[tokio::test]
async fn a_refusal_needs_an_operator_and_is_not_hammered() {
    for code in
        ["AccessDeniedException", "DisabledException", "KMSInvalidStateException", "NotFoundException"]
    {
        let (opened, sealed, calls) = both("400 Bad Request", code).await;
        assert_eq!((opened, sealed, calls), (OpenError::Denied, SealError::Denied, 1), "{code}");
        assert!(opened.is_retryable() && opened.needs_alarm());
    }
}

#[tokio::test]
async fn a_ciphertext_that_kms_refuses_is_final() {
    let (opened, ..) = both("400 Bad Request", "InvalidCiphertextException").await;
    assert_eq!((opened, opened.is_retryable()), (OpenError::Corrupt, false));
}

#[tokio::test]
async fn throttling_and_trouble_are_tried_again_and_then_left_to_later() {
    for (status, code) in
        [("400 Bad Request", "ThrottlingException"), ("500 Internal Server Error", "KMSInternalException")]
    {
        let (opened, sealed, calls) = both(status, code).await;
        assert_eq!((opened, sealed, calls), (OpenError::Unavailable, SealError::Unavailable, 3), "{code}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let opened = open(&Opener::new(&config(&url)), scope(1, 2), entry()).await;
    assert_eq!(opened, Err(OpenError::Unavailable));
}

#[tokio::test]
async fn an_answer_without_a_key_is_corrupt() {
    let (url, _) = service_answering("200 OK", r#"{"KeyId":"key"}"#).await;
    assert_eq!(open(&Opener::new(&config(&url)), scope(1, 2), entry()).await, Err(OpenError::Corrupt));
    let sealer = Sealer::new(&config(&url), "key");
    let sealed = sealer.seal(&scope(1, 2), vec![value("token", "value", &[])]).await.err();
    assert_eq!(sealed, Some(SealError::Corrupt));
    let (url, _) = service_answering("200 OK", r#"{"KeyId":"key","Plaintext":"c2hvcnQ="}"#).await;
    assert_eq!(open(&Opener::new(&config(&url)), scope(1, 2), entry()).await, Err(OpenError::Corrupt));
}
