//! The builder: turns queue items into executions that hold only secret references.
//!
//! One invocation takes a batch of wakes and goes through claim, load, plan, write, commit, send.
//! The plan is a pure function ([`plan::plan`]), and `transaction` runs it. The builder calls no
//! KMS and has no secret's value.

mod batch;
mod calls;
mod component_set;
mod concurrency_keys;
pub mod definitions;
mod failed_runs;
mod held;
mod load_request;
mod outputs;
pub mod plan;
mod quarantine;
mod reach;
mod runs;
mod schedules;
mod search;
mod serve;
mod transaction;
mod trigger;
mod wakes;

use std::collections::BTreeMap;
use std::time::Duration;

use domain::function::Function;
use domain::ids::{ExecutionId, OrganizationId, RunId};
use domain::limits::OUTAGE_WAKE_SECONDS;
use domain::message::Message;
use process::{BatchResponse, Clock, Deadline, Ids, Metric, Metrics, Received, SqsBatch};
use queue::{Outgoing, Queue};
use store::builder::Wakes;
use store::{NodeKey, Store, StoreError};

use crate::definitions::Definitions;
use crate::transaction::{BatchError, BatchOutcome};
use crate::wakes::LOCKED_WAKE_SECONDS;

pub use component_set::ComponentSet;
pub use serve::serve;
pub use transaction::PLAN_TIME_MAX;

/// The dependencies of the builder, made once.
pub struct Deps {
    /// Postgres.
    pub store: Store,
    /// The queues.
    pub queue: Queue,
    /// Counters for the operator.
    pub metrics: Metrics,
    /// The dependencies of the work within a transaction.
    pub plan: PlanDeps,
}

/// The dependencies of the work within a transaction. Neither Postgres nor a queue is among them:
/// this work begins no other transaction, and messages are sent after the commit.
pub struct PlanDeps {
    /// The clock.
    pub clock: Clock,
    /// The source of ids.
    pub ids: Ids,
    /// Definitions of workflows by version.
    pub definitions: Definitions,
    /// The base URL of links.
    pub public_url: String,
    /// Components and evaluator.
    pub components: ComponentSet,
    /// The longest time for planning a batch: [`PLAN_TIME_MAX`], unless a test sets another.
    pub time_max: Duration,
}

/// Handles one batch of messages, and returns the ids of those to deliver again.
///
/// Only a failure of the infrastructure has a message delivered again. A bad record becomes a
/// failed execution.
pub async fn handle(batch: SqsBatch, deadline: Deadline, deps: &Deps) -> BatchResponse {
    let mut response = BatchResponse::default();
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    let (mut fresh_wakes, mut again_wakes) = (Vec::new(), Vec::new());
    let mut of_runs: BTreeMap<RunId, Vec<Received>> = BTreeMap::new();
    let mut of_schedules: BTreeMap<NodeKey, Vec<Received>> = BTreeMap::new();
    for received in batch.into_received() {
        match &received.message {
            Err(error) => {
                tracing::error!(message_id = received.message_id, %error, "a message can't be read; it goes to the dead-letter queue");
                response.fail(received.message_id);
            }
            Ok(Message::Wake { .. }) if received.is_redelivered => again_wakes.push(received),
            Ok(Message::Wake { .. }) => fresh_wakes.push(received),
            Ok(Message::Run { run_id }) => of_runs.entry(*run_id).or_default().push(received),
            Ok(Message::Schedule { workflow_id, node_id }) => {
                of_schedules.entry((*workflow_id, node_id.clone())).or_default().push(received);
            }
            Ok(_) if received.is_redelivered => again.push(received),
            Ok(_) => fresh.push(received),
        }
    }
    let (mut quarantined, mut later) = (Vec::new(), Vec::new());
    match batch::build(&wakes_of(&fresh), deps).await {
        Ok(built) => {
            (quarantined, later) = (built.quarantined, built.again);
            if built.is_cut {
                later.extend(fresh.iter().filter_map(once_more));
            }
        }
        Err(BatchError::Store(error)) => put_off(fresh, &error, &mut response, deps).await,
    }
    let wakes: Vec<(ExecutionId, String)> =
        again_wakes.iter().chain(&fresh_wakes).filter_map(message_of_wake).collect();
    let (mut held_quarantined, fresh_woken) = (woken(&again_wakes), woken(&fresh_wakes));
    let ids: Vec<ExecutionId> = fresh_woken.keys().copied().collect();
    match held::wake(&ids, deps).await {
        Ok(ids) => held_quarantined.extend(fresh_woken.into_iter().filter(|(id, _)| ids.contains(id))),
        Err(error) => put_off(fresh_wakes, &error, &mut response, deps).await,
    }
    for (run_id, received) in of_runs {
        if let Err(error) = runs::look_at(run_id, deadline, deps).await {
            put_off(received, &error, &mut response, deps).await;
        }
    }
    for (key, received) in of_schedules {
        if let Err(error) = schedules::look_at(&key, deps).await {
            put_off(received, &error, &mut response, deps).await;
        }
    }
    // Quarantined items are built after the other items are committed.
    match quarantine::build_quarantined(&wakes_of(&again), quarantined, later, deadline, deps).await {
        Ok(true) => {
            deps.queue.send(again.iter().filter_map(once_more).collect()).await;
        }
        Ok(false) => {}
        Err(BatchError::Store(error)) => put_off(again, &error, &mut response, deps).await,
    }
    let left = held::wake_each(&held_quarantined, deadline, deps).await;
    for (_, message_id) in wakes.into_iter().filter(|(id, _)| left.contains(id)) {
        response.fail(message_id);
    }
    response
}

