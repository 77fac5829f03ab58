//! KMS as far as envelopes go: it binds a wrapped key to its encryption context as KMS does, counts, and keeps what it was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_client::Service;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use local::http::{Request, Response, Server, json};
use serde_json::{Value, json};
use uuid::Uuid;
use vault_format::{Entries, Scope, SecretValue};
use vault_open::Opener;
use vault_seal::{SealRequest, Sealer};

use crate::Gate;
use crate::queues::aws_config;

const BODY_BYTES_MAX: usize = 1024 * 1024;
const KEY_BYTES: usize = 32;

/// A key service with one key.
pub struct FakeKms {
    server: Server,
    record: Arc<Record>,
}

#[derive(Default)]
struct Record {
    /// The data key and its encryption context, by the wrapped key.
    keys: Mutex<HashMap<String, (String, Value)>>,
    decrypts: Mutex<Vec<Value>>,
    held: Mutex<Option<Arc<Gate>>>,
}

impl FakeKms {
    /// Starts it on a port of its own.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> Self {
        let record = Arc::new(Record::default());
        let shared = Arc::clone(&record);
        let server = Server::start(BODY_BYTES_MAX, move |request| {
            let record = Arc::clone(&shared);
            async move {
                let held = lock(&record.held).clone();
                if let Some(gate) = held {
                    gate.pass().await;
                }
                record.answer(&request)
            }
        });
        Self { server: server.await.expect("a port is free"), record }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Holds every call back at a gate from now on.
    #[must_use]
    pub fn hold(&self) -> Arc<Gate> {
        let gate = Arc::new(Gate::closed());
        *lock(&self.record.held) = Some(Arc::clone(&gate));
        gate
    }

    /// What seals with it.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        Sealer::new(&aws_config(Service::Kms, &self.url()), "alias/test")
    }

    /// What opens with it.
    #[must_use]
    pub fn opener(&self) -> Opener {
        Opener::new(&aws_config(Service::Kms, &self.url()))
    }

    /// Takes the encryption contexts of all calls of Decrypt since the last time, also of those that it refused.
    #[must_use]
    pub fn take_decrypts(&self) -> Vec<Value> {
        std::mem::take(&mut *lock(&self.record.decrypts))
    }

    /// The bytes of `secrets.data` with the keys of `values`: name, value, allowed hosts.
    ///
    /// # Panics
    /// When a value or host is none.
    pub async fn sealed(&self, scope: &Scope, values: &[(&str, &str, &[&str])]) -> Vec<u8> {
        let requests = values.iter().map(|(key_name, value, hosts)| SealRequest {
            key_name: (*key_name).to_owned(),
            value: SecretValue::new((*value).to_owned()),
            allowed_hosts: hosts.iter().map(|host| host.parse().expect("it is a host")).collect(),
        });
        let mut entries = Entries::new();
        for entry in self.sealer().seal(scope, requests.collect()).await.expect("the values are sealed") {
            entries.put(entry).expect("there are few");
        }
        entries.to_bytes()
    }
}

impl Record {
    fn answer(&self, request: &Request) -> Response {
        let target =
            request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let context = body["EncryptionContext"].clone();
        match target.rsplit('.').next() {
            Some("GenerateDataKey") => {
                let key: Vec<u8> = Uuid::new_v4().as_bytes().repeat(2)[..KEY_BYTES].to_vec();
                let (key, wrapped) = (STANDARD.encode(key), STANDARD.encode(Uuid::new_v4().as_bytes()));
                lock(&self.keys).insert(wrapped.clone(), (key.clone(), context));
                json(200, &json!({ "CiphertextBlob": wrapped, "Plaintext": key, "KeyId": "key" }))
            }
            Some("Decrypt") => {
                lock(&self.decrypts).push(context.clone());
                let wrapped = body["CiphertextBlob"].as_str().unwrap_or_default();
                match lock(&self.keys).get(wrapped) {
                    Some((key, bound)) if *bound == context => {
                        json(200, &json!({ "Plaintext": key, "KeyId": "key" }))
                    }
                    _ => json(400, &json!({ "__type": "InvalidCiphertextException" })),
                }
            }
            _ => json(400, &json!({ "__type": "UnsupportedOperationException" })),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
