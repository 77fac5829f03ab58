//! `sent_at`: the instant of an attempt, which only the executor knows.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The written form of an attempt's instant; always in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFormat {
    /// Seconds since 1970: `1767225600`.
    Unix,
    /// Milliseconds since 1970: `1767225600000`.
    UnixMs,
    /// `2026-01-01T00:00:00Z`
    Rfc3339,
    /// `20260101T000000Z`, as AWS writes it.
    Basic,
    /// `Thu, 01 Jan 2026 00:00:00 GMT`, as HTTP's `Date` header has it (RFC 9110).
    Http,
    /// `2026-01-01`
    Date,
}

impl TimeFormat {
    /// All of them.
    pub const ALL: &[TimeFormat] =
        &[Self::Unix, Self::UnixMs, Self::Rfc3339, Self::Basic, Self::Http, Self::Date];

    /// As the author writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::UnixMs => "unix_ms",
            Self::Rfc3339 => "rfc3339",
            Self::Basic => "basic",
            Self::Http => "http",
            Self::Date => "date",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.word() == word)
    }

    /// The instant as text.
    #[must_use]
    pub fn write(self, instant: Timestamp) -> String {
        let utc = || instant.to_zoned(TimeZone::UTC);
        match self {
            Self::Unix => instant.as_second().to_string(),
            Self::UnixMs => instant.as_millisecond().to_string(),
            Self::Rfc3339 => utc().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Self::Basic => utc().strftime("%Y%m%dT%H%M%SZ").to_string(),
            Self::Http => utc().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
            Self::Date => utc().strftime("%Y-%m-%d").to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_in_every_format() {
        let instant = Timestamp::from_millisecond(1_767_225_600_999).unwrap();
        let written: Vec<_> = TimeFormat::ALL.iter().map(|format| format.write(instant)).collect();
        assert_eq!(
            written,
            [
                "1767225600",
                "1767225600999",
                "2026-01-01T00:00:00Z",
                "20260101T000000Z",
                "Thu, 01 Jan 2026 00:00:00 GMT",
                "2026-01-01"
            ]
        );
        for format in TimeFormat::ALL {
            assert_eq!(TimeFormat::named(format.word()), Some(*format));
            assert_eq!(serde_json::to_value(format).unwrap(), format.word());
        }
        assert_eq!(TimeFormat::named("RFC3339"), None);
    }
}
