//! Rate limits (docs/decisions/0009): a bucket for each key, in this instance's memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use domain::rate::Rate;
use jiff::{SignedDuration, Timestamp};

/// Keys whose buckets are kept. At the limit the full buckets are forgotten, which loses
/// nothing; if none is full, all are forgotten.
const BUCKETS_MAX: usize = 2_000;

/// The buckets of an instance.
pub struct RateLimits<K> {
    /// The time at which each bucket is full again: this time alone describes the bucket.
    full_at: Mutex<HashMap<K, Timestamp>>,
}

impl<K> Default for RateLimits<K> {
    fn default() -> Self {
        Self { full_at: Mutex::default() }
    }
}

/// A bucket is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFast {
    /// Whole seconds after which one more is taken, at least 1.
    pub retry_after_seconds: u32,
}

impl<K: Copy + Eq + Hash> RateLimits<K> {
    /// Takes one out of a key's bucket.
    ///
    /// # Errors
    /// `TooFast` when the bucket is empty.
    pub fn take(&self, key: K, rate: Rate, now: Timestamp) -> Result<(), TooFast> {
        let one = SignedDuration::from_secs(1) / i32::try_from(rate.per_second).unwrap_or(i32::MAX);
        let whole = one * i32::try_from(rate.burst).unwrap_or(i32::MAX);
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= BUCKETS_MAX && !full_at.contains_key(&key) {
            full_at.retain(|_, full_at| *full_at > now);
            if full_at.len() >= BUCKETS_MAX {
                full_at.clear();
            }
        }
        let bucket = full_at.entry(key).or_insert(now);
        let next = (*bucket).max(now) + one;
        let excess = next.duration_since(now) - whole;
        if excess.is_positive() {
            let seconds = excess.as_secs() + i64::from(excess.subsec_nanos() > 0);
            return Err(TooFast { retry_after_seconds: u32::try_from(seconds).unwrap_or(u32::MAX) });
        }
        *bucket = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::limits::{WEBHOOK_BURST_MAX, WEBHOOK_RATE_PER_SECOND};

    use super::*;

    const ONE: u32 = 1;

    fn most() -> Rate {
        Rate { per_second: WEBHOOK_RATE_PER_SECOND, burst: WEBHOOK_BURST_MAX }
    }

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_000_000 + milliseconds).unwrap()
    }

    fn taken(limits: &RateLimits<u32>, key: u32, count: u32, now: Timestamp) -> u32 {
        (0..count).map(|_| u32::from(limits.take(key, most(), now).is_ok())).sum()
    }

    #[test]
    fn a_burst_has_a_limit_on_both_sides_i10() {
        let limits = RateLimits::default();
        assert_eq!(taken(&limits, ONE, WEBHOOK_BURST_MAX, at(0)), WEBHOOK_BURST_MAX);
        assert_eq!(limits.take(ONE, most(), at(0)), Err(TooFast { retry_after_seconds: 1 }));
        assert_eq!(
            taken(&limits, ONE, WEBHOOK_BURST_MAX + 1, at(60_000)),
            WEBHOOK_BURST_MAX,
            "it fills up and no further"
        );
    }

    #[test]
    fn after_its_burst_a_key_has_its_rate_i10() {
        let limits = RateLimits::default();
        taken(&limits, ONE, WEBHOOK_BURST_MAX, at(0));
        assert_eq!(taken(&limits, ONE, WEBHOOK_RATE_PER_SECOND + 1, at(1_000)), WEBHOOK_RATE_PER_SECOND);
        assert_eq!(taken(&limits, ONE, 10, at(1_000 + 1_000 / i64::from(WEBHOOK_RATE_PER_SECOND) - 1)), 0);
        assert_eq!(taken(&limits, ONE, 10, at(1_000 + 1_000 / i64::from(WEBHOOK_RATE_PER_SECOND))), 1);
    }

    #[test]
    fn a_key_can_have_a_rate_of_its_own() {
        let (limits, rate) = (RateLimits::default(), Rate { per_second: 1, burst: 2 });
        let taken = |now| (0..5).filter(|_| limits.take(ONE, rate, now).is_ok()).count();
        assert_eq!((taken(at(0)), taken(at(999)), taken(at(1_000)), taken(at(60_000))), (2, 0, 1, 2));
    }

    #[test]
    fn keys_do_not_use_up_each_others_buckets() {
        let limits = RateLimits::default();
        taken(&limits, ONE, WEBHOOK_BURST_MAX + 1, at(0));
        assert!(limits.take(2, most(), at(0)).is_ok());
    }

    #[test]
    fn a_clock_that_goes_back_locks_nobody_out_for_longer_than_it_went() {
        let limits = RateLimits::default();
        assert!(limits.take(ONE, most(), at(10_000)).is_ok());
        let answer = limits.take(ONE, most(), at(0));
        assert_eq!(answer, Err(TooFast { retry_after_seconds: 9 }), "10 s back, 2 s of burst");
        assert!(limits.take(ONE, most(), at(10_000)).is_ok());
    }

    #[test]
    fn buckets_can_not_fill_the_memory() {
        let limits = RateLimits::default();
        for key in 0..=BUCKETS_MAX {
            let key = u32::try_from(key).unwrap();
            limits.take(key, most(), at(i64::from(key))).unwrap();
        }
        assert!(limits.full_at.lock().unwrap().len() < BUCKETS_MAX);
    }
}
