//! Runs claimed executions concurrently, and records each as soon as it has ended and the finisher
//! is free. A slow component never delays the outcomes of other executions.

use std::time::{Duration, Instant};

use domain::execution::{ExecutionResult, ResultReason};
use domain::function::Function;
use domain::ids::{EventId, ExecutionId, LeaseToken, OrganizationId, WorkflowId};
use domain::message::Message;
use domain::routing::targets;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::SignedDuration;
use process::{Deadline, Metric};
use queue::Outgoing;
use store::executor::{
    ClaimedExecution, FinishKind, FinishRow, FinishedBatch, FinishedExecution, NewOutput, finish_executions,
};
use store::{LockMode, StoreError, record_heartbeat};
use tokio::sync::mpsc;

use crate::claims::{Claimed, delayed};
use crate::edges::edges_of;
use crate::outcome::{Decision, Ended, decide};
use crate::run::run_execution;
use crate::secrets::{OpenedSecrets, open_secrets};
use crate::{Deps, RunDeps, freed_wakes, send, settled_wakes};

/// The most routings of one outcome: an apply in between makes another routing necessary.
const ROUTES_MAX: u32 = 3;
/// The pause between two tries to record outcomes that another transaction's locks block.
const LOCKED_PAUSE: Duration = Duration::from_millis(100);
/// The last part of an invocation, in which no outcome is tried again.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// The most tries to record outcomes while the database is away. After them the leases lapse, and
/// the sweeper takes over.
const RECORD_TRIES_MAX: u32 = 4;

/// Runs the claimed executions and records their outcomes. Returns when no execution runs and no
/// outcome waits.
pub async fn run_and_finish(claimed: Claimed, deadline: Deadline, deps: &Deps) {
    let Claimed { mut claims, since, token } = claimed;
    if claims.executions.is_empty() {
        return;
    }
    let (plain, secret): (Vec<_>, Vec<_>) =
        claims.executions.into_iter().partition(|execution| !execution.has_secrets());
    claims.executions = secret;
    let (sender, mut receiver) = mpsc::unbounded_channel::<Ended>();
    let run_all = async {
        let no_secrets = OpenedSecrets::default();
        // Executions without secrets do not wait for KMS.
        tokio::join!(run_each(plain, since, &no_secrets, &sender, &deps.run), async {
            let opened = open_secrets(&claims, &deps.run).await;
            run_each(claims.executions, since, &opened, &sender, &deps.run).await;
        });
        drop(sender);
    };
    let record_all = Finisher { since, deadline, token, locked: Vec::new(), deps }.record_all(&mut receiver);
    // Both run on this task, so nothing outlives the invocation.
    tokio::join!(run_all, record_all);
}

async fn run_each(
    executions: Vec<ClaimedExecution>,
    since: Instant,
    opened: &OpenedSecrets,
    sender: &mpsc::UnboundedSender<Ended>,
    deps: &RunDeps,
) {
    let mut running: FuturesUnordered<_> =
        executions.into_iter().map(|execution| run_execution(execution, since, opened, deps)).collect();
    while let Some(ended) = running.next().await {
        // The receiver lives until the sender is dropped.
        let _ = sender.send(ended);
    }
}

/// An outcome on its way to be recorded.
struct Recording {
    execution_id: ExecutionId,
    workflow_id: WorkflowId,
    organization_id: OrganizationId,
    workflow_version: i64,
    is_limited: bool,
    node_id: String,
    component: String,
    event_id: EventId,
    duration: SignedDuration,
    decision: Decision,
}

/// Records outcomes as they come. An outcome whose node or execution another transaction holds is
/// tried again until its lease ends. It delays the other outcomes by no more than
/// [`store::executor::FINISH_WAIT_MILLIS`] for each locked node.
struct Finisher<'a> {
    /// An instant before the leases began.
    since: Instant,
    deadline: Deadline,
    token: LeaseToken,
    /// Outcomes that wait for another transaction's lock.
    locked: Vec<Recording>,
    deps: &'a Deps,
}

