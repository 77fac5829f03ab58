//! Messages of kind `schedule`: a run begins at its time.

use std::time::Duration;

use components::schedule::{Schedule, event_id};
use components::{Resource, trigger};
use domain::definition::{Node, Uses};
use domain::ids::{OrganizationId, RunId};
use domain::message::Message;
use jiff::{SignedDuration, Timestamp};
use queue::Outgoing;
use serde_json::Value;
use store::builder::{FoundSchedule, LockedSchedule, NextTime, lock_schedule, write_schedule};
use store::intake::{BeginOutcome, NewRun, begin_scheduled_run};
use store::{NodeKey, StoreError, Tx};

use crate::transaction::PLANS_MAX;
use crate::trigger::plan_trigger;
use crate::{Deps, PlanDeps};

/// A message may come so much before its time, where the clocks of two machines differ: then it is
/// sent again. One that comes earlier is of a time that is over, and there is another one for the
/// next.
const EARLY: SignedDuration = SignedDuration::from_secs(5);

/// The pause before another look where a target is full, or the organization is suspended. The time
/// is made up for as the author says.
const PUT_OFF: SignedDuration = SignedDuration::from_mins(1);

/// Looks at a schedule, and begins its run if its time has come. A message that comes twice finds
/// the next time, which has not come.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn look_at(key: &NodeKey, deps: &Deps) -> Result<(), StoreError> {
    let mut plans = 1;
    let messages = loop {
        match deps.store.run_tx("fire_schedule", |tx| look_in(tx, key, &deps.plan)).await {
            // The workflow was applied meanwhile.
            Err(StoreError::Conflict(_)) if plans < PLANS_MAX => plans += 1,
            messages => break messages?,
        }
    };
    deps.queue.send(messages).await;
    Ok(())
}

async fn look_in(tx: Tx, key: &NodeKey, deps: &PlanDeps) -> Result<Vec<Outgoing>, StoreError> {
    let found = match lock_schedule(&tx, key).await? {
        FoundSchedule::Live(found) => found,
        FoundSchedule::None => return Ok(Vec::new()),
        FoundSchedule::Dead(now) => return end(&tx, key, now).await,
    };
    let Some((next_at, due_at)) = found.next else { return Ok(Vec::new()) };
    let (organization_id, now) = (found.organization_id, found.now);
    if due_at > now {
        let is_soon = due_at.duration_since(now) <= EARLY;
        let again = later(organization_id, key, due_at, now).filter(|_| is_soon);
        return Ok(again.into_iter().collect());
    }
    let Some(node) = found.nodes.as_array().into_iter().flatten().find(|node| node["id"] == key.1) else {
        // Code of the release before removed the node.
        return end(&tx, key, now).await;
    };
    let (node, schedule) = read(node)?;
    if found.is_suspended {
        return put_off(&tx, key, next_at, &found).await;
    }
    let look = schedule.look(key.0, &key.1, next_at, now, found.is_running);
    let (mut messages, mut run_id) = (Vec::new(), None);
    if let Some(firing) = look.firing {
        let data = schedule.event_data(firing, now);
        let begun = Begun { found: &found, node: &node, data: &data, scheduled_at: firing.scheduled_at };
        match begin(&tx, &begun, deps).await? {
            BeginOutcome::Begun(due) => {
                let id = event_id(key.0, &key.1, firing.scheduled_at);
                let run = Message::Run { run_id: RunId::from(id) };
                messages.push(Outgoing::now(organization_id, Message::Event { event_id: id }));
                messages.extend(due.and_then(|due| Outgoing::after(organization_id, run, due)));
                run_id = Some(RunId::from(id));
                tracing::info!(run_id = %id, workflow_id = %key.0, scheduled_at = %firing.scheduled_at, "run started by its schedule");
            }
            BeginOutcome::Full => {
                tracing::warn!(workflow_id = %key.0, node_id = key.1, "a target of the schedule is full; its time is put off");
                return put_off(&tx, key, next_at, &found).await;
            }
            BeginOutcome::Outdated => return Err(StoreError::Conflict("the workflow was applied meanwhile")),
            BeginOutcome::Duplicate(_) => {}
        }
    } else {
        tracing::info!(workflow_id = %key.0, node_id = key.1, is_running = found.is_running, "a time of the schedule is left out");
    }
    let next = look.next_at.map(|time| (time, schedule.due_at(key.0, &key.1, time)));
    let message = next.and_then(|(_, due_at)| later(organization_id, key, due_at, now));
    write_schedule(&tx, key, NextTime { next, is_sent: message.is_some() }, run_id, now).await?;
    messages.extend(message);
    Ok(messages)
}

/// Ends a schedule whose workflow, node or organization is gone.
async fn end(tx: &Tx, key: &NodeKey, now: Timestamp) -> Result<Vec<Outgoing>, StoreError> {
    write_schedule(tx, key, NextTime { next: None, is_sent: false }, None, now).await?;
    Ok(Vec::new())
}

/// A trigger, and its schedule.
fn read(node: &Value) -> Result<(Node, Schedule), StoreError> {
    let unreadable = StoreError::Corrupt("workflows.nodes");
    let Ok(node) = serde_json::from_value::<Node>(node.clone()) else { return Err(unreadable) };
    let resource = match &node.uses {
        Uses::Trigger(name) => trigger(name).and_then(|trigger| trigger.resource(&node.configuration)),
        Uses::Component(_) | Uses::Blueprint(_) => None,
    };
    match resource {
        Some(Resource::Schedule(schedule)) => Ok((node, *schedule)),
        _ => Err(unreadable),
    }
}

/// The message for a moment, if a queue can carry it so long; else the sweeper sends it.
fn later(
    organization_id: OrganizationId,
    (workflow_id, node_id): &NodeKey,
    due_at: Timestamp,
    now: Timestamp,
) -> Option<Outgoing> {
    let message = Message::Schedule { workflow_id: *workflow_id, node_id: node_id.clone() };
    let wait = Duration::try_from(due_at.duration_since(now)).unwrap_or_default();
    Outgoing::after(organization_id, message, wait)
}

async fn put_off(
    tx: &Tx,
    key: &NodeKey,
    next_at: Timestamp,
    found: &LockedSchedule,
) -> Result<Vec<Outgoing>, StoreError> {
    let due_at = found.now.checked_add(PUT_OFF).unwrap_or(found.now);
    let next = NextTime { next: Some((next_at, due_at)), is_sent: false };
    write_schedule(tx, key, next, None, found.now).await?;
    Ok(Vec::new())
}

/// A run that is to begin.
struct Begun<'a> {
    found: &'a LockedSchedule,
    node: &'a Node,
    data: &'a Value,
    scheduled_at: Timestamp,
}

async fn begin(tx: &Tx, begun: &Begun<'_>, deps: &PlanDeps) -> Result<BeginOutcome, StoreError> {
    let Begun { found, node, data, scheduled_at } = begun;
    let (planned, item_ids) = plan_trigger(node, &found.edges, data, found.now, deps)?;
    let run = NewRun {
        event_id: event_id(found.workflow_id, &node.id, *scheduled_at),
        organization_id: found.organization_id,
        workflow_id: found.workflow_id,
        version_planned: found.workflow_version,
        node_id: &node.id,
        planned: &planned,
        data,
        item_ids: &item_ids,
        hops: 0,
        delivery: None,
        now: found.now,
    };
    begin_scheduled_run(tx, &run).await
}
