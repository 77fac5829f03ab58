//! Runs claimed executions concurrently and records each as soon as it has ended and the finisher is free: a slow component never
//! holds back the others.

use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::SignedDuration;
use model::message::Message;
use model::outcome::ResultReason;
use model::routing::targets;
use process::Metric;
use queue::Outgoing;
use serde_json::json;
use store::StoreError;
use store::executor::{
    ClaimedExecution, FinishKind, FinishRow, FinishedExecution, FreedNode, NewOutput, finish_executions,
    record_heartbeat,
};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::claims::{Claimed, delayed};
use crate::edges::edges_of;
use crate::outcome::{Decision, Ended, decide};
use crate::run::run_execution;
use crate::secrets::{OpenedSecrets, open_secrets};
use crate::{Deps, freed_wakes, send};

/// Times that an outcome is routed anew because the workflow was applied meanwhile.
const ROUTES_MAX: u32 = 3;
/// Times that recording is tried while the database is away; then the lease lapses and the sweeper takes over.
const RECORD_TRIES_MAX: u32 = 4;

/// Runs everything that was claimed and records it. Returns when nothing of it is at work any more.
pub async fn run_and_finish(claimed: Claimed, deps: &Deps) {
    let Claimed { mut claims, since, token } = claimed;
    if claims.executions.is_empty() {
        return;
    }
    let (plain, secret): (Vec<_>, Vec<_>) =
        claims.executions.into_iter().partition(|execution| execution.residuals == json!([]));
    claims.executions = secret;
    let (sender, mut receiver) = mpsc::unbounded_channel::<Ended>();
    let run_all = async {
        let no_secrets = OpenedSecrets::default();
        // Executions without secrets do not wait for KMS.
        tokio::join!(run_each(plain, since, &no_secrets, &sender, deps), async {
            let opened = open_secrets(&claims, deps).await;
            run_each(claims.executions, since, &opened, &sender, deps).await;
        });
        drop(sender);
    };
    let record_all = async {
        while let Some(first) = receiver.recv().await {
            let mut ended = vec![first];
            while let Ok(more) = receiver.try_recv() {
                ended.push(more);
            }
            record(ended, token, deps).await;
        }
    };
    // Both on this task: nothing outlives the invocation.
    tokio::join!(run_all, record_all);
}

async fn run_each(
    executions: Vec<ClaimedExecution>,
    since: Instant,
    opened: &OpenedSecrets,
    sender: &mpsc::UnboundedSender<Ended>,
    deps: &Deps,
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
    execution_id: Uuid,
    workflow_id: Uuid,
    organization_id: Uuid,
    workflow_version: i64,
    node_id: String,
    component: String,
    event_id: Uuid,
    duration: SignedDuration,
    decision: Decision,
}

async fn record(ended: Vec<Ended>, token: Uuid, deps: &Deps) {
    let now = deps.clock.now();
    let recordings: Vec<Recording> = ended
        .into_iter()
        .map(|ended| Recording {
            execution_id: ended.execution.id,
            workflow_id: ended.execution.workflow_id,
            organization_id: ended.execution.organization_id,
            workflow_version: ended.execution.workflow_version,
            node_id: ended.execution.node_id.clone(),
            component: ended.execution.component.clone(),
            event_id: deps.ids.next(now),
            duration: ended.finished_at.duration_since(ended.started_at),
            decision: decide(ended, jitter(deps)),
        })
        .collect();
    if let Err(StoreError::Rejected { .. }) = record_batch(&recordings, token, deps).await {
        // One row was refused: each is recorded alone, and the one that fails alone fails for good.
        tracing::warn!(
            outcomes = recordings.len(),
            "the database refused outcomes; they are recorded one by one"
        );
        for recording in recordings {
            let one = std::slice::from_ref(&recording);
            if let Err(StoreError::Rejected { .. }) = record_batch(one, token, deps).await {
                let _ = record_batch(&[refused(recording)], token, deps).await;
            }
        }
    }
}

/// Random in 0..=1.
fn jitter(deps: &Deps) -> f64 {
    let (high, _) = deps.ids.random().as_u64_pair();
    #[expect(clippy::cast_precision_loss, reason = "a random fraction needs no more than 53 bits")]
    let fraction = (high >> 11) as f64 / (1_u64 << 53) as f64;
    fraction
}

