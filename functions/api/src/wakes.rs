//! Wakes after a commit. They are hints: what is not sent, the sweeper makes good.

use domain::message::Message;
use queue::Outgoing;
use uuid::Uuid;

use crate::Deps;

impl Deps {
    /// Tells the builder to look at nodes.
    pub(crate) async fn wake_nodes(&self, organization_id: Uuid, workflow_id: Uuid, node_ids: Vec<String>) {
        let messages: Vec<Outgoing> = node_ids
            .into_iter()
            .map(|node_id| Outgoing::now(organization_id, Message::Node { workflow_id, node_id }))
            .collect();
        if !messages.is_empty() {
            self.queue.send(messages).await;
        }
    }

    /// Tells the builder of an event that was committed with its items.
    pub(crate) async fn wake_event(&self, organization_id: Uuid, event_id: Uuid) {
        self.queue.send(vec![Outgoing::now(organization_id, Message::Event { event_id })]).await;
    }
}