impl Finisher<'_> {
    async fn record_all(mut self, receiver: &mut mpsc::UnboundedReceiver<Ended>) {
        while let Some(ended) = self.next(receiver).await {
            if !ended.is_empty() {
                let recordings = ended.into_iter().map(|ended| self.recording(ended)).collect();
                self.record(recordings).await;
                continue;
            }
            let locked = std::mem::take(&mut self.locked);
            if self.is_over() {
                let ids: Vec<ExecutionId> = locked.iter().map(|recording| recording.execution_id).collect();
                tracing::warn!(
                    ?ids,
                    "outcomes could not be recorded before their lease ended; they are dropped"
                );
            } else {
                self.record(locked).await;
            }
        }
    }

    /// The outcomes since the last call. None: all outcomes are recorded. Empty: no execution ended
    /// during a pause, and an outcome waits for a lock.
    async fn next(&self, receiver: &mut mpsc::UnboundedReceiver<Ended>) -> Option<Vec<Ended>> {
        let mut ended = Vec::new();
        if self.locked.is_empty() {
            ended.push(receiver.recv().await?);
        } else {
            tokio::select! {
                Some(first) = receiver.recv() => ended.push(first),
                () = tokio::time::sleep(LOCKED_PAUSE) => {}
            }
        }
        while let Ok(more) = receiver.try_recv() {
            ended.push(more);
        }
        Some(ended)
    }

    /// Whether the leases have ended, or the invocation nearly has.
    fn is_over(&self) -> bool {
        let lease = Duration::from_secs(u64::from(self.deps.run.times.lease_seconds));
        self.since.elapsed() >= lease || self.deadline.left() < LAST_MOMENT
    }

    /// Records the free outcomes, then the locked ones node by node. Outcomes that are still locked
    /// are kept in `self.locked`.
    async fn record(&mut self, recordings: Vec<Recording>) {
        let mut locked = record(recordings, LockMode::SkipLocked, self.token, self.deps).await;
        while let Some(first) = locked.first() {
            let node = (first.workflow_id, first.node_id.clone());
            let (of_node, others) = locked
                .into_iter()
                .partition(|recording| (recording.workflow_id, &recording.node_id) == (node.0, &node.1));
            locked = others;
            self.locked.extend(record(of_node, LockMode::Wait, self.token, self.deps).await);
        }
    }

    fn recording(&self, ended: Ended) -> Recording {
        Recording {
            execution_id: ended.execution.id,
            workflow_id: ended.execution.workflow_id,
            organization_id: ended.execution.organization_id,
            workflow_version: ended.execution.workflow_version,
            is_limited: ended.execution.is_limited,
            node_id: ended.execution.node_id.clone(),
            component: ended.execution.component.clone(),
            event_id: self.deps.ids.next(self.deps.run.clock.now()),
            duration: ended.finished_at.duration_since(ended.started_at),
            decision: decide(ended, jitter(self.deps)),
        }
    }
}

/// Records outcomes. Returns those that another transaction's locks blocked.
async fn record(
    recordings: Vec<Recording>,
    mode: LockMode,
    token: LeaseToken,
    deps: &Deps,
) -> Vec<Recording> {
    let refused = match record_batch(&recordings, mode, token, deps).await {
        Ok(locked) => {
            return recordings.into_iter().filter(|one| locked.contains(&one.execution_id)).collect();
        }
        Err(Refused) => recordings,
    };
    // One row was refused. Each outcome is recorded alone, and the one that is refused alone
    // becomes a failed execution.
    tracing::warn!(outcomes = refused.len(), "the database refused outcomes; they are recorded one by one");
    let mut locked = Vec::new();
    for recording in refused {
        let one = std::slice::from_ref(&recording);
        let is_locked = match record_batch(one, mode, token, deps).await {
            Ok(ids) => !ids.is_empty(),
            Err(Refused) => {
                let failed = without_output(recording);
                let result = record_batch(std::slice::from_ref(&failed), mode, token, deps).await;
                if result.is_ok_and(|ids| !ids.is_empty()) {
                    locked.push(failed);
                }
                continue;
            }
        };
        if is_locked {
            locked.push(recording);
        }
    }
    locked
}

/// The database refused a row, as [`StoreError::Rejected`] says.
struct Refused;

/// A random number in 0..=1.
fn jitter(deps: &Deps) -> f64 {
    let (high, _) = deps.ids.random::<uuid::Uuid>().as_u64_pair();
    #[expect(clippy::cast_precision_loss, reason = "a random fraction needs no more than 53 bits")]
    let fraction = (high >> 11) as f64 / (1_u64 << 53) as f64;
    fraction
}

/// The failure that replaces an outcome that the database refuses.
fn without_output(recording: Recording) -> Recording {
    let message = "the database refused the output; look for unusual characters or sizes in it".to_owned();
    let kind = FinishKind::End { result: ExecutionResult::Failed, reason: Some(ResultReason::Limit) };
    Recording {
        decision: Decision {
            kind,
            message: Some(message),
            record: None,
            facts: None,
            output: None,
            redactions: None,
        },
        ..recording
    }
}

/// Records outcomes in one transaction, and routes them again where the workflow was applied
/// meanwhile. Returns the executions that other transactions hold.
async fn record_batch(
    recordings: &[Recording],
    mode: LockMode,
    token: LeaseToken,
    deps: &Deps,
) -> Result<Vec<ExecutionId>, Refused> {
    let mut locked = Vec::new();
    let mut open: Vec<&Recording> = recordings.iter().collect();
    let (mut routes, mut tries) = (1, 1);
    let mut versions: Vec<(WorkflowId, i64)> =
        open.iter().map(|one| (one.workflow_id, one.workflow_version)).collect();
    while !open.is_empty() {
        match record_once(&open, &versions, mode, token, deps).await {
            Ok(finished) => {
                open = settle(open, finished, &mut locked, deps).await;
                // The recordings that are still open were routed with an old version: the next try
                // asks for a newer one.
                for (_, version) in &mut versions {
                    *version += 1;
                }
                routes += 1;
                if routes > ROUTES_MAX {
                    break;
                }
            }
            Err(StoreError::Rejected { .. }) => return Err(Refused),
            Err(error) if error.is_lock_timeout() => {
                locked.extend(open.iter().map(|recording| recording.execution_id));
                break;
            }
            Err(error) if tries < RECORD_TRIES_MAX => {
                tracing::warn!(%error, tries, "outcomes could not be recorded; trying again");
                tokio::time::sleep(Duration::from_millis(200 << tries)).await;
                tries += 1;
            }
            Err(error) => {
                tracing::error!(%error, executions = open.len(), "outcomes could not be recorded; their leases will lapse");
                break;
            }
        }
    }
    Ok(locked)
}

