use api_types::{Deliveries, Webhook};
use store::api::{ListedWebhook, WebhookRow};

/// A webhook as the API shows it, without its key or token.
pub(crate) fn webhook(row: WebhookRow, public_url: &str) -> Webhook {
    Webhook {
        id: row.id,
        workflow_id: row.workflow_id,
        workflow_name: None,
        node_id: row.node_id,
        url: webhook_url(public_url, &row.address),
        authentication: row.authentication,
        header_name: row.header_name,
        deduplication_header: row.deduplication_header,
        previous_until: row.previous_until,
        sender: None,
        deliveries: None,
        signing_key: None,
        token: None,
    }
}

/// A webhook of a list, with the counts of its deliveries.
pub(crate) fn listed_webhook(listed: ListedWebhook, public_url: &str) -> Webhook {
    let ListedWebhook { row, workflow_name, accepted, refused, refused_last_at, refused_last_reason } =
        listed;
    let refused = serde_json::from_value(refused).unwrap_or_default();
    let deliveries = Deliveries { accepted, refused, refused_last_at, refused_last_reason };
    Webhook { workflow_name: Some(workflow_name), deliveries: Some(deliveries), ..webhook(row, public_url) }
}

/// The URL that deliveries are posted to.
pub(crate) fn webhook_url(public_url: &str, address: &str) -> String {
    format!("{public_url}/hooks/{address}")
}
