//! SQS in its JSON protocol, as far as a poller and a leak check need it.
//!
//! The SDK belongs to the `queue` crate alone, and a stand-in for Lambda's pollers should not share
//! code with what it delivers to. Signatures are made up: no stand-in checks them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http;
use crate::stack::REGION;

/// The longest time of one call.
const CALL_SECONDS_MAX: u64 = 30;

/// The most messages that one call of SQS receives or deletes.
pub const BATCH_MAX: usize = 10;

/// A received message, with the names of SQS's own answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Message {
    /// Stays the same when it is received again.
    pub message_id: String,
    /// Deletes this one receipt of it.
    pub receipt_handle: String,
    /// The text that was sent.
    pub body: String,
    /// The digest of the body that SQS made.
    #[serde(rename = "MD5OfBody", default)]
    pub md5_of_body: String,
    /// System attributes: `ApproximateReceiveCount`, `SentTimestamp`, `MessageGroupId`, …
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// The sender's attributes.
    #[serde(default)]
    pub message_attributes: BTreeMap<String, Value>,
}

/// The treatment by a queue of a message that isn't deleted.
#[derive(Debug, Clone, Copy)]
pub struct QueueOptions {
    /// Seconds for which a received message is hidden.
    pub visibility_timeout_seconds: u32,
    /// Receipts after which it goes to the dead-letter queue.
    pub receives_max: u32,
}

/// A queue and its dead-letter queue.
#[derive(Debug, Clone)]
pub struct QueuePair {
    /// The queue.
    pub url: String,
    /// The dead-letter queue, which gets the queue's messages after too many receipts.
    pub dead_letter_url: String,
}

/// Makes a queue `name` with a dead-letter queue `name-dead-letters`.
///
/// # Errors
///
/// When the endpoint refuses or isn't there.
pub async fn create_queue_pair(endpoint: &str, name: &str, options: QueueOptions) -> Result<QueuePair> {
    let dead_letter_url = create_queue(endpoint, &format!("{name}-dead-letters"), &json!({})).await?;
    let redrive = json!({
        "deadLetterTargetArn": queue_arn(&dead_letter_url),
        "maxReceiveCount": options.receives_max,
    });
    let attributes = json!({
        "VisibilityTimeout": options.visibility_timeout_seconds.to_string(),
        "RedrivePolicy": redrive.to_string(),
    });
    Ok(QueuePair { url: create_queue(endpoint, name, &attributes).await?, dead_letter_url })
}

/// Receives up to ten messages without waiting for one.
///
/// # Errors
///
/// When the endpoint refuses or isn't there.
pub async fn receive(endpoint: &str, queue_url: &str, count: usize) -> Result<Vec<Message>> {
    let body = json!({
        "QueueUrl": queue_url,
        "MaxNumberOfMessages": count.clamp(1, BATCH_MAX),
        "WaitTimeSeconds": 0,
        "MessageSystemAttributeNames": ["All"],
        "AttributeNames": ["All"],
        "MessageAttributeNames": ["All"],
    });
    let mut answer = call(endpoint, "ReceiveMessage", &body).await?;
    match answer["Messages"].take() {
        Value::Null => Ok(Vec::new()),
        messages => serde_json::from_value(messages).context("ReceiveMessage: an answer of another shape"),
    }
}

/// Deletes up to ten receipts.
///
/// # Errors
///
/// When the endpoint refuses any of them or isn't there.
pub async fn delete(endpoint: &str, queue_url: &str, receipt_handles: &[&str]) -> Result<()> {
    let entries: Vec<Value> = receipt_handles
        .iter()
        .enumerate()
        .map(|(index, handle)| json!({ "Id": index.to_string(), "ReceiptHandle": handle }))
        .collect();
    let answer =
        call(endpoint, "DeleteMessageBatch", &json!({ "QueueUrl": queue_url, "Entries": entries })).await?;
    match answer["Failed"].as_array().map_or(0, Vec::len) {
        0 => Ok(()),
        count => bail!("DeleteMessageBatch: {count} refused"),
    }
}

