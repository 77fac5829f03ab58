//! The SQS SDK behind [`Transport`].

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata as _;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use aws_types::SdkConfig;

use crate::send::{BatchEntry, CallFailed, EntryResult, Transport};

/// SQS, or the stand-in at the endpoint of the configuration.
pub(crate) struct Sqs(Client);

impl Sqs {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self(Client::new(config))
    }
}

impl Transport for Sqs {
    async fn send_batch(
        &self,
        queue_url: &str,
        entries: &[BatchEntry],
    ) -> Result<Vec<EntryResult>, CallFailed> {
        let requests = entries.iter().enumerate().map(|(index, entry)| {
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(&entry.body)
                .message_group_id(entry.outgoing.organization_id.to_string())
                .set_delay_seconds(Some(entry.outgoing.delay()).filter(|seconds| *seconds > 0))
                .build()
                .expect("id and body are set")
        });
        let answer = self
            .0
            .send_message_batch()
            .queue_url(queue_url)
            .set_entries(Some(requests.collect()))
            .send()
            .await
            .map_err(|error| CallFailed { code: error.code().unwrap_or("no answer").to_owned() })?;
        // An entry that the answer does not name counts as failed.
        let mut results = vec![EntryResult::Failed; entries.len()];
        let mut set = |id: &str, result| {
            if let Some(slot) = id.parse().ok().and_then(|index: usize| results.get_mut(index)) {
                *slot = result;
            }
        };
        answer.successful().iter().for_each(|entry| set(entry.id(), EntryResult::Sent));
        for entry in answer.failed() {
            set(entry.id(), if entry.sender_fault() { EntryResult::Refused } else { EntryResult::Failed });
        }
        Ok(results)
    }
}
