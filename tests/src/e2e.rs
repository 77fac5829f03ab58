//! The whole product under test from outside: the real function binaries behind the Lambda runtime
//! API, real Postgres, SQS and KMS stand-ins, a front, and an outside world that remembers.
//!
//! A test file shares one [`Product`]; each test is a [`Story`] with an organization of its own, so
//! that stories run side by side. A story that has ended left nothing behind: no waiting item, no
//! active execution, no lease. Once no story is at work any more, the queues are empty. No secret
//! is found anywhere (I1).

pub mod cli;
pub mod issuer;
pub mod outside;
pub mod transcript;

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use local::leaks::{self, Place};
use local::sealflow::{Builder, Organization, Sealflow};
use local::stack::{Stack, StackOptions};
use serde_json::{Value, json};
use tokio::sync::{Mutex as AsyncMutex, OnceCell};

use crate::{WAIT_MAX, wait_for};
pub use cli::{Cli, Ended};
pub use outside::{Outside, Received, Reply};
pub use transcript::Transcript;

/// The longest time until a run ends: some runs have retries and leases of seconds.
pub const RUN_SECONDS_MAX: u64 = 120;
/// The longest time of one request.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// The pause between two looks at a run.
const LOOK_PAUSE: Duration = Duration::from_millis(25);

/// A running product with an outside world of two hosts.
pub struct Product {
    /// The product.
    pub sealflow: Sealflow,
    /// The host that workflows call.
    pub target: Outside,
    /// A host that may be called but never is. A request to it means that something broke out.
    pub other: Outside,
    stories: AtomicUsize,
    places: Mutex<Vec<(String, Vec<u8>)>>,
}

/// A product that the tests of one file share; each test has a runtime of its own.
///
/// Each function's role may have few connections, for all products together. So the start of a
/// product stops every product that no test holds.
pub struct Shared {
    product: Mutex<Option<Arc<Product>>>,
    starts: AsyncMutex<()>,
}

/// The shared products that were started.
static SHARED: Mutex<Vec<&'static Shared>> = Mutex::new(Vec::new());

impl Shared {
    /// Nothing is started yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { product: Mutex::new(None), starts: AsyncMutex::const_new(()) }
    }

    /// The product; `choose` is asked at each start.
    pub async fn get(&'static self, choose: impl FnOnce(Builder) -> Builder) -> Arc<Product> {
        let _one_at_a_time = self.starts.lock().await;
        if let Some(product) = lock(&self.product).clone() {
            return product;
        }
        let product = Arc::new(Product::start(choose).await);
        *lock(&self.product) = Some(Arc::clone(&product));
        let mut shared = lock(&SHARED);
        if !shared.iter().any(|known| std::ptr::eq(*known, self)) {
            shared.push(self);
        }
        product
    }
}

/// Stops the shared products that no test holds.
fn stop_idle_products() {
    for shared in lock(&SHARED).iter() {
        let idle = lock(&shared.product).take_if(|product| Arc::strong_count(product) == 1);
        drop(idle);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}

impl Product {
    /// Starts a product whose executor may call the two hosts of its outside world.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(choose: impl FnOnce(Builder) -> Builder) -> Self {
        stop_idle_products();
        let (target, other) = (Outside::start().await, Outside::start().await);
        let builder = Sealflow::builder()
            .stack(stack().await)
            .no_organization()
            .http_allow(target.host_port())
            .http_allow(other.host_port());
        let sealflow = choose(builder).start().await.expect("the product starts");
        Self { sealflow, target, other, stories: AtomicUsize::new(0), places: Mutex::default() }
    }

    /// An organization of its own for a test.
    ///
    /// # Panics
    /// When it can't be made.
    pub async fn story(&self, name: &str) -> Story<'_> {
        self.stories.fetch_add(1, Ordering::SeqCst);
        let organization = self.sealflow.bootstrap(name).await.expect("an organization is made");
        Story { product: self, organization, counted: Counted(&self.stories) }
    }

    /// Adds a place that the leak check searches, such as the output of a command.
    pub fn add_place(&self, name: &str, content: Vec<u8>) {
        lock(&self.places).push((name.to_owned(), content));
    }

    /// Checks I1: none of `secrets` is found in the database, logs, messages, answers and the added
    /// places, in any form.
    ///
    /// # Panics
    /// When a secret is found, or a place can't be read.
    pub async fn assert_no_leaks(&self, secrets: &[&str]) {
        let report = self.leaks(secrets).await;
        assert!(report.is_clean(), "{report}");
    }

    /// The report of the leak check.
    ///
    /// # Panics
    /// When a place can't be read.
    pub async fn leaks(&self, secrets: &[&str]) -> leaks::Report {
        let more = lock(&self.places).clone();
        let more = more.into_iter().map(|(name, content)| Place::new(name, content)).collect();
        leaks::check_everything(&self.sealflow, secrets, more).await.expect("every place is read")
    }

    /// Sends a request to the front. An answer of the API is compared with the API's document.
    ///
    /// # Panics
    /// When the front does not answer.
    pub async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let answer = local::http::send(request, REQUEST_MAX).await.expect("the front answers");
        if path.starts_with("/v1/") {
            crate::openapi::check_response(&method, &path, &answer);
        }
        answer
    }

    /// The ends of all functions' logs, for the message of a failed test.
    #[must_use]
    pub fn logs(&self) -> String {
        let ends = local::sealflow::FUNCTIONS
            .map(|function| format!("--- {function}\n{}", self.sealflow.end_of_log(function)));
        ends.join("\n")
    }
}

