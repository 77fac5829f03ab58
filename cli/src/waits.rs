//! The time, people or work that a held execution waits for, in words: from its component and the
//! facts of its metadata.

use serde_json::Value;

use crate::output::{text, time};

/// A phrase such as `until 2026-12-01 14:03:00`; empty for an execution that isn't held.
pub(crate) fn waits_for(execution: &Value) -> String {
    if execution["state"] != domain::execution::ExecutionState::Held.as_str() {
        return String::new();
    }
    let facts = execution["metadata"].as_object().and_then(|metadata| {
        let component = text(execution, "component");
        metadata.get(if component == "wait_for_callback" { "callback" } else { &component })
    });
    let facts = facts.unwrap_or(&Value::Null);
    let until = |field: &str| match time(facts, field) {
        until if until.is_empty() => String::new(),
        until => format!(", until {until}"),
    };
    let number = |field: &str| facts[field].as_u64().unwrap_or_default();
    match text(execution, "component").as_str() {
        "approval" => {
            let given = format!("{} of {} approvals given", number("approvals"), number("needed"));
            let asked = approvers(&execution["configuration"]["approvers"]);
            format!("for {asked}: {given}{}", until("expires_at"))
        }
        "wait_for_callback" => format!("for a call{}", until("expires_at")),
        "merge" => match text(facts, "missing") {
            missing if missing.is_empty() => format!("for its sources{}", until("until")),
            missing => format!("for {missing}{}", until("until")),
        },
        "for_each" => {
            let (ended, count) = (number("ended"), number("count"));
            let failed = match number("failed") {
                0 => String::new(),
                failed => format!(", {failed} failed"),
            };
            format!("{ended} of {count} done{failed}")
        }
        "loop" => {
            let (turns, most) = (number("iterations"), number("max_iterations"));
            match time(facts, "next_at") {
                next if next.is_empty() => format!("in turn {turns}, of {most} at most"),
                next => format!("for turn {} of {most} at most, at {next}", turns + 1),
            }
        }
        "run_workflow" => match text(facts, "run_id") {
            run if run.is_empty() => format!("to call {}", text(facts, "workflow")),
            run => format!("for run {run} of {}{}", text(facts, "workflow"), until("until")),
        },
        _ => match time(execution, "wake_at") {
            until if until.is_empty() => String::new(),
            until => format!("until {until}"),
        },
    }
}

/// The people who may decide, such as `role admin or user ada@example.com`. The configuration is not shown to
/// everybody.
fn approvers(approvers: &Value) -> String {
    if approvers.is_null() {
        return "its approvers".to_owned();
    }
    let one = |approver: &Value| {
        let named =
            ["user", "role"].iter().find_map(|kind| Some(format!("{kind} {}", approver[kind].as_str()?)));
        named.unwrap_or_else(|| "anyone".to_owned())
    };
    let all: Vec<String> = approvers.as_array().into_iter().flatten().map(one).collect();
    if all.is_empty() { "anyone".to_owned() } else { all.join(" or ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn held(component: &str, facts: &Value) -> Value {
        let name = if component == "wait_for_callback" { "callback" } else { component };
        json!({ "state": "held", "component": component, "metadata": { name: facts }, "configuration": {} })
    }

    #[test]
    fn each_component_says_until_when_or_for_whom() {
        let check = |component: &str, facts: Value, expected: &str| {
            assert_eq!(waits_for(&held(component, &facts)), expected, "{component}");
        };
        let at = "2026-12-01T14:03:00Z";
        let shown = time(&json!({ "at": at }), "at");
        check("wait_for_callback", json!({ "expires_at": at }), &format!("for a call, until {shown}"));
        check("merge", json!({ "missing": ["A", "B"] }), "for A, B");
        check("merge", json!({ "missing": ["B"], "until": at }), &format!("for B, until {shown}"));
        check("for_each", json!({ "ended": 3, "count": 10, "failed": 0 }), "3 of 10 done");
        check("for_each", json!({ "ended": 3, "count": 10, "failed": 1 }), "3 of 10 done, 1 failed");
        check("loop", json!({ "iterations": 2, "max_iterations": 5 }), "in turn 2, of 5 at most");
        let next = json!({ "iterations": 2, "max_iterations": 5, "next_at": at });
        check("loop", next, &format!("for turn 3 of 5 at most, at {shown}"));
        check("run_workflow", json!({ "workflow": "w" }), "to call w");
        check("run_workflow", json!({ "workflow": "w", "run_id": "r" }), "for run r of w");
        let mut approval = held("approval", &json!({ "approvals": 1, "needed": 2, "expires_at": at }));
        approval["configuration"] =
            json!({ "approvers": [{ "role": "admin" }, { "user": "ada" }, { "anyone": true }] });
        let expected = format!("for role admin or user ada or anyone: 1 of 2 approvals given, until {shown}");
        assert_eq!(waits_for(&approval), expected);
        // Its configuration is data.
        approval["configuration"] = Value::Null;
        let expected = format!("for its approvers: 1 of 2 approvals given, until {shown}");
        assert_eq!(waits_for(&approval), expected);
        let wait = json!({ "state": "held", "component": "wait", "metadata": {}, "wake_at": at });
        assert_eq!(waits_for(&wait), format!("until {shown}"));
    }

    #[test]
    fn what_is_not_held_waits_for_nothing() {
        assert_eq!(waits_for(&json!({ "state": "finished", "component": "wait", "wake_at": "x" })), "");
        assert_eq!(waits_for(&json!({ "state": "held", "component": "new" })), "");
    }
}
