use api_types::Webhook;
use store::api::WebhookRow;

/// A webhook as the API shows it, without its key or token.
pub(crate) fn webhook(row: WebhookRow, public_url: &str) -> Webhook {
    Webhook {
        id: row.id,
        workflow_id: row.workflow_id,
        node_id: row.node_id,
        url: webhook_url(public_url, &row.address),
        authentication: row.authentication,
        header_name: row.header_name,
        deduplication_header: row.deduplication_header,
        previous_until: row.previous_until,
        signing_key: None,
        token: None,
    }
}

/// The URL that deliveries are posted to.
pub(crate) fn webhook_url(public_url: &str, address: &str) -> String {
    format!("{public_url}/hooks/{address}")
}
