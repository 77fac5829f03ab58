//! The further attempts of a node's executions: the author's `retry:`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::limits::ATTEMPTS_MAX;

/// The author's retry policy. Times are whole seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; 1 to [`ATTEMPTS_MAX`].
    pub max_attempts: u32,
    /// Seconds before the second attempt.
    #[serde(default = "initial_interval_default")]
    pub initial_interval: u32,
    /// The growth of the wait.
    #[serde(default)]
    pub backoff: Backoff,
    /// The longest wait, seconds.
    #[serde(default = "max_interval_default")]
    pub max_interval: u32,
    /// The failures that are tried again; None: those that may pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<RetryOn>>,
    /// Seconds from the building of the execution on, after which no attempt begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_elapsed: Option<u32>,
}

/// A failure that is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RetryOn {
    /// Answers with a status from the first to the second.
    Statuses(u16, u16),
    /// Failures with this code, such as `timeout`.
    Code(String),
}

impl RetryOn {
    /// Whether a failure with this code, of an answer with this status, is meant.
    #[must_use]
    pub fn means(&self, code: &str, status: Option<u64>) -> bool {
        match self {
            Self::Statuses(first, last) => {
                code == "http_status"
                    && status.is_some_and(|status| (u64::from(*first)..=u64::from(*last)).contains(&status))
            }
            Self::Code(meant) => meant == code,
        }
    }
}

/// The growth of the wait between attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backoff {
    /// The same wait each time.
    Fixed,
    /// Twice as long each time.
    #[default]
    Exponential,
}

/// The time before which a server asks not to be asked again: the header `Retry-After` (RFC 9110,
/// section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// So many seconds from its answer on.
    Seconds(u32),
    /// Not before this time.
    At(Timestamp),
}

impl RetryAfter {
    /// Reads the header's value. None where it is neither a number of seconds nor a date.
    #[must_use]
    pub fn read(value: &str) -> Option<Self> {
        let value = value.trim();
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Seconds(value.parse().unwrap_or(u32::MAX)));
        }
        // Recipients read the two obsolete forms of a date as well (RFC 9110, section 5.6.7).
        let date = httpdate::parse_http_date(value).ok().and_then(|date| Timestamp::try_from(date).ok());
        date.or_else(|| Some(jiff::fmt::rfc2822::parse(value).ok()?.timestamp())).map(Self::At)
    }

    /// [`RetryAfter::read`] of the header among an answer's headers.
    #[must_use]
    pub fn of(headers: &[(String, String)]) -> Option<Self> {
        let header = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
        header.and_then(|(_, value)| Self::read(value))
    }

    /// The wait from `now` on, seconds: at most [`RETRY_INTERVAL_SECONDS_MAX`], whatever the server
    /// asks for.
    #[must_use]
    pub fn wait_seconds(self, now: Timestamp) -> f64 {
        let seconds = match self {
            Self::Seconds(seconds) => f64::from(seconds),
            Self::At(at) => at.duration_since(now).as_secs_f64(),
        };
        seconds.clamp(0.0, f64::from(RETRY_INTERVAL_SECONDS_MAX))
    }
}

/// Whether a status may come from a server between, or says that nothing was done. The target may
/// have acted or act on the request all the same, so the next attempt keeps the idempotency key
/// (I5). Beside the statuses of RFC 9110 and RFC 8470 these are nginx's 499 and those of Cloudflare
/// and of load balancers for a target that answers late or breaks off.
#[must_use]
pub fn is_from_between(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 499 | 502..=504 | 520..=527 | 530 | 598 | 599)
}

/// The longest time of all attempts that a policy may name, seconds: 30 days.
pub const RETRY_ELAPSED_SECONDS_MAX: u32 = 30 * 86_400;
/// The longest wait that a policy may name, seconds.
pub const RETRY_INTERVAL_SECONDS_MAX: u32 = 86_400;

fn initial_interval_default() -> u32 {
    5
}

fn max_interval_default() -> u32 {
    300
}

impl RetryPolicy {
    /// Seconds to wait after `attempt` (1 is the first) failed; None when no attempt is left.
    ///
    /// `jitter` is a random number in 0..=1 from the caller. It shortens the wait by up to a tenth,
    /// so that executions that failed together are not tried again together.
    #[must_use]
    pub fn wait_seconds_after(&self, attempt: u32, jitter: f64) -> Option<f64> {
        if attempt >= self.max_attempts.min(ATTEMPTS_MAX) {
            return None;
        }
        let doublings = match self.backoff {
            Backoff::Fixed => 0,
            Backoff::Exponential => attempt.saturating_sub(1).min(20),
        };
        let wait = f64::from(self.initial_interval) * f64::from(1_u32 << doublings);
        Some(wait.min(f64::from(self.max_interval)) * (1.0 - 0.1 * jitter.clamp(0.0, 1.0)))
    }