/// Postgres and ministack for all products of a test binary.
pub async fn stack() -> Arc<Stack> {
    static STACK: OnceCell<Arc<Stack>> = OnceCell::const_new();
    let start = || async {
        Arc::new(StackOptions::new().postgres().ministack().start().await.expect("the stack starts"))
    };
    Arc::clone(STACK.get_or_init(start).await)
}

/// Counts a story as at work until this is dropped, even by a panic.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One test's organization, with the actions of a user.
pub struct Story<'a> {
    /// The product that it is in.
    pub product: &'a Product,
    /// The organization and its token.
    pub organization: Organization,
    counted: Counted<'a>,
}

impl Story<'_> {
    /// A request to the API with the organization's token: status and JSON body (null when there is
    /// none).
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        self.call_with(method, path, "application/json", body).await
    }

    /// A request with a body of some type.
    ///
    /// # Panics
    /// When the answer is no JSON.
    pub async fn call_with(&self, method: &str, path: &str, content_type: &str, body: Bytes) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.product.sealflow.gateway_url()))
            .header("authorization", format!("Bearer {}", self.organization.token))
            .header("content-type", content_type)
            .body(body)
            .expect("method and path are a test's literals");
        let answer = self.product.send(request).await;
        (answer.status().as_u16(), json_of(&answer))
    }

    /// Gets a path that must exist.
    ///
    /// # Panics
    /// When the answer is not 200.
    pub async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.call("GET", path, None).await;
        assert_eq!(status, 200, "GET {path}: {answer}");
        answer
    }

    /// Applies a definition; gives the answer even if the definition is refused.
    pub async fn try_apply(&self, definition: &str) -> (u16, Value) {
        let body = Bytes::from(definition.to_owned());
        self.call_with("PUT", "/v1/workflows", "application/yaml", body).await
    }

    /// Applies a definition that has no errors; gives the answer.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn apply(&self, definition: &str) -> Value {
        let (status, answer) = self.try_apply(definition).await;
        assert_eq!(status, 200, "{answer:#}\n{definition}");
        answer
    }

    /// Sets a key of a secret, which may be sent anywhere.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn set_secret(&self, name: &str, key: &str, value: &str) {
        let body = json!({ "value": value, "hosts": [] });
        let (status, answer) = self.call("PUT", &format!("/v1/secrets/{name}/{key}"), Some(&body)).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Starts a run by hand; gives its id.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn start(&self, workflow: &str, data: Value) -> String {
        let body = json!({ "data": data });
        let (status, answer) =
            self.call("POST", &format!("/v1/workflows/{workflow}/runs"), Some(&body)).await;
        assert_eq!(status, 202, "{answer}");
        word(&answer["run_id"])
    }

    /// Waits until a run has ended; gives it as the API shows it.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(&self, run_id: &str) -> Value {
        let mut run = Value::Null;
        let ended = tokio::time::timeout(Duration::from_secs(RUN_SECONDS_MAX), async {
            loop {
                run = self.get(&format!("/v1/runs/{run_id}?limit=1")).await["run"].take();
                if run["state"] != "running" {
                    return;
                }
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        });
        if ended.await.is_err() {
            let executions = self.executions(run_id).await;
            panic!("the run does not end: {run:#}\n{executions:#?}\n{}", self.product.logs());
        }
        run
    }

    /// Starts a run by hand and waits for its end.
    pub async fn run(&self, workflow: &str, data: Value) -> Value {
        let id = self.start(workflow, data).await;
        self.ended(&id).await
    }

    /// The executions of a run, the oldest first.
    pub async fn executions(&self, run_id: &str) -> Vec<Value> {
        let mut answer = self.get(&format!("/v1/executions?run={run_id}&limit=200")).await;
        let Value::Array(mut executions) = answer["executions"].take() else { panic!("no list: {answer}") };
        executions.reverse();
        executions
    }

    /// The only execution of a node in a run.
    ///
    /// # Panics
    /// When there is none, or more than one.
    pub async fn execution(&self, run_id: &str, node_id: &str) -> Value {
        let mut found = self.executions(run_id).await;
        found.retain(|execution| execution["node_id"] == node_id);
        assert_eq!(found.len(), 1, "executions of {node_id}: {found:#?}");
        found.remove(0)
    }

    /// The only event that a node emitted in a run.
    ///
    /// # Panics
    /// When there is none, or more than one.
    pub async fn event(&self, run_id: &str, node_id: &str) -> Value {
        let mut answer = self.get(&format!("/v1/events?run={run_id}&node={node_id}")).await;
        let events = answer["events"].as_array().map_or(0, Vec::len);
        assert_eq!(events, 1, "events of {node_id}: {answer:#}");
        answer["events"][0].take()
    }

    /// Posts to a webhook.
    ///
    /// # Panics
    /// When the front does not answer.
    pub async fn post(&self, url: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> (u16, Value) {
        let mut request = Request::post(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer =
            self.product.send(request.body(body.into()).expect("the headers are a test's literals")).await;
        (answer.status().as_u16(), json_of(&answer))
    }

    /// The rows that intake has stored for the organization: root events, the work that waits or
    /// runs for them, and deduplication keys. The rows stay the same while that work goes on.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn stored(&self) -> String {
        let roots = format!(
            "SELECT id FROM workflow_events WHERE execution_id IS NULL AND workflow_id IN ({})",
            self.workflows()
        );
        let sql = format!(
            "SELECT (SELECT count(*) FROM ({roots}) root),
                (SELECT count(*) FROM workflow_node_queue_items WHERE event_id IN ({roots}))
                    + (SELECT count(*) FROM workflow_node_executions WHERE event_id IN ({roots})),
                (SELECT count(*) FROM webhook_deduplications d JOIN webhooks h ON h.id = d.webhook_id
                 WHERE h.workflow_id IN ({}))",
            self.workflows()
        );
        self.product.sealflow.sql(&sql).await.expect("the database answers")
    }

    /// SQL that selects the ids of the organization's workflows.
    #[must_use]
    pub fn workflows(&self) -> String {
        format!("SELECT id FROM workflows WHERE organization_id = '{}'", self.organization.id)
    }

    /// The end of a story: nothing waits, nothing is active and nothing holds a lease. The last
    /// story at work finds the queues empty. Neither the secrets nor the organization's token is
    /// found anywhere (I1).
    ///
    /// # Panics
    /// When something is left or found.
    pub async fn end(self, secrets: &[&str]) {
        let workflows = self.workflows();
        let sealflow = &self.product.sealflow;
        let sql = format!(
            "SELECT (SELECT count(*) FROM workflow_node_queue_items WHERE workflow_id IN ({workflows})),
                count(*), count(lease_token)
             FROM workflow_node_executions WHERE workflow_id IN ({workflows}) AND state <> 'finished'"
        );
        let left = sealflow.await_sql(&sql, "0|0|0", WAIT_MAX).await;
        left.unwrap_or_else(|error| panic!("left (items, active, leases): {error}\n{}", self.product.logs()));
        let Story { product, organization, counted } = self;
        drop(counted);
        if product.stories.load(Ordering::SeqCst) == 0 {
            // A queue hides the messages of a killed function for a while; this wait is longer.
            sealflow.await_empty_queues(2 * WAIT_MAX).await.expect("the queues are empty");
        }
        let secrets: Vec<&str> = secrets.iter().copied().chain([organization.token.as_str()]).collect();
        product.assert_no_leaks(&secrets).await;
    }
}

