//! Wakes after a commit. They are hints: what is not sent, the sweeper makes good.

use domain::ids::{EventId, OrganizationId, WorkflowId};
use domain::message::Message;
use queue::Outgoing;
use store::builder::FreedSlot;

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

    /// Tells the builder of slots that are free.
    pub(crate) async fn wake_slots(&self, freed: &[FreedSlot]) {
        let wakes = freed.iter().map(|slot| Outgoing::now(slot.organization_id, slot.wake()));
        self.queue.send(wakes.collect()).await;
    }

    /// Tells the builder of events of which items wait.
    pub(crate) async fn wake_events(&self, organization_id: OrganizationId, event_ids: &[EventId]) {
        let wake =
            |event_id: &EventId| Outgoing::now(organization_id, Message::Event { event_id: *event_id });
        self.queue.send(event_ids.iter().map(wake).collect()).await;
    }
}
