//! Wakes after a commit. They are hints: the sweeper sends again what was not sent.

use std::time::Duration;

use domain::ids::{EventId, OrganizationId, RunId, WorkflowId};
use domain::message::Message;
use queue::Outgoing;
use store::HeldWake;

use crate::Deps;

impl Deps {
    /// Tells the builder to look at nodes.
    pub(crate) async fn wake_nodes(
        &self,
        organization_id: OrganizationId,
        workflow_id: WorkflowId,
        node_ids: Vec<String>,
    ) {
        let messages: Vec<Outgoing> = node_ids
            .into_iter()
            .map(|node_id| Outgoing::now(organization_id, Message::Node { workflow_id, node_id }))
            .collect();
        if !messages.is_empty() {
            self.queue.send(messages).await;
        }
    }

    /// Tells the builder of what a cancel leaves to do.
    pub(crate) async fn wake(&self, wakes: impl Iterator<Item = (OrganizationId, Message)>) {
        let wakes = wakes.map(|(organization_id, message)| Outgoing::now(organization_id, message));
        self.queue.send(wakes.collect()).await;
    }

    /// Tells the builder of held executions that are to end.
    pub(crate) async fn wake_held(&self, held: &[HeldWake]) {
        self.wake(held.iter().map(|held| (held.organization_id, held.wake()))).await;
    }

    /// Tells the builder of a run's time-out, where a queue can carry it so long; else the sweeper
    /// does.
    pub(crate) async fn wake_run_later(
        &self,
        organization_id: OrganizationId,
        run_id: RunId,
        due: Option<Duration>,
    ) {
        let later = due.and_then(|due| Outgoing::after(organization_id, Message::Run { run_id }, due));
        if let Some(later) = later {
            self.queue.send(vec![later]).await;
        }
    }

    /// Tells the builder of events of which items wait.
    pub(crate) async fn wake_events(&self, organization_id: OrganizationId, event_ids: &[EventId]) {
        let wake =
            |event_id: &EventId| Outgoing::now(organization_id, Message::Event { event_id: *event_id });
        self.queue.send(event_ids.iter().map(wake).collect()).await;
    }
}
