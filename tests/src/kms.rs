//! KMS as far as envelopes go: it binds a wrapped key to its KMS key and encryption context as KMS
//! does, counts, and keeps what it was asked.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_client::Service;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use local::http::{Request, Response, Server, json};
use serde_json::{Value, json};
use uuid::Uuid;
use vault_format::{Bounds, Entries, Scope, SecretValue};
use vault_open::Opener;
use vault_rewrap::Rewrapper;
use vault_seal::{SealRequest, Sealer};

use crate::Gate;
use crate::queues::aws_config;

const BODY_BYTES_MAX: usize = 1024 * 1024;
const KEY_BYTES: usize = 32;
/// The text of every refusal. No log, answer or row may repeat it.
pub const REFUSED: &str = "arn:aws:kms:canary is refused";

/// The key that [`FakeKms::sealer`] seals under.
pub const KEY: &str = "alias/test";

/// A key service that knows every key by its name.
pub struct FakeKms {
    server: Server,
    record: Arc<Record>,
}

#[derive(Default)]
struct Record {
    /// Data keys by their wrapped form.
    keys: Mutex<HashMap<String, DataKey>>,
    disabled: Mutex<HashSet<String>>,
    decrypts: Mutex<Vec<Value>>,
    reencrypts: Mutex<Vec<Value>>,
    held: Mutex<Option<Arc<Gate>>>,
    /// Calls under way, and the most that there were.
    at_once: Mutex<(usize, usize)>,
}

#[derive(Clone)]
struct DataKey {
    plain: String,
    wrapped_by: Value,
    context: Value,
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
                {
                    let mut at_once = lock(&record.at_once);
                    at_once.0 += 1;
                    at_once.1 = at_once.1.max(at_once.0);
                }
                let held = lock(&record.held).clone();
                if let Some(gate) = held {
                    gate.pass().await;
                }
                let answer = record.answer(&request);
                lock(&record.at_once).0 -= 1;
                answer
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

    /// The most calls that were under way at the same time.
    #[must_use]
    pub fn at_once_max(&self) -> usize {
        lock(&self.record.at_once).1
    }

    /// Lets every call through again.
    pub fn release(&self) {
        *lock(&self.record.held) = None;
    }

    /// Nothing opens under this key any more, and nothing is wrapped.
    pub fn disable(&self, key: &str) {
        lock(&self.record.disabled).insert(key.to_owned());
    }

    /// Takes a key back into use.
    pub fn enable(&self, key: &str) {
        lock(&self.record.disabled).remove(key);
    }