    /// The faults of the policy, field by field.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !(1..=ATTEMPTS_MAX).contains(&self.max_attempts) {
            problems.push(("max_attempts", format!("must be 1 to {ATTEMPTS_MAX}")));
        }
        if self.initial_interval > RETRY_INTERVAL_SECONDS_MAX {
            problems
                .push(("initial_interval", format!("must be at most {RETRY_INTERVAL_SECONDS_MAX} seconds")));
        }
        if self.max_interval > RETRY_INTERVAL_SECONDS_MAX || self.max_interval < self.initial_interval {
            problems.push((
                "max_interval",
                format!("must be at least initial_interval and at most {RETRY_INTERVAL_SECONDS_MAX} seconds"),
            ));
        }
        if self.on.as_ref().is_some_and(Vec::is_empty) {
            problems.push(("on", "must name at least one status or code".to_owned()));
        }
        if self.max_elapsed.is_some_and(|seconds| !(1..=RETRY_ELAPSED_SECONDS_MAX).contains(&seconds)) {
            problems.push(("max_elapsed", format!("must be 1 to {RETRY_ELAPSED_SECONDS_MAX} seconds")));
        }
        problems
    }

    /// Whether an attempt that begins after `wait_seconds` is still within the policy's time.
    #[must_use]
    pub fn has_time(&self, elapsed_seconds: f64, wait_seconds: f64) -> bool {
        self.max_elapsed.is_none_or(|most| elapsed_seconds + wait_seconds <= f64::from(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(max_attempts: u32, backoff: Backoff) -> RetryPolicy {
        RetryPolicy {
            max_attempts,
            initial_interval: 2,
            backoff,
            max_interval: 10,
            on: None,
            max_elapsed: None,
        }
    }

    #[test]
    fn the_wait_grows_to_its_longest_and_ends_with_the_attempts() {
        let check = |policy: &RetryPolicy, expected: &[Option<f64>]| {
            let waits: Vec<_> =
                (1..).take(expected.len()).map(|attempt| policy.wait_seconds_after(attempt, 0.0)).collect();
            assert_eq!(waits, expected);
        };
        check(&policy(5, Backoff::Exponential), &[Some(2.0), Some(4.0), Some(8.0), Some(10.0), None]);
        check(&policy(3, Backoff::Fixed), &[Some(2.0), Some(2.0), None, None]);
        check(&policy(1, Backoff::Fixed), &[None]);
    }

    #[test]
    fn jitter_only_shortens() {
        assert_eq!(policy(3, Backoff::Fixed).wait_seconds_after(1, 1.0), Some(1.8));
        assert_eq!(policy(3, Backoff::Fixed).wait_seconds_after(1, 7.0), Some(1.8));
    }

    #[test]
    fn attempts_have_a_limit_on_both_sides() {
        assert!(policy(ATTEMPTS_MAX, Backoff::Fixed).problems().is_empty());
        assert_eq!(policy(ATTEMPTS_MAX + 1, Backoff::Fixed).problems().len(), 1);
        assert_eq!(policy(0, Backoff::Fixed).problems().len(), 1);
        assert_eq!(policy(u32::MAX, Backoff::Exponential).wait_seconds_after(ATTEMPTS_MAX, 0.0), None);
        assert!(policy(u32::MAX, Backoff::Exponential).wait_seconds_after(ATTEMPTS_MAX - 1, 0.0).is_some());
    }

    #[test]
    fn intervals_have_a_limit_on_both_sides_i10() {
        let check = |initial_interval, max_interval, expected: usize| {
            let policy = RetryPolicy { initial_interval, max_interval, ..policy(3, Backoff::Fixed) };
            assert_eq!(policy.problems().len(), expected, "{initial_interval}, {max_interval}");
        };
        check(RETRY_INTERVAL_SECONDS_MAX, RETRY_INTERVAL_SECONDS_MAX, 0);
        check(1, RETRY_INTERVAL_SECONDS_MAX + 1, 1);
        check(RETRY_INTERVAL_SECONDS_MAX + 1, RETRY_INTERVAL_SECONDS_MAX + 1, 2);
    }

    #[test]
    fn a_server_says_when_in_seconds_or_as_a_date_and_a_day_at_most() {
        let now: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        let check = |value: &str, expected: Option<f64>| {
            assert_eq!(RetryAfter::read(value).map(|after| after.wait_seconds(now)), expected, "{value:?}");
        };
        check("6", Some(6.0));
        check(" 120 ", Some(120.0));
        check("0", Some(0.0));
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some(60.0));
        check("Sun, 06 Nov 1994 08:49:07 GMT", Some(0.0));
        check("86400", Some(86_400.0));
        check("86401", Some(86_400.0));
        check("99999999999999999999", Some(86_400.0));
        check("Wed, 06 Nov 2999 08:50:37 GMT", Some(86_400.0));
        for odd in ["", "soon", "-1", "1.5", "6 seconds", "***"] {
            check(odd, None);
        }
    }

    #[test]
    fn a_policy_says_which_failures_are_tried_again() {
        let on = |value: serde_json::Value| serde_json::from_value::<RetryOn>(value).unwrap();
        let statuses = on(serde_json::json!([409, 423]));
        assert!(statuses.means("http_status", Some(409)) && statuses.means("http_status", Some(423)));
        assert!(!statuses.means("http_status", Some(424)) && !statuses.means("http_status", Some(408)));
        assert!(!statuses.means("timeout", Some(409)), "the answer broke off");
        let code = on(serde_json::json!("timeout"));
        assert!(code.means("timeout", None) && !code.means("http_status", Some(500)));
    }

    #[test]
    fn the_time_of_all_attempts_has_a_limit_on_both_sides() {
        let with = |max_elapsed| RetryPolicy { max_elapsed, ..policy(3, Backoff::Fixed) };
        assert!(with(Some(10)).has_time(4.0, 6.0) && !with(Some(10)).has_time(4.1, 6.0));
        assert!(with(None).has_time(1e9, 1e9));
        let problems = |max_elapsed| with(Some(max_elapsed)).problems().len();
        assert_eq!((problems(1), problems(RETRY_ELAPSED_SECONDS_MAX)), (0, 0));
        assert_eq!((problems(0), problems(RETRY_ELAPSED_SECONDS_MAX + 1)), (1, 1));
        let empty = RetryPolicy { on: Some(Vec::new()), ..policy(3, Backoff::Fixed) };
        assert_eq!(empty.problems()[0].0, "on");
    }
}
