//! Runs that are tended during faults: waits are released, executions and runs are cancelled,
//! failures are redriven, and errors go to a handler.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use local::sealflow::Sealflow;
use serde_json::Value;
use tokio::task::AbortHandle;

use super::shapes::{Begin, Shape};

/// The name of the shape, with which the names of its workflows begin.
pub(super) const NAME: &str = "tended";

/// A shape with an approval, which people answer or not, and three waits: a short one, one behind a limit, and one that ends only by a release.
/// A cancel may find a list at work.
/// It has two failures: one that is redriven, and one that an edge takes.
pub(super) const SHAPE: Shape = Shape { name: NAME, begin: Begin::ByHand, definition: TENDED };

const TENDED: &str = r#"
name: NAME
nodes:
  - { id: start, name: Start, trigger: start }
  - { id: nap, name: Nap, component: wait, configuration: { for: 0.4 } }
  - { id: call, name: Call, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/call' } }
  - { id: rest, name: Rest, component: wait, concurrency: 2, configuration: { for: 0.2 } }
  - { id: end, name: End, component: noop }
  - { id: bad, name: Bad, component: http, concurrency: 10, configuration: { url: 'TARGET/NAME/bad/status/500' } }
  - { id: unresolvable, name: Unresolvable, component: http, configuration: { url: 'TARGET/NAME/unresolvable/{{ root().data.n.nothing.there }}' } }
  - { id: told, name: Told, component: noop }
  - { id: long, name: Long, component: wait, configuration: { for: 30 days } }
  - { id: ask, name: Ask, component: approval, configuration: { approvers: [{ anyone: true }], self: allow, expires: 3, message: 'n {{ root().data.n }}?' } }
  - { id: asked, name: Asked, component: noop }
  - { id: answered, name: Answered, component: noop }
  - { id: list, name: List, component: for_each, configuration: { items: [1, 2, 3] } }
  - { id: stay, name: Stay, component: wait, configuration: { for: 4 } }
  - { id: listed, name: Listed, component: noop }
edges:
  - { from: start, to: list }
  - { from: list, channel: item, to: stay }
  - { from: stay, to: list }
  - { from: list, channel: done, to: listed }
  - { from: start, to: nap }
  - { from: nap, to: call }
  - { from: call, channel: success, to: rest }
  - { from: rest, to: end }
  - { from: nap, to: bad }
  - { from: start, to: unresolvable }
  - { from: unresolvable, channel: error, to: told }
  - { from: start, to: long }
  - { from: start, to: ask }
  - { from: ask, channel: requested, to: asked }
  - { from: ask, channel: approved, to: answered }
  - { from: ask, channel: rejected, to: answered }
  - { from: ask, channel: expired, to: answered }
"#;

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_millis(200);

/// Tends the runs of all tenants, until it is dropped.
pub(super) struct Tending {
    calms_down: Arc<AtomicBool>,
    done: Arc<Mutex<BTreeMap<String, usize>>>,
    task: AbortHandle,
}

impl Tending {
    pub(super) fn start(sealflow: Arc<Sealflow>, tokens: Vec<String>, seed: u64) -> Self {
        let (calms_down, done) = (Arc::<AtomicBool>::default(), Arc::default());
        let tender = Tender { sealflow, calms_down: Arc::clone(&calms_down), done: Arc::clone(&done) };
        let task = tokio::spawn(async move {
            let mut dice = fastrand::Rng::with_seed(seed);
            loop {
                for (copy, token) in tokens.iter().enumerate() {
                    tender.tend(copy, token, &mut dice).await;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { calms_down, done, task: task.abort_handle() }
    }

    /// From now on everything is only let go, so that it ends.
    pub(super) fn calm_down(&self) {
        self.calms_down.store(true, Ordering::SeqCst);
    }

    /// Calls that were answered with success, by what they did.
    pub(super) fn done(&self) -> BTreeMap<String, usize> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Tending {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Tender {
    sealflow: Arc<Sealflow>,
    calms_down: Arc<AtomicBool>,
    done: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Tender {
    async fn tend(&self, copy: usize, token: &str, dice: &mut fastrand::Rng) {
        let workflow = format!("{NAME}-{copy}");
        let is_calm = self.calms_down.load(Ordering::SeqCst);
        let held = format!("/v1/executions?workflow={workflow}&node=long&state=held&limit=20");
        for execution in self.rows(token, &held, "executions").await {
            let (id, run) = (word(&execution, "id"), word(&execution, "run_id"));
            match dice.u32(..10) {
                _ if is_calm => self.post(token, &format!("/v1/executions/{id}/release")).await,
                0..=5 => self.post(token, &format!("/v1/executions/{id}/release")).await,
                6 | 7 => self.post(token, &format!("/v1/executions/{id}/cancel")).await,
                8 => self.post(token, &format!("/v1/runs/{run}/cancel")).await,
                _ => {}
            }
        }
        if is_calm {
            return;
        }
        for approval in self.rows(token, "/v1/approvals?limit=20", "approvals").await {
            let decision = match dice.u32(..10) {
                0..=2 => "approve",
                3 | 4 => "reject",
                _ => continue,
            };
            let path = format!("/v1/approvals/{}", word(&approval, "id"));
            self.post_with(token, &path, format!("{{\"decision\":\"{decision}\"}}")).await;
        }
        let letters = format!("/v1/dead-letters?workflow={workflow}&limit=20");
        for letter in self.rows(token, &letters, "dead_letters").await {
            if dice.u32(..10) < 2 {
                self.post(token, &format!("/v1/executions/{}/redrive", word(&letter, "id"))).await;
            }
        }
        for (node, of_ten) in [("rest", 1), ("list", 3)] {
            let held = format!("/v1/executions?workflow={workflow}&node={node}&state=held&limit=5");
            for execution in self.rows(token, &held, "executions").await {
                if dice.u32(..10) < of_ten {
                    self.post(token, &format!("/v1/executions/{}/cancel", word(&execution, "id"))).await;
                }
            }
        }
    }

    async fn rows(&self, token: &str, path: &str, name: &str) -> Vec<Value> {
        let answer = self.call(token, "GET", path, String::new()).await;
        answer.and_then(|answer| answer[name].as_array().cloned()).unwrap_or_default()
    }

    async fn post(&self, token: &str, path: &str) {
        self.post_with(token, path, "{}".to_owned()).await;
    }

    async fn post_with(&self, token: &str, path: &str, body: String) {
        // A later round does again what fails here, unless it has ended by then.
        if self.call(token, "POST", path, body).await.is_some() {
            let kind = path.trim_start_matches("/v1/").split('/').step_by(2).collect::<Vec<_>>().join(" ");
            *self.done.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
        }
    }

    async fn call(&self, token: &str, method: &str, path: &str, body: String) -> Option<Value> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.sealflow.gateway_url()))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Bytes::from(body))
            .expect("a request");
        let answer = local::http::send(request, Duration::from_secs(60)).await.ok()?;
        answer.status().is_success().then(|| serde_json::from_slice(answer.body()).expect("JSON"))
    }
}

fn word(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap_or_default().to_owned()
}