async fn record_once(
    open: &[&Recording],
    versions: &[(WorkflowId, i64)],
    mode: LockMode,
    token: LeaseToken,
    deps: &Deps,
) -> Result<FinishedBatch, StoreError> {
    let edges = edges_of(versions, deps).await?;
    let now = deps.run.clock.now();
    let rows: Vec<FinishRow> = open
        .iter()
        .filter_map(|recording| {
            let (version, edges) = edges.get(&recording.workflow_id)?;
            let Decision { kind, message, record, facts, output, redactions } = &recording.decision;
            let output = output.as_ref().map(|(channel, data)| NewOutput {
                event_id: recording.event_id,
                channel: channel.clone(),
                event_type: format!("{}.{channel}", recording.component),
                data: data.clone(),
                redactions: redactions.clone(),
                targets: targets(edges, &recording.node_id, channel)
                    .map(|target| (target.to_owned(), deps.ids.next(now)))
                    .collect(),
            });
            Some(FinishRow {
                execution_id: recording.execution_id,
                token,
                workflow_version: *version,
                kind: *kind,
                message: message.clone(),
                attempt_record: record.clone(),
                facts: facts.clone(),
                output,
                // A newer version may have given the node a limit.
                may_have_limit: recording.is_limited || *version != recording.workflow_version,
            })
        })
        .collect();
    let rows = &rows;
    deps.store
        .run_tx("finish_executions", |tx| async move { finish_executions(&tx, rows, mode, now).await })
        .await
}

fn measure(recording: &Recording, deps: &Deps) {
    if let FinishKind::End { result, .. } = recording.decision.kind {
        let metric = if result == ExecutionResult::Passed {
            Metric::ExecutionsPassed
        } else {
            Metric::ExecutionsFailed
        };
        deps.metrics.count(metric, 1);
    }
    deps.metrics.add(Metric::ExecutionSeconds, recording.duration.as_secs_f64());
}

/// Sends the messages of the recorded outcomes. Returns the recordings to route again, and adds the
/// executions that other transactions hold to `locked`.
async fn settle<'a>(
    open: Vec<&'a Recording>,
    finished: FinishedBatch,
    locked: &mut Vec<ExecutionId>,
    deps: &Deps,
) -> Vec<&'a Recording> {
    let mut messages: Vec<Outgoing> = freed_wakes(finished.freed).collect();
    messages.extend(settled_wakes(&finished.settled));
    let (mut again, mut has_recorded) = (Vec::new(), false);
    for outcome in finished.outcomes {
        let (FinishedExecution::Recorded { id, .. }
        | FinishedExecution::LeaseLost(id)
        | FinishedExecution::VersionMoved(id)
        | FinishedExecution::Locked(id)) = outcome.clone();
        let Some(recording) = open.iter().find(|recording| recording.execution_id == id) else { continue };
        match outcome {
            FinishedExecution::VersionMoved(_) => again.push(*recording),
            FinishedExecution::Locked(_) => locked.push(id),
            FinishedExecution::LeaseLost(_) => {
                tracing::warn!(execution_id = %id, "the lease was lost; this outcome is dropped");
            }
            FinishedExecution::Recorded { is_routed, error_event_ids, .. } => {
                has_recorded = true;
                measure(recording, deps);
                tracing::info!(
                    execution_id = %id,
                    workflow_id = %recording.workflow_id,
                    organization_id = %recording.organization_id,
                    "recorded"
                );
                for event_id in is_routed.then_some(recording.event_id).into_iter().chain(error_event_ids) {
                    messages.push(Outgoing::now(recording.organization_id, Message::Event { event_id }));
                }
                if let FinishKind::Retry { wait_seconds, .. } = recording.decision.kind {
                    #[expect(clippy::cast_possible_truncation, reason = "a day in milliseconds fits by far")]
                    let millis = (wait_seconds * 1000.0).ceil() as i64;
                    messages.extend(delayed(id, recording.organization_id, millis));
                }
            }
        }
    }
    send(messages, deps).await;
    if has_recorded
        && let Err(error) = record_heartbeat(&deps.store, Function::Executor, deps.run.clock.now()).await
    {
        tracing::warn!(%error, "the heartbeat was not noted");
    }
    again
}