fn refused(recording: Recording) -> Recording {
    let message = "the database refused the output; look for unusual characters or sizes in it".to_owned();
    let kind = FinishKind::End { result: "failed", reason: Some(ResultReason::Limit.as_str()) };
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

async fn record_batch(recordings: &[Recording], token: Uuid, deps: &Deps) -> Result<(), StoreError> {
    let mut open: Vec<&Recording> = recordings.iter().collect();
    let (mut routes, mut tries) = (1, 1);
    let mut versions: Vec<(Uuid, i64)> =
        open.iter().map(|one| (one.workflow_id, one.workflow_version)).collect();
    while !open.is_empty() {
        match record_once(&open, &versions, token, deps).await {
            Ok((finished, freed)) => {
                open = settle(open, finished, freed, deps).await;
                // What is still open was routed with an old version: ask for a newer one than is known.
                for (_, version) in &mut versions {
                    *version += 1;
                }
                routes += 1;
                if routes > ROUTES_MAX {
                    break;
                }
            }
            Err(StoreError::Rejected { sqlstate, constraint }) => {
                return Err(StoreError::Rejected { sqlstate, constraint });
            }
            Err(error) if tries < RECORD_TRIES_MAX => {
                tracing::warn!(%error, tries, "outcomes could not be recorded; trying again");
                tokio::time::sleep(std::time::Duration::from_millis(200 << tries)).await;
                tries += 1;
            }
            Err(error) => {
                tracing::error!(%error, executions = open.len(), "outcomes could not be recorded; their leases will lapse");
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn record_once(
    open: &[&Recording],
    versions: &[(Uuid, i64)],
    token: Uuid,
    deps: &Deps,
) -> Result<(Vec<FinishedExecution>, Vec<FreedNode>), StoreError> {
    let edges = edges_of(versions, deps).await?;
    let now = deps.clock.now();
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
            })
        })
        .collect();
    let rows = &rows;
    deps.store.run_tx("finish_executions", |tx| async move { finish_executions(&tx, rows, now).await }).await
}

fn measure(recording: &Recording, deps: &Deps) {
    if let FinishKind::End { result, .. } = recording.decision.kind {
        let metric = if result == "passed" { Metric::ExecutionsPassed } else { Metric::ExecutionsFailed };
        deps.metrics.count(metric, 1);
    }
    deps.metrics.add(Metric::ExecutionSeconds, recording.duration.as_secs_f64());
}

/// Sends what follows from what was recorded; returns what is to be routed again.
async fn settle<'a>(
    open: Vec<&'a Recording>,
    finished: Vec<FinishedExecution>,
    freed: Vec<FreedNode>,
    deps: &Deps,
) -> Vec<&'a Recording> {
    let mut messages: Vec<Outgoing> = freed_wakes(freed).collect();
    let (mut again, mut has_recorded) = (Vec::new(), false);
    for outcome in finished {
        let (FinishedExecution::Recorded { id, .. }
        | FinishedExecution::LeaseLost(id)
        | FinishedExecution::VersionMoved(id)) = outcome;
        let Some(recording) = open.iter().find(|recording| recording.execution_id == id) else { continue };
        match outcome {
            FinishedExecution::VersionMoved(_) => again.push(*recording),
            FinishedExecution::LeaseLost(_) => {
                tracing::warn!(execution_id = %id, "the lease was lost; this outcome is dropped");
            }
            FinishedExecution::Recorded { is_routed, .. } => {
                has_recorded = true;
                measure(recording, deps);
                tracing::info!(
                    execution_id = %id,
                    workflow_id = %recording.workflow_id,
                    organization_id = %recording.organization_id,
                    "recorded"
                );
                if is_routed {
                    let message = Message::Event { event_id: recording.event_id };
                    messages.push(Outgoing::now(recording.organization_id, message));
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
    if has_recorded && let Err(error) = record_heartbeat(&deps.store, "executor", deps.clock.now()).await {
        tracing::warn!(%error, "the heartbeat was not noted");
    }
    again
}
