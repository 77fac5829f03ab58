use jiff::{SignedDuration, Timestamp};

/// The source of the time. Tests shift it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    shift: SignedDuration,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Now, by the machine's clock: [`Clock::now`] as a plain function.
    #[must_use]
    pub fn system_now() -> Timestamp {
        Self::system().now()
    }

    /// A clock that runs ahead of the machine's by `shift`.
    #[must_use]
    pub fn shifted(shift: SignedDuration) -> Self {
        Self { shift }
    }

    /// Now, to the microsecond, the precision of Postgres.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn now(&self) -> Timestamp {
        let now = Timestamp::now().saturating_add(self.shift).unwrap_or(Timestamp::MAX);
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}

/// The time left that a function assumes where the deadline lies in the past, as a development
/// server's constant does.
pub const DEADLINE_LEAST: std::time::Duration = std::time::Duration::from_secs(30);

/// The end of an invocation.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: std::time::Instant,
}

impl Deadline {
    /// The deadline of an invocation: `unix_millis` as the Lambda runtime gives it, but never less
    /// than `least` from now, since some development servers send a constant in the past.
    #[must_use]
    pub fn of_invocation(now: Timestamp, unix_millis: u64, least: std::time::Duration) -> Self {
        let left = i64::try_from(unix_millis).unwrap_or(i64::MAX).saturating_sub(now.as_millisecond());
        let left = std::time::Duration::from_millis(u64::try_from(left).unwrap_or(0));
        Self::after(if left.is_zero() { least } else { left })
    }

    /// A deadline `left` from now.
    #[must_use]
    pub fn after(left: std::time::Duration) -> Self {
        Self { at: std::time::Instant::now() + left }
    }

    /// The time that is left.
    #[must_use]
    pub fn left(&self) -> std::time::Duration {
        self.at.saturating_duration_since(std::time::Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_deadline_in_the_past_leaves_the_least() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let left = |millis| Deadline::of_invocation(now, millis, Duration::from_secs(30)).left();
        assert!(left(600_000) > Duration::from_secs(29), "cargo lambda's constant deadline");
        assert!(left(1_000_005_000) > Duration::from_secs(4));
        assert!(left(1_000_005_000) <= Duration::from_secs(5));
    }
}
