//! The bounds of a held component's step, whatever component it is.

use components::{Component, Step, Then};
use domain::execution::ResultReason;
use domain::json::compact_bytes;
use domain::limits::{EMISSIONS_MAX, HELD_BYTES_MAX, WAIT_SECONDS_MAX};
use domain::outcome::Failure;
use jiff::Timestamp;

/// Checks a step against its bounds.
///
/// # Errors
/// [`Failure`] with which the execution ends: the component asks for more than it may, which is a
/// bug of ours.
pub(super) fn check_step(component: &dyn Component, step: Step, now: Timestamp) -> Result<Step, Failure> {
    let limit = |what: String| {
        Err(Failure::new(ResultReason::Limit, "held_limit", format!("{what}; please report it")))
    };
    if step.emissions.len() > EMISSIONS_MAX {
        return limit(format!("the component emits more than {EMISSIONS_MAX} events at once"));
    }
    let undeclared = step.emissions.iter().find(|emission| !component.channels().contains(&emission.channel));
    if let Some(emission) = undeclared {
        return limit(format!(
            "the component emits on `{}`, a channel that it does not have",
            emission.channel
        ));
    }
    let kept = match &step.then {
        Then::Held { held, .. } => compact_bytes(held),
        Then::Ended(_) => 0,
    };
    if kept.max(compact_bytes(&step.facts)) > HELD_BYTES_MAX {
        return limit(format!("the component keeps more than {HELD_BYTES_MAX} bytes"));
    }
    if let Then::Held { wake: Some(wake), .. } = &step.then {
        let wait = wake.wait_from(now);
        if wait.is_zero() {
            return limit("the component asks to be woken at once or in the past".to_owned());
        }
        if wait.as_secs_f64() > WAIT_SECONDS_MAX as f64 {
            return limit("the component asks to be held for too long".to_owned());
        }
    }
    Ok(step)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use components::{Emission, EmissionData, held};
    use domain::held::WakeTime;
    use serde_json::{Value, json};

    use super::*;

    fn is_taken(step: Step) -> bool {
        check_step(held("wait").unwrap(), step, Timestamp::UNIX_EPOCH).is_ok()
    }

    fn step(emissions: usize, held: Value, facts: Value, wake: Option<WakeTime>) -> Step {
        let emission = Emission { channel: "default", data: EmissionData::Input };
        Step { emissions: vec![emission; emissions], facts, then: Then::Held { held, wake } }
    }

    #[test]
    fn a_step_has_limits_on_both_sides_i10() {
        let text = |bytes: usize| json!("x".repeat(bytes - 2));
        assert!(is_taken(step(EMISSIONS_MAX, text(HELD_BYTES_MAX), text(HELD_BYTES_MAX), None)));
        assert!(!is_taken(step(EMISSIONS_MAX + 1, json!({}), json!({}), None)));
        assert!(!is_taken(step(0, text(HELD_BYTES_MAX + 1), json!({}), None)));
        assert!(!is_taken(step(0, json!({}), text(HELD_BYTES_MAX + 1), None)));
    }

    #[test]
    fn a_component_is_woken_later_and_not_too_late_i10() {
        let woken = |wake: WakeTime| is_taken(step(0, json!({}), json!({}), Some(wake)));
        assert!(woken(WakeTime::After(Duration::from_secs(WAIT_SECONDS_MAX))));
        assert!(!woken(WakeTime::After(Duration::from_secs(WAIT_SECONDS_MAX + 1))));
        assert!(woken(WakeTime::After(Duration::from_millis(1))));
        assert!(!woken(WakeTime::After(Duration::ZERO)), "it would be woken for ever");
        assert!(!woken(WakeTime::At(Timestamp::UNIX_EPOCH)) && !woken(WakeTime::At(Timestamp::MIN)));
    }

    #[test]
    fn a_component_emits_on_its_channels_alone() {
        let emission = Emission { channel: "approved", data: EmissionData::Input };
        let then = Then::Ended(Ok(()));
        assert!(!is_taken(Step { emissions: vec![emission], facts: json!({}), then }));
    }
}
