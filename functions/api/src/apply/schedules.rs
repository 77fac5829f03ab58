//! The schedules of an apply: their first times.

use std::time::Duration;

use apply_plan::ScheduleWanted;
use domain::ids::{OrganizationId, WorkflowId};
use domain::message::Message;
use domain::node_write::ScheduleWrite;
use jiff::Timestamp;
use queue::Outgoing;

use crate::Deps;

/// The rows of schedules that are new or differ: each begins with the first time after now.
pub(super) fn write(
    wanted: &[ScheduleWanted],
    workflow_id: WorkflowId,
    now: Timestamp,
) -> Vec<ScheduleWrite> {
    let write = |wanted: &ScheduleWanted| {
        let next = wanted.schedule.next(now);
        let next = next.map(|time| (time, wanted.schedule.due_at(workflow_id, &wanted.node_id, time)));
        // Whether a queue can carry a message for so long does not depend on its organization.
        let is_sent = next.is_some_and(|(_, due_at)| {
            message(OrganizationId::from_u128(0), workflow_id, &wanted.node_id, due_at, now).is_some()
        });
        ScheduleWrite { node_id: wanted.node_id.clone(), next, is_sent }
    };
    wanted.iter().map(write).collect()
}

/// Sends the messages of those that are due soon; the sweeper sends the others.
pub(super) async fn send(
    deps: &Deps,
    organization_id: OrganizationId,
    workflow_id: WorkflowId,
    schedules: &[ScheduleWrite],
    now: Timestamp,
) {
    let messages: Vec<Outgoing> = schedules
        .iter()
        .filter_map(|schedule| {
            let (_, due_at) = schedule.next?;
            message(organization_id, workflow_id, &schedule.node_id, due_at, now)
        })
        .collect();
    if !messages.is_empty() {
        deps.queue.send(messages).await;
    }
}

fn message(
    organization_id: OrganizationId,
    workflow_id: WorkflowId,
    node_id: &str,
    due_at: Timestamp,
    now: Timestamp,
) -> Option<Outgoing> {
    let message = Message::Schedule { workflow_id, node_id: node_id.to_owned() };
    let wait = Duration::try_from(due_at.duration_since(now)).unwrap_or_default();
    Outgoing::after(organization_id, message, wait)
}
