use domain::ids::OrganizationId;
use domain::message::{Message, MessageError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The event that an SQS event source mapping passes to a function: the fields that we read.
///
/// Source: the Lambda developer guide, "Using Lambda with Amazon SQS".
#[derive(Debug, Deserialize)]
pub struct SqsBatch {
    /// The messages.
    #[serde(rename = "Records", default)]
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    message_id: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    #[serde(default)]
    approximate_receive_count: Option<String>,
    /// Milliseconds since 1970.
    #[serde(default)]
    sent_timestamp: Option<String>,
    message_group_id: Option<String>,
}

/// One message as a function sees it.
#[derive(Debug)]
pub struct Received {
    /// SQS's id of the message.
    pub message_id: String,
    /// The message, or the reason why it can't be read.
    pub message: Result<Message, MessageError>,
    /// Whether the message was delivered before: it may have crashed its function then.
    pub is_redelivered: bool,
    /// The organization that the sender named. It serves as the message group alone, and never
    /// decides which rows may be read.
    pub organization_id: Option<OrganizationId>,
}

impl SqsBatch {
    /// The age of each message since it was sent, seconds, its delay included.
    #[must_use]
    pub fn ages_seconds(&self, now: Timestamp) -> Vec<f64> {
        let sent = |record: &Record| record.attributes.sent_timestamp.as_ref()?.parse::<i64>().ok();
        let age = |millis: i64| (now.as_millisecond() - millis).max(0) as f64 / 1_000.0;
        self.records.iter().filter_map(sent).map(age).collect()
    }

    /// The messages, in the order of the batch.
    #[must_use]
    pub fn into_received(self) -> Vec<Received> {
        self.records
            .into_iter()
            .map(|record| Received {
                message: Message::parse(record.body.as_deref().unwrap_or_default()),
                is_redelivered: record
                    .attributes
                    .approximate_receive_count
                    .and_then(|count| count.parse::<u32>().ok())
                    .is_some_and(|count| count > 1),
                message_id: record.message_id,
                organization_id: record.attributes.message_group_id.and_then(|group| group.parse().ok()),
            })
            .collect()
    }
}

/// The answer that names the messages to deliver again (`ReportBatchItemFailures`).
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    batch_item_failures: Vec<ItemFailure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemFailure {
    item_identifier: String,
}

impl BatchResponse {
    /// Asks SQS to deliver a message again.
    pub fn fail(&mut self, message_id: impl Into<String>) {
        self.batch_item_failures.push(ItemFailure { item_identifier: message_id.into() });
    }

    /// The ids of the messages that are to be delivered again.
    pub fn failures(&self) -> impl Iterator<Item = &str> {
        self.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_and_answered_as_lambda_writes_it() {
        let event = r#"{"Records":[
            {"messageId":"a","receiptHandle":"r","body":"{\"v\":1,\"kind\":\"event\",\"event_id\":\"00000000-0000-0000-0000-000000000001\"}",
             "attributes":{"ApproximateReceiveCount":"1","MessageGroupId":"00000000-0000-0000-0000-000000000007"},"messageAttributes":{},"md5OfBody":"","eventSource":"aws:sqs"},
            {"messageId":"b","body":"nonsense","attributes":{"ApproximateReceiveCount":"3"}}]}"#;
        let received = serde_json::from_str::<SqsBatch>(event).unwrap().into_received();
        assert!(received[0].message.is_ok() && !received[0].is_redelivered);
        assert_eq!(received[0].organization_id, Some(OrganizationId::from_u128(7)));
        assert!(received[1].message.is_err() && received[1].is_redelivered);
        assert_eq!(received[1].organization_id, None);
        let mut response = BatchResponse::default();
        response.fail("b");
        assert_eq!(
            serde_json::to_value(&response).unwrap(),
            serde_json::json!({ "batchItemFailures": [{ "itemIdentifier": "b" }] })
        );
    }
}
