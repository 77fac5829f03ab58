//! Targets inside a company: an authority of their own, and a certificate of the client.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::{World, get, ok, redirect, send};
use http_guard::{ClientCertificate, GuardSettings, GuardedClient, HttpError, Request, RequestTls};

/// A company of its own, whose authority nobody else trusts. Its site asks for a certificate.
async fn company() -> (World, GuardedClient) {
    let world = World::new();
    world.name("git.corp.example", &[&["8.8.8.8"]]);
    world.name("b.example", &[&["9.9.9.9"]]);
    world
        .asking_site("8.8.8.8:443", "git.corp.example", |heard| {
            if heard.line() == "GET /away" { redirect(302, "https://b.example/") } else { ok("inside") }
        })
        .await;
    world.secure_site("9.9.9.9:443", "b.example", |_| ok("outside")).await;
    let client = GuardedClient::with_network(GuardSettings::default(), Arc::new(world.clone()));
    (world, client)
}

fn inside(path: &str, tls: RequestTls) -> Request {
    Request { tls, ..get(&format!("https://git.corp.example{path}")) }
}

fn fault(result: Result<http_guard::Response, HttpError>) -> HttpError {
    result.err().unwrap()
}

#[tokio::test]
async fn a_company_is_reached_with_its_authority_and_a_certificate() {
    let (world, client) = company().await;
    let authorities = Some(world.authority_pem());
    let own = Some(world.client_certificate());
    let tls = |authorities: &Option<String>, client: &Option<ClientCertificate>| RequestTls {
        authorities: authorities.clone(),
        client: client.clone(),
    };
    let answer = send(&client, inside("/", tls(&authorities, &own))).await.unwrap();
    assert_eq!(answer.body, b"inside");
    let unknown = fault(send(&client, inside("/", tls(&None, &own))).await);
    assert!(matches!(unknown, HttpError::Tls(text) if text.contains("not known here")), "{unknown}");
    // TLS 1.3 tells of a missing certificate after the handshake, with the first read.
    let asked = fault(send(&client, inside("/", tls(&authorities, &None))).await);
    assert!(matches!(asked, HttpError::Tls(text) if text.contains("certificate of the client")), "{asked}");
    let away = fault(send(&client, inside("/away", tls(&authorities, &own))).await);
    assert_eq!(away, HttpError::RedirectBlocked, "a certificate is shown to no other origin");
    assert!(world.heard("9.9.9.9:443").is_empty());
}

#[tokio::test]
async fn what_is_no_certificate_is_said_before_a_connection() {
    let (world, client) = company().await;
    let good = world.client_certificate();
    let other = world.client_certificate();
    let check = async |tls: RequestTls, expected: &str| {
        let error = fault(send(&client, inside("/", tls)).await);
        assert!(error.to_string().contains(expected), "{error}");
    };
    let authorities = |pem: &str| RequestTls { authorities: Some(pem.to_owned()), client: None };
    let own = |chain: &str, key: &str| RequestTls {
        authorities: None,
        client: Some(ClientCertificate { chain: chain.to_owned(), key: key.to_owned() }),
    };
    check(authorities("text"), "there is no PEM of a certificate").await;
    check(authorities("-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n"), "is no PEM").await;
    check(authorities(&good.key), "there is no PEM of a certificate").await;
    check(authorities(&world.authority_pem().repeat(21)), "more than 20").await;
    check(own(&good.chain, "text"), "no PEM of a private key").await;
    check(own(&good.chain, &other.key), "does not belong").await;
    assert!(world.connected().is_empty(), "nothing was connected to");
}
