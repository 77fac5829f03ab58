//! Callbacks: a job is told an address and calls it, in time or not, once or twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use local::target::Target;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::shapes::{Begin, Shape};

/// The name of the shape, with which the names of its workflows begin.
const NAME: &str = "answered";

/// Every fourth address is never called, and every other one is called twice.
pub(super) const ANSWERED: Shape = Shape { name: NAME, begin: Begin::ByHand, definition: CALLBACKS };

const CALLBACKS: &str = r"
name: NAME
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: ask, name: Ask, component: wait_for_callback, configuration: { expires: 5 } }
  - { id: tell, name: Tell, component: http, concurrency: 10, configuration: { method: POST, url: 'TARGET/NAME/tell', body: { json: { url: '{{ previous().data.callback_url }}', n: '{{ root().data.n }}' } } } }
  - { id: came, name: Came, component: noop }
  - { id: gone, name: Gone, component: noop }
edges:
  - { from: start, to: ask }
  - { from: ask, channel: waiting, to: tell }
  - { from: ask, channel: received, to: came }
  - { from: ask, channel: expired, to: gone }
";

/// The pause between two looks at what the target was told.
const PAUSE: Duration = Duration::from_millis(100);
const CALL_MAX: Duration = Duration::from_secs(60);

/// The calls that were answered 202, by the number of their run.
pub(super) type Taken = BTreeMap<u64, usize>;

/// The job that the addresses are told to, until it is dropped.
pub(super) struct Job {
    taken: Arc<Mutex<Taken>>,
    task: AbortHandle,
}

impl Job {
    pub(super) fn start(target: Arc<Target>) -> Self {
        let taken = Arc::<Mutex<Taken>>::default();
        let shared = Arc::clone(&taken);
        let task = tokio::spawn(async move {
            let mut read = 0;
            let mut open: Vec<Told> = Vec::new();
            loop {
                let requests = target.requests_after(read);
                open.extend(requests.iter().filter_map(|request| told(&request.path, &request.body)));
                read += requests.len();
                let mut left = Vec::new();
                for told in open {
                    left.extend(call(told, &shared).await);
                }
                open = left;
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { taken, task: task.abort_handle() }
    }

    pub(super) fn taken(&self) -> Taken {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address, the number of its run, and the calls that are left to do.
struct Told {
    url: String,
    n: u64,
    calls: u64,
}

fn told(path: &str, body: &[u8]) -> Option<Told> {
    path.strip_prefix('/')?.starts_with(NAME).then_some(())?;
    let body: Value = serde_json::from_slice(body).ok()?;
    let n = body["n"].as_u64()?;
    let calls = if n % 4 == 0 { 0 } else { 1 + n % 2 };
    (calls > 0).then_some(Told { url: body["url"].as_str()?.to_owned(), n, calls })
}

/// Calls the address. Gives what is left to do: a call that got no clear answer is made again.
async fn call(told: Told, taken: &Mutex<Taken>) -> Option<Told> {
    let Told { url, n, calls } = told;
    let request = Request::post(&url)
        .header("content-type", "application/json")
        .body(Bytes::from(json!({ "n": n }).to_string()))
        .expect("a request");
    let left = match local::http::send(request, CALL_MAX).await.map(|answer| answer.status()) {
        Ok(StatusCode::ACCEPTED) => {
            *taken.lock().unwrap_or_else(PoisonError::into_inner).entry(n).or_default() += 1;
            calls - 1
        }
        Ok(StatusCode::GONE) => 0,
        _ => calls,
    };
    (left > 0).then_some(Told { url, n, calls: left })
}
