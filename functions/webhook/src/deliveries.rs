//! Counts of taken and refused deliveries, by webhook. An instance adds them up in memory and writes
//! them at most once a minute for each webhook, with a delivery: it has no time between them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::ids::WebhookId;
use jiff::{SignedDuration, Timestamp};
use store::Store;
use store::deliveries::{DeliveryCounts, add_deliveries};

use crate::answer::Answer;

/// The shortest time between two writes of one webhook's counts.
const PAUSE: SignedDuration = SignedDuration::from_secs(60);
/// The most webhooks whose counts are kept. Those of a further one are not counted until others are
/// forgotten.
const WEBHOOKS_MAX: usize = 2_000;

/// The counts of an instance.
#[derive(Default)]
pub struct Deliveries {
    webhooks: Mutex<HashMap<WebhookId, Counted>>,
}

#[derive(Default)]
struct Counted {
    counts: DeliveryCounts,
    written_at: Option<Timestamp>,
}

impl Deliveries {
    /// Counts an answer, and writes what was counted if it is time. A write that fails loses
    /// nothing: the counts are added to the next one.
    pub async fn note(&self, webhook_id: WebhookId, answer: &Answer, now: Timestamp, store: &Store) {
        let Some(counts) = self.add(webhook_id, answer.refusal(), now) else { return };
        if let Err(error) = add_deliveries(store, webhook_id, &counts, now).await {
            tracing::warn!(%error, "the counts of a webhook's deliveries were not written");
            self.give_back(webhook_id, counts);
        }
    }

    /// Adds one delivery; gives the counts that are to be written now.
    fn add(
        &self,
        webhook_id: WebhookId,
        refusal: Option<&'static str>,
        now: Timestamp,
    ) -> Option<DeliveryCounts> {
        let mut webhooks = self.webhooks.lock().unwrap_or_else(PoisonError::into_inner);
        if webhooks.len() >= WEBHOOKS_MAX && !webhooks.contains_key(&webhook_id) {
            webhooks.retain(|_, counted| counted.counts != DeliveryCounts::default());
            if webhooks.len() >= WEBHOOKS_MAX {
                return None;
            }
        }
        let counted = webhooks.entry(webhook_id).or_default();
        match refusal {
            None => counted.counts.accepted += 1,
            Some(reason) => {
                *counted.counts.refused.entry(reason).or_default() += 1;
                counted.counts.refused_last = Some((now, reason));
            }
        }
        let is_time = counted.written_at.is_none_or(|at| now.duration_since(at) >= PAUSE);
        is_time.then(|| {
            counted.written_at = Some(now);
            std::mem::take(&mut counted.counts)
        })
    }

    fn give_back(&self, webhook_id: WebhookId, counts: DeliveryCounts) {
        let mut webhooks = self.webhooks.lock().unwrap_or_else(PoisonError::into_inner);
        let now = &mut webhooks.entry(webhook_id).or_default().counts;
        now.accepted += counts.accepted;
        for (reason, count) in counts.refused {
            *now.refused.entry(reason).or_default() += count;
        }
        now.refused_last = now.refused_last.or(counts.refused_last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: WebhookId = WebhookId::from_u128(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000 + seconds).unwrap()
    }

    #[test]
    fn counts_are_written_at_once_and_then_once_a_minute() {
        let deliveries = Deliveries::default();
        let first = deliveries.add(ONE, Some("unauthorized"), at(0)).unwrap();
        assert_eq!((first.accepted, first.refused["unauthorized"]), (0, 1));
        assert_eq!(first.refused_last, Some((at(0), "unauthorized")));
        assert_eq!(deliveries.add(ONE, None, at(1)), None);
        assert_eq!(deliveries.add(ONE, Some("too_large"), at(59)), None);
        let second = deliveries.add(ONE, None, at(60)).unwrap();
        assert_eq!((second.accepted, second.refused["too_large"]), (2, 1));
        assert_eq!(second.refused_last, Some((at(59), "too_large")));
        assert!(deliveries.add(WebhookId::from_u128(2), None, at(60)).is_some(), "each by itself");
    }

    #[test]
    fn what_was_not_written_is_added_to_the_next_write() {
        let deliveries = Deliveries::default();
        let lost = deliveries.add(ONE, Some("unauthorized"), at(0)).unwrap();
        deliveries.give_back(ONE, lost);
        let next = deliveries.add(ONE, Some("unauthorized"), at(60)).unwrap();
        assert_eq!(next.refused["unauthorized"], 2);
    }

    #[test]
    fn counts_can_not_fill_the_memory_i10() {
        let deliveries = Deliveries::default();
        for webhook in 0..=WEBHOOKS_MAX as u128 {
            deliveries.add(WebhookId::from_u128(webhook), None, at(0));
        }
        assert!(deliveries.webhooks.lock().unwrap().len() <= WEBHOOKS_MAX);
        let waiting = Deliveries::default();
        for webhook in 0..WEBHOOKS_MAX as u128 {
            waiting.add(WebhookId::from_u128(webhook), None, at(0));
            waiting.add(WebhookId::from_u128(webhook), None, at(1));
        }
        assert_eq!(waiting.add(WebhookId::from_u128(u128::MAX), None, at(2)), None, "no place is left");
        assert_eq!(waiting.webhooks.lock().unwrap().len(), WEBHOOKS_MAX);
    }
}