fn message_of_wake(received: &Received) -> Option<(ExecutionId, String)> {
    match received.message {
        Ok(Message::Wake { execution_id }) => Some((execution_id, received.message_id.clone())),
        _ => None,
    }
}

/// The held executions that messages wake, each with the organization that the message names, if it
/// names one.
fn woken(received: &[Received]) -> BTreeMap<ExecutionId, Option<OrganizationId>> {
    let woken = received.iter().filter_map(|one| Some((message_of_wake(one)?.0, one.organization_id)));
    woken.collect()
}

/// A received message, to be sent again with a short delay. None if it can't be read or names no
/// organization.
fn once_more(received: &Received) -> Option<Outgoing> {
    Some(wakes::again(received.organization_id?, received.message.as_ref().ok()?.clone()))
}

/// Has messages delivered again. After a failure of the infrastructure they are sent anew and acked
/// instead: a redelivered message puts its item in quarantine, and an outage is no record's fault.
async fn put_off(received: Vec<Received>, error: &StoreError, response: &mut BatchResponse, deps: &Deps) {
    tracing::warn!(%error, messages = received.len(), "the batch failed; its messages are sent again");
    let delay_seconds = if error.is_lock_timeout() { LOCKED_WAKE_SECONDS } else { OUTAGE_WAKE_SECONDS };
    let mut again = Vec::new();
    for Received { message_id, message, organization_id, .. } in received {
        match (message, organization_id) {
            (Ok(message), Some(organization_id)) if error.is_infrastructure() => {
                again.push((message_id, Outgoing { organization_id, message, delay_seconds }));
            }
            _ => response.fail(message_id),
        }
    }
    deps.queue.send_again(again).await.into_iter().for_each(|message_id| response.fail(message_id));
}

fn wakes_of(received: &[Received]) -> Wakes {
    let mut wakes = Wakes::default();
    for Received { message, .. } in received {
        match message {
            Ok(Message::Event { event_id }) => wakes.event_ids.push(*event_id),
            Ok(Message::Node { workflow_id, node_id }) => wakes.nodes.push((*workflow_id, node_id.clone())),
            // Wakes, runs and schedules are handled elsewhere; an execution's message belongs to the
            // other queue.
            Ok(
                Message::Execution { .. }
                | Message::Wake { .. }
                | Message::Run { .. }
                | Message::Schedule { .. },
            )
            | Err(_) => {}
        }
    }
    wakes.event_ids.sort_unstable();
    wakes.event_ids.dedup();
    wakes.nodes.sort_unstable();
    wakes.nodes.dedup();
    wakes
}

impl BatchOutcome {
    /// Sends the messages of a committed transaction. The sweeper sends again for those that fail.
    async fn send(&mut self, deps: &Deps) {
        deps.metrics.count(Metric::ItemsBuilt, std::mem::take(&mut self.items));
        let report = deps.queue.send(std::mem::take(&mut self.messages)).await;
        if !report.unsent.is_empty() {
            tracing::warn!(
                unsent = report.unsent.len(),
                "messages were not sent; the sweeper sends them again"
            );
        }
        if self.has_written {
            let noted = store::record_heartbeat(&deps.store, Function::Builder, deps.plan.clock.now()).await;
            if let Err(error) = noted {
                tracing::warn!(%error, "the heartbeat was not noted");
            }
        }
    }
}