/// A JSON string's text; anything else is a mistake of the answer.
///
/// # Panics
/// When the value is no string.
#[must_use]
pub fn word(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// A random secret with characters that every encoding writes in a way of its own.
#[must_use]
pub fn make_secret(label: &str) -> String {
    let random = process::Ids::new().random::<uuid::Uuid>().simple().to_string();
    format!("{label}/{}+\"&<'%=\\{}", &random[..12], &random[12..])
}

/// A definition with the origins of the outside world in the place of `TARGET` and `OTHER`.
#[must_use]
pub fn placed(product: &Product, definition: &str) -> String {
    definition.replace("TARGET", &product.target.url()).replace("OTHER", &product.other.url())
}

/// `sha256=` and the HMAC-SHA256 of a body in hex, as GitHub signs.
#[must_use]
pub fn signature(key: &str, body: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
    format!("sha256={}", hex::encode(ring::hmac::sign(&key, body)))
}

/// Waits for a state of the outside world or the product; bounded.
pub async fn until<F: Future<Output = bool>>(what: &str, mut look: impl FnMut() -> F) {
    wait_for(what, || {
        let seen = look();
        async move { seen.await.then_some(()) }
    })
    .await;
}

fn json_of(answer: &Response<Bytes>) -> Value {
    if answer.body().is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(answer.body()).unwrap_or_else(|_| {
        panic!("{}: no JSON: {}", answer.status(), String::from_utf8_lossy(answer.body()))
    })
}
