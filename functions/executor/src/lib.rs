//! The executor: claims executions, opens just the secrets that they refer to, runs the component,
//! scrubs and records.
//!
//! The only function that links `vault_open` for organization secrets and the guarded client. A
//! secret's value lives in this process from opening to the end of its batch, and leaves it only
//! towards the target.

mod claims;
mod component_set;
mod credential;
mod edges;
mod fields;
mod finisher;
mod host;
#[cfg(test)]
mod hostile;
mod outcome;
mod place;
mod quarantine;
mod redact;
mod run;
mod scrub_outcome;
mod secret_problem;
mod secrets;
mod serve;

use std::sync::Arc;

use domain::ids::{ExecutionId, OrganizationId};
use domain::limits::OUTAGE_WAKE_SECONDS;
use domain::message::Message;
use domain::share::Share;
use domain::times::Times;
use http_guard::GuardedClient;
use process::{BatchResponse, Clock, Deadline, Ids, Metrics, SqsBatch};
use queue::{Outgoing, Queue};
use store::{FreedSlot, Settled, Store, StoreError};
use vault_open::Opener;

pub use component_set::{ComponentSet, Render};
pub use credential::TokenCache;
pub use edges::EdgesCache;
pub use serve::serve;

/// The dependencies of the executor, made once.
pub struct Deps {
    /// Postgres.
    pub store: Store,
    /// The queues.
    pub queue: Queue,
    /// The source of ids.
    pub ids: Ids,
    /// Invocations of which one organization may have something; None: any number.
    pub share: Option<Share>,
    /// Edges of workflows by version.
    pub edges: EdgesCache,
    /// Counters for the operator.
    pub metrics: Metrics,
    /// The dependencies of what runs an execution.
    pub run: RunDeps,
}

/// The dependencies of what runs an execution. It has secrets in its hands, and so neither Postgres
/// nor a queue is among them.
pub struct RunDeps {
    /// Opens secrets.
    pub opener: Opener,
    /// Calls the outside world.
    pub client: Arc<GuardedClient>,
    /// Tokens of issuers.
    pub tokens: Arc<TokenCache>,
    /// Components and the renderer.
    pub components: ComponentSet,
    /// The clock.
    pub clock: Clock,
    /// The times of claims.
    pub times: Times,
}

/// Handles one batch of messages and names those to deliver again.
pub async fn handle(batch: SqsBatch, deadline: Deadline, deps: &Deps) -> BatchResponse {
    let mut response = BatchResponse::default();
    let (mut ids, mut messages) = (Vec::new(), Vec::new());
    for received in batch.into_received() {
        match received.message {
            Ok(Message::Execution { execution_id }) => {
                ids.push(execution_id);
                messages.push((received.message_id, execution_id, received.organization_id));
            }
            // A wake of the builder belongs to the other queue; here it says nothing.
            Ok(
                Message::Event { .. }
                | Message::Node { .. }
                | Message::Wake { .. }
                | Message::Run { .. }
                | Message::Schedule { .. },
            ) => {}
            Err(error) => {
                tracing::error!(message_id = received.message_id, %error, "a message can't be read; it goes to the dead-letter queue");
                response.fail(received.message_id);
            }
        }
    }
    ids.sort_unstable();
    ids.dedup();
    match claims::execute_batch(&ids, deadline, deps).await {
        // Quarantined executions run after the others are safe.
        Ok(quarantined) => quarantine::execute_alone(quarantined, deadline, deps).await,
        Err(error) => put_off(messages, &error, &mut response, deps).await,
    }
    response
}

/// Has messages delivered again. Where something of ours failed they are sent anew instead, and
/// acked: SQS gives a message back only after its visibility, which is many times what an
/// invocation may take.
async fn put_off(
    messages: Vec<(String, ExecutionId, Option<OrganizationId>)>,
    error: &StoreError,
    response: &mut BatchResponse,
    deps: &Deps,
) {
    tracing::warn!(%error, messages = messages.len(), "the batch failed; its messages are sent again");
    let delay_seconds =
        if error.is_lock_timeout() { claims::LOCKED_WAKE_SECONDS } else { OUTAGE_WAKE_SECONDS };
    let mut again = Vec::new();
    for (message_id, execution_id, organization_id) in messages {
        match organization_id {
            Some(organization_id) if error.is_infrastructure() => {
                let message = Message::Execution { execution_id };
                again.push((message_id, Outgoing { organization_id, message, delay_seconds }));
            }
            _ => response.fail(message_id),
        }
    }
    deps.queue.send_again(again).await.into_iter().for_each(|message_id| response.fail(message_id));
}

/// Sends after a commit; what could not be sent is the sweeper's.
async fn send(messages: Vec<Outgoing>, deps: &Deps) {
    let report = deps.queue.send(messages).await;
    if !report.unsent.is_empty() {
        tracing::warn!(unsent = report.unsent.len(), "messages were not sent; the sweeper sends them again");
    }
}

/// The messages for failed runs of which triggers of the type `on_error` are to be told, and for joins
/// that may decide.
fn settled_wakes(settled: &Settled) -> impl Iterator<Item = Outgoing> + '_ {
    settled.wakes().map(|(organization_id, message)| Outgoing::now(organization_id, message))
}

fn freed_wakes(freed: Vec<FreedSlot>) -> impl Iterator<Item = Outgoing> {
    freed.into_iter().map(|slot| Outgoing::now(slot.organization_id, slot.wake()))
}
