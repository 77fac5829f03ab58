//! I6: what moves opens afterwards in its own place and in no other. Against moto, which
//! re-encrypts and binds the encryption context; it doesn't compare the source key, so that is held
//! by `tests/tests/integration/security/rewrap.rs`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../vault_open/tests/common/mod.rs"]
mod common;

use common::{Wire, config, open, scope, service_answering, value};
use local::stack::Stack;
use vault_format::{Bounds, Entries};
use vault_open::{OpenError, Opener};
use vault_rewrap::{RewrapError, RewrapRequest, Rewrapped, Rewrapper, SameKey};
use vault_seal::Sealer;

const CANARY: &str = "arn:aws:kms:canary";

/// Entries that are sealed under a new key of moto's.
async fn sealed(url: &str, key: &str) -> Entries {
    let values = vec![value("token", "hunter2-hunter2", &["a.example"]), value("user", "bob", &[])];
    let mut entries = Entries::new();
    for entry in Sealer::new(&config(url), key).seal(&scope(1, 2), values).await.unwrap() {
        entries.put(entry).unwrap();
    }
    entries
}

#[tokio::test]
async fn what_was_moved_opens_in_its_place_and_in_no_other_i6() {
    let moto = Stack::of_this_process_with_moto().await.unwrap().moto();
    let (old, new) = (moto.create_key().await.unwrap(), moto.create_key().await.unwrap());
    let wire = Wire::to(moto.url()).await;
    let entries = sealed(&wire.url, &old).await;
    let rewrapper = Rewrapper::new(&config(&wire.url), &old, &new).unwrap();
    let request = |scope| RewrapRequest { scope, entries: entries.clone() };
    let mut answers = rewrapper.rewrap(vec![request(scope(1, 2)), request(scope(1, 3))]).await.unwrap();

    let elsewhere = answers.pop().unwrap();
    let unreadable = vec!["token".to_owned(), "user".to_owned()];
    assert_eq!(elsewhere, Rewrapped { entries: entries.clone(), moved: 0, elsewhere: 0, unreadable });
    let moved = answers.pop().unwrap();
    assert_eq!((moved.moved, moved.elsewhere, moved.unreadable.len()), (2, 0, 0));
    assert_eq!(wire.calls("ReEncrypt"), 2, "one for each distinct data key and place");

    let opener = Opener::new(&config(moto.url()));
    // moto's wrapped keys begin with the id of their key.
    for entry in moved.entries.iter() {
        assert!(entry.wrapped_data_key().starts_with(new.as_bytes()));
    }
    let token = moved.entries.get("token").unwrap().clone();
    assert_eq!(open(&opener, scope(1, 2), token.clone()).await, Ok("hunter2-hunter2".to_owned()));
    for other in [scope(1, 3), scope(2, 2)] {
        assert_eq!(open(&opener, other, token.clone()).await, Err(OpenError::Corrupt));
    }
}

#[tokio::test]
async fn what_kms_says_decides_and_is_not_repeated_i1() {
    let entry = |bytes| {
        let entry = vault_format::Entry::new(
            "token".into(),
            Bounds::default(),
            vec![bytes; 184],
            [0; 12],
            vec![0; 20],
        );
        let mut entries = Entries::new();
        entries.put(entry.unwrap()).unwrap();
        entries
    };
    let check = async |status: &str, code: &str, expected: Result<(usize, usize), RewrapError>| {
        let body = format!(r#"{{"__type":"{code}","message":"{CANARY}"}}"#);
        let (url, _) = service_answering(status, &body).await;
        let request = RewrapRequest { scope: scope(1, 2), entries: entry(1) };
        let answer = Rewrapper::new(&config(&url), "old", "new").unwrap().rewrap(vec![request]).await;
        assert!(!format!("{answer:?}").contains(CANARY), "{code}");
        let found = answer.map(|all| (all[0].elsewhere, all[0].unreadable.len()));
        assert_eq!(found, expected, "{code}");
    };
    check("400 Bad Request", "IncorrectKeyException", Ok((1, 0))).await;
    check("400 Bad Request", "InvalidCiphertextException", Ok((0, 1))).await;
    check("400 Bad Request", "AccessDeniedException", Err(RewrapError::Denied)).await;
    check("400 Bad Request", "DisabledException", Err(RewrapError::Denied)).await;
    check("400 Bad Request", "ValidationException", Err(RewrapError::Denied)).await;
    check("400 Bad Request", "ThrottlingException", Err(RewrapError::Unavailable)).await;
    check("500 Internal Server Error", "KMSInternalException", Err(RewrapError::Unavailable)).await;
    check("200 OK", "NoCiphertext", Err(RewrapError::Unavailable)).await;
}

#[test]
fn nothing_moves_from_a_key_to_itself() {
    let made = |source: &str| Rewrapper::new(&config("http://127.0.0.1:9"), source, "key").map(|_| ());
    assert_eq!((made("key"), made("other")), (Err(SameKey), Ok(())));
}
