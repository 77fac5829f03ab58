//! The one place in this crate that reads the clock: the stand-in for a cloud gives the time to the
//! functions that run in it.

/// Now, for deadlines and time stamps.
#[expect(
    clippy::disallowed_methods,
    reason = "the local stack stands in for Lambda and SQS, which own a clock"
)]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    now().as_millisecond()
}
