//! The times of the executor, derived from the component limit, the operator's one setting.

use crate::limits::COMPONENT_SECONDS_MAX;

/// The times of the executor, seconds. Their order: component limit + finish margin < lease <
/// function timeout <= visibility timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The longest time of a component: the component limit.
    pub component_seconds_max: u32,
    /// The longest time to record an outcome, database trouble included.
    pub finish_margin_seconds: u32,
    /// The lease: the time in which one claim alone may record the outcome.
    pub lease_seconds: u32,
    /// The executor function's timeout.
    pub function_timeout_seconds: u32,
    /// The execution queue's visibility timeout; AWS asks for six function timeouts.
    pub visibility_timeout_seconds: u32,
}

/// The error of a component limit out of range.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the component limit must be 1 to {COMPONENT_SECONDS_MAX} seconds")]
pub struct TimesError;

impl Times {
    /// Derives all times from the component limit.
    ///
    /// # Errors
    /// [`TimesError`] when the limit is not 1 to [`COMPONENT_SECONDS_MAX`].
    pub fn derive(component_seconds_max: u32) -> Result<Self, TimesError> {
        if !(1..=COMPONENT_SECONDS_MAX).contains(&component_seconds_max) {
            return Err(TimesError);
        }
        let finish_margin_seconds = 5 + component_seconds_max / 10;
        let lease_seconds = component_seconds_max + finish_margin_seconds + 5;
        // A batch that takes its whole lease leaves room for one quarantined item after it.
        let function_timeout_seconds = lease_seconds + component_seconds_max + finish_margin_seconds + 5;
        let visibility_timeout_seconds = 6 * function_timeout_seconds;
        Ok(Self {
            component_seconds_max,
            finish_margin_seconds,
            lease_seconds,
            function_timeout_seconds,
            visibility_timeout_seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_stand_in_their_order_for_every_setting() {
        for limit in 1..=COMPONENT_SECONDS_MAX {
            let times = Times::derive(limit).unwrap();
            assert!(times.component_seconds_max + times.finish_margin_seconds < times.lease_seconds);
            let alone = times.component_seconds_max + times.finish_margin_seconds;
            assert!(
                times.lease_seconds + alone < times.function_timeout_seconds,
                "a batch, then a quarantined item"
            );
            assert!(times.function_timeout_seconds * 6 <= times.visibility_timeout_seconds);
            assert!(times.function_timeout_seconds <= 900, "Lambda's own limit");
        }
        assert_eq!(Times::derive(0), Err(TimesError));
        assert_eq!(Times::derive(COMPONENT_SECONDS_MAX + 1), Err(TimesError));
    }

    #[test]
    fn the_template_has_the_same_times() {
        let template = include_str!("../../../template.yaml");
        let (_, rows) = template.split_once("  ExecutorSeconds:\n").expect("the mapping");
        let rows: Vec<&str> = rows.lines().take_while(|row| row.starts_with("    ")).collect();
        assert!(!rows.is_empty());
        for row in rows {
            let limit: u32 = row.split('\'').nth(1).and_then(|text| text.parse().ok()).expect("a limit");
            let Times { lease_seconds, function_timeout_seconds, visibility_timeout_seconds, .. } =
                Times::derive(limit).unwrap();
            let expected = format!(
                "    '{limit}': {{ Lease: {lease_seconds}, Function: {function_timeout_seconds}, Visibility: {visibility_timeout_seconds} }}"
            );
            assert_eq!(row, expected);
        }
    }
}