    /// A sealer that seals with it.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        self.sealer_under(KEY)
    }

    /// A sealer that seals with it under a key.
    #[must_use]
    pub fn sealer_under(&self, key: &str) -> Sealer {
        Sealer::new(&aws_config(Service::Kms, &self.url()), key)
    }

    /// A rewrapper that moves from one key to another.
    ///
    /// # Panics
    /// When they are the same.
    #[must_use]
    pub fn rewrapper(&self, source: &str, destination: &str) -> Rewrapper {
        Rewrapper::new(&aws_config(Service::Kms, &self.url()), source, destination)
            .expect("two keys are given")
    }

    /// An opener that opens with it.
    #[must_use]
    pub fn opener(&self) -> Opener {
        Opener::new(&aws_config(Service::Kms, &self.url()))
    }

    /// Takes the encryption contexts of all calls of Decrypt since the last time, also of those
    /// that it refused.
    #[must_use]
    pub fn take_decrypts(&self) -> Vec<Value> {
        std::mem::take(&mut *lock(&self.record.decrypts))
    }

    /// Takes what was asked of ReEncrypt since the last time.
    #[must_use]
    pub fn take_reencrypts(&self) -> Vec<Value> {
        std::mem::take(&mut *lock(&self.record.reencrypts))
    }

    /// The bytes of `secrets.data` with the keys of `values`: name, value, allowed hosts.
    ///
    /// # Panics
    /// When a value or host is none.
    pub async fn sealed(&self, scope: &Scope, values: &[(&str, &str, &[&str])]) -> Vec<u8> {
        self.sealed_under(KEY, scope, values).await
    }

    /// The same under a key.
    ///
    /// # Panics
    /// When a value or host is none.
    pub async fn sealed_under(&self, key: &str, scope: &Scope, values: &[(&str, &str, &[&str])]) -> Vec<u8> {
        let requests = values.iter().map(|(key_name, value, hosts)| SealRequest {
            key_name: (*key_name).to_owned(),
            value: SecretValue::new((*value).to_owned()),
            bounds: Bounds::new(
                hosts.iter().map(|host| host.parse().expect("it is a host")).collect(),
                Vec::new(),
            ),
        });
        self.sealed_requests(key, scope, requests.collect()).await
    }

    /// The bytes of `secrets.data` with one key, within bounds.
    ///
    /// # Panics
    /// When it can't be sealed.
    pub async fn sealed_within(&self, scope: &Scope, key_name: &str, value: &str, bounds: Bounds) -> Vec<u8> {
        let value = SecretValue::new(value.to_owned());
        self.sealed_requests(KEY, scope, vec![SealRequest { key_name: key_name.to_owned(), value, bounds }])
            .await
    }

    async fn sealed_requests(&self, key: &str, scope: &Scope, requests: Vec<SealRequest>) -> Vec<u8> {
        let mut entries = Entries::new();
        let sealed = self.sealer_under(key).seal(scope, requests).await;
        for entry in sealed.expect("the values are sealed") {
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
        let answer = match target.rsplit('.').next() {
            Some("GenerateDataKey") => self.generate(&body),
            Some("Decrypt") => {
                lock(&self.decrypts).push(body["EncryptionContext"].clone());
                self.opened(&body, "EncryptionContext", "KeyId")
                    .map(|key| json!({ "Plaintext": key.plain, "KeyId": key.wrapped_by }))
            }
            Some("ReEncrypt") => {
                lock(&self.reencrypts).push(body.clone());
                self.reencrypt(&body)
            }
            _ => Err("UnsupportedOperationException"),
        };
        match answer {
            Ok(answer) => json(200, &answer),
            Err(code) => json(400, &json!({ "__type": code, "message": REFUSED })),
        }
    }

    fn generate(&self, body: &Value) -> Result<Value, &'static str> {
        let key: Vec<u8> = Uuid::new_v4().as_bytes().repeat(2)[..KEY_BYTES].to_vec();
        let plain = STANDARD.encode(key);
        let wrapped = self.wrap(plain.clone(), &body["KeyId"], &body["EncryptionContext"])?;
        Ok(json!({ "CiphertextBlob": wrapped, "Plaintext": plain, "KeyId": body["KeyId"] }))
    }

    fn reencrypt(&self, body: &Value) -> Result<Value, &'static str> {
        let DataKey { plain, wrapped_by, .. } =
            self.opened(body, "SourceEncryptionContext", "SourceKeyId")?;
        let destination = &body["DestinationKeyId"];
        let wrapped = self.wrap(plain, destination, &body["DestinationEncryptionContext"])?;
        Ok(json!({ "CiphertextBlob": wrapped, "SourceKeyId": wrapped_by, "KeyId": destination }))
    }

    fn wrap(&self, plain: String, key: &Value, context: &Value) -> Result<String, &'static str> {
        self.check_enabled(key)?;
        let wrapped = STANDARD.encode(Uuid::new_v4().as_bytes());
        let kept = DataKey { plain, wrapped_by: key.clone(), context: context.clone() };
        lock(&self.keys).insert(wrapped.clone(), kept);
        Ok(wrapped)
    }

    /// The data key that a request gives wrapped, where the context is its own and the KMS key, if
    /// one is named, too.
    fn opened(&self, body: &Value, context: &str, key: &str) -> Result<DataKey, &'static str> {
        let wrapped = body["CiphertextBlob"].as_str().unwrap_or_default();
        let found = lock(&self.keys).get(wrapped).cloned().ok_or("InvalidCiphertextException")?;
        if !body[key].is_null() && body[key] != found.wrapped_by {
            return Err("IncorrectKeyException");
        }
        self.check_enabled(&found.wrapped_by)?;
        if body[context] == found.context { Ok(found) } else { Err("InvalidCiphertextException") }
    }

    fn check_enabled(&self, key: &Value) -> Result<(), &'static str> {
        let is_disabled = key.as_str().is_some_and(|key| lock(&self.disabled).contains(key));
        if is_disabled { Err("DisabledException") } else { Ok(()) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
