//! The common parts of the vault's tests: scopes, configurations, a wire that counts calls, and a
//! service that answers errors.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_client::Service;
use domain::ids::OrganizationId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;
use vault_format::{Bounds, Entry, Purpose, Scope, SecretValue};
use vault_open::{OpenError, OpenRequest, Opener};
use vault_seal::SealRequest;

/// The configuration of a client for KMS at `endpoint`.
pub fn config(endpoint: &str) -> aws_types::SdkConfig {
    aws_client::config_from(Service::Kms, |name| match name {
        "AWS_REGION" => Some("us-east-1".to_owned()),
        "AWS_ENDPOINT_URL" => Some(endpoint.to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        _ => None,
    })
    .unwrap()
}

pub fn scope(organization: u128, secret: u128) -> Scope {
    Scope {
        organization_id: OrganizationId::from_u128(organization),
        secret_id: Uuid::from_u128(secret),
        purpose: Purpose::Secret,
    }
}

pub fn value(key_name: &str, value: &str, hosts: &[&str]) -> SealRequest {
    SealRequest {
        key_name: key_name.to_owned(),
        value: SecretValue::new(value.to_owned()),
        bounds: Bounds::new(hosts.iter().map(|host| host.parse().unwrap()).collect(), Vec::new()),
    }
}

/// The result of opening one entry in a place: the text, or the reason why not.
pub async fn open(opener: &Opener, scope: Scope, entry: Entry) -> Result<String, OpenError> {
    let mut opened = opener.open(&[OpenRequest { scope, entry }]).await;
    opened.remove(0).map(|value| value.expose().to_owned())
}

/// A wire to KMS that keeps what clients said.
pub struct Wire {
    pub url: String,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    pub async fn to(url: &str) -> Self {
        let target = url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self { url: format!("http://{}", listener.local_addr().unwrap()), said: Arc::default() };
        let said = Arc::clone(&wire.said);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (said, server) = (Arc::clone(&said), TcpStream::connect(&target).await.unwrap());
                tokio::spawn(carry(client, server, said));
            }
        });
        wire
    }

    /// How often an operation was called.
    pub fn calls(&self, operation: &str) -> usize {
        let needle = format!("TrentService.{operation}\r\n").into_bytes();
        self.said.lock().unwrap().windows(needle.len()).filter(|window| *window == needle).count()
    }
}

async fn carry(client: TcpStream, server: TcpStream, said: Arc<Mutex<Vec<u8>>>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut bytes = vec![0; 65_536];
        while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
            said.lock().unwrap().extend_from_slice(&bytes[..count]);
            if to_server.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = up => {}
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}

/// A service that answers every call alike, and how often it was called.
pub async fn service_answering(status: &str, body: &str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let counter = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                // The body of a request ends with the JSON's brace.
                while !bytes.ends_with(b"}") && stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0)
                {
                }
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (url, calls)
}