/// Sends one message.
///
/// # Errors
///
/// When the endpoint refuses or isn't there.
pub async fn send(endpoint: &str, queue_url: &str, body: &str, group: Option<&str>) -> Result<()> {
    let mut request = json!({ "QueueUrl": queue_url, "MessageBody": body });
    if let Some(group) = group {
        request["MessageGroupId"] = json!(group);
    }
    call(endpoint, "SendMessage", &request).await.map(drop)
}

/// The numbers of a queue's messages: visible, in flight and delayed.
///
/// # Errors
///
/// When the endpoint refuses or isn't there.
pub async fn count(endpoint: &str, queue_url: &str) -> Result<[u64; 3]> {
    let names = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ];
    let body = json!({ "QueueUrl": queue_url, "AttributeNames": names });
    let answer = call(endpoint, "GetQueueAttributes", &body).await?;
    Ok(names.map(|name| answer["Attributes"][name].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)))
}

/// Deletes all messages of a queue.
///
/// # Errors
///
/// When the endpoint refuses or isn't there.
pub async fn purge(endpoint: &str, queue_url: &str) -> Result<()> {
    call(endpoint, "PurgeQueue", &json!({ "QueueUrl": queue_url })).await.map(drop)
}

/// Deletes a queue with its messages.
///
/// # Errors
///
/// When the endpoint refuses or isn't there.
pub async fn delete_queue(endpoint: &str, queue_url: &str) -> Result<()> {
    call(endpoint, "DeleteQueue", &json!({ "QueueUrl": queue_url })).await.map(drop)
}

/// The ARN of a queue: account and name are the last two parts of its URL.
pub fn queue_arn(queue_url: &str) -> String {
    let mut parts = queue_url.rsplit('/');
    let name = parts.next().unwrap_or_default();
    let account = parts.next().unwrap_or_default();
    format!("arn:aws:sqs:{REGION}:{account}:{name}")
}

/// One call in the JSON protocol that SQS and KMS share: `target` as in `AmazonSQS.SendMessage`,
/// `version` the protocol's, 1.0 or 1.1.
///
/// # Errors
///
/// When the endpoint isn't there, or refuses: its error type and message, which name no body.
pub async fn call_json(endpoint: &str, target: &str, version: &str, body: &Value) -> Result<Value> {
    let service = if target.starts_with("AmazonSQS.") { "sqs" } else { "kms" };
    // No stand-in checks a signature, but moto finds the service in the scope that was signed for.
    let scope = format!("Credential=test/20260101/{REGION}/{service}/aws4_request");
    let request = ::http::Request::post(format!("{endpoint}/"))
        .header("authorization", format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"))
        .header("content-type", format!("application/x-amz-json-{version}"))
        .header("x-amz-target", target)
        .body(Bytes::from(body.to_string()))?;
    let answer = http::send(request, Duration::from_secs(CALL_SECONDS_MAX)).await?;
    if answer.status() != 200 {
        let text = String::from_utf8_lossy(answer.body());
        bail!("{target}: {} {}", answer.status().as_u16(), text.chars().take(300).collect::<String>());
    }
    if answer.body().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(answer.body()).with_context(|| format!("{target}: the answer is no JSON"))
}

async fn create_queue(endpoint: &str, name: &str, attributes: &Value) -> Result<String> {
    let answer =
        call(endpoint, "CreateQueue", &json!({ "QueueName": name, "Attributes": attributes })).await?;
    match answer["QueueUrl"].as_str() {
        Some(url) => Ok(url.to_owned()),
        None => bail!("CreateQueue gave no address"),
    }
}

async fn call(endpoint: &str, action: &str, body: &Value) -> Result<Value> {
    call_json(endpoint, &format!("AmazonSQS.{action}"), "1.0", body).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_made_of_the_address() {
        let arn = queue_arn("http://127.0.0.1:4566/000000000000/sealflow-nodes");
        assert_eq!(arn, "arn:aws:sqs:us-east-1:000000000000:sealflow-nodes");
    }
}
