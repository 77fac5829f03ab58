//! The builder: turns queue items into executions that hold only secret references.
//!
//! One invocation takes a batch of wakes and goes through claim, load, plan, write, commit, send. The plan is a
//! pure function ([`plan::plan`]); [`batch`] is the transaction around it. There is no KMS here and no secret's value.

pub mod batch;
pub mod definitions;
mod parts;
pub mod plan;
mod reach;
mod resolve;
mod serve;
mod suspects;

use domain::function::Function;
use process::{BatchResponse, Clock, Deadline, Ids, Metric, Metrics, Received, SqsBatch};
use queue::Queue;
use store::Store;
use store::builder::Wakes;

use crate::batch::{BatchError, Built};
use crate::definitions::Definitions;

pub use parts::Parts;
pub use serve::serve;

/// What the builder works with; made once.
pub struct Deps {
    /// Postgres.
    pub store: Store,
    /// The queues.
    pub queue: Queue,
    /// The clock.
    pub clock: Clock,
    /// The source of ids.
    pub ids: Ids,
    /// Definitions of workflows by version.
    pub definitions: Definitions,
    /// The base of links.
    pub public_url: String,
    /// Components and evaluator.
    pub parts: Parts,
    /// Counters for the operator.
    pub metrics: Metrics,
}

/// Handles one batch of messages and names those to deliver again.
///
/// Only trouble with the infrastructure has a message delivered again; whatever is wrong with a record becomes a failed execution.
pub async fn handle(batch: SqsBatch, deadline: Deadline, deps: &Deps) -> BatchResponse {
    let mut response = BatchResponse::default();
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for received in batch.into_received() {
        match &received.message {
            Err(error) => {
                tracing::error!(message_id = received.message_id, %error, "a message can't be read; it goes to the dead-letter queue");
                response.fail(received.message_id);
            }
            Ok(_) if received.is_redelivered => again.push(received),
            Ok(_) => fresh.push(received),
        }
    }
    let (mut suspects, mut later) = (Vec::new(), Vec::new());
    let (wakes, message_ids) = wakes_of(fresh);
    match batch::build(&wakes, deps).await {
        Ok(built) => (suspects, later) = (built.suspects, built.again),
        Err(error) => fail_all(&mut response, message_ids, &error),
    }
    // Items that were at work before are built alone, after the others are safe.
    let (wakes, message_ids) = wakes_of(again);
    let built = suspects::build_alone(&wakes, suspects, later, deadline, deps).await;
    if let Err(error) = built {
        fail_all(&mut response, message_ids, &error);
    }
    response
}

fn fail_all(response: &mut BatchResponse, message_ids: Vec<String>, error: &BatchError) {
    tracing::warn!(%error, messages = message_ids.len(), "the batch is delivered again");
    for message_id in message_ids {
        response.fail(message_id);
    }
}

fn wakes_of(received: Vec<Received>) -> (Wakes, Vec<String>) {
    use domain::message::Message;
    let (mut wakes, mut message_ids) = (Wakes::default(), Vec::new());
    for Received { message_id, message, .. } in received {
        match message {
            Ok(Message::Event { event_id }) => wakes.event_ids.push(event_id),
            Ok(Message::Node { workflow_id, node_id }) => wakes.nodes.push((workflow_id, node_id)),
            // An execution's message belongs to the other queue; here it says nothing.
            Ok(Message::Execution { .. }) | Err(_) => continue,
        }
        message_ids.push(message_id);
    }
    wakes.event_ids.sort_unstable();
    wakes.event_ids.dedup();
    wakes.nodes.sort_unstable();
    wakes.nodes.dedup();
    (wakes, message_ids)
}

impl Built {
    /// Sends what was committed; what could not be sent is the sweeper's.
    async fn send(&mut self, deps: &Deps) {
        deps.metrics.count(Metric::ItemsBuilt, std::mem::take(&mut self.items));
        let report = deps.queue.send(std::mem::take(&mut self.messages)).await;
        if !report.unsent.is_empty() {
            tracing::warn!(
                unsent = report.unsent.len(),
                "messages were not sent; the sweeper makes them good"
            );
        }
        if self.has_written {
            let noted =
                store::executor::record_heartbeat(&deps.store, Function::Builder, deps.clock.now()).await;
            if let Err(error) = noted {
                tracing::warn!(%error, "the heartbeat was not noted");
            }
        }
    }
}
