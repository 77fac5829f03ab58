use clap::Args;
use domain::execution::ExecutionResult;
use serde_json::{Value, json};

use crate::api::segment;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, actor, duration, emit, print_json, printable, printable_lines, text, time};
use crate::waits::waits_for;

/// Show one execution.
#[derive(Args)]
pub(crate) struct Show {
    /// Its id.
    execution: String,
}

impl Show {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let execution = context.api.get(&format!("/v1/executions/{}", segment(&self.execution)), &[])?;
        match context.format {
            Format::Json => print_json(&execution),
            Format::Human => emit(&render(&execution)),
        }
        Ok(())
    }
}

fn render(execution: &Value) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            out.push_str(&format!("{name:<14} {}\n", printable(&value)));
        }
    };
    line("id", text(execution, "id"));
    line("node", format!("{} ({})", text(execution, "node_name"), text(execution, "node_id")));
    line("component", text(execution, "component"));
    line("state", text(execution, "state"));
    line("result", text(execution, "result"));
    line("reason", text(execution, "result_reason"));
    line("run", text(execution, "run_id"));
    line("event", text(execution, "event_id"));
    line("previous", text(execution, "previous_execution_id"));
    line("parent", text(execution, "parent_execution_id"));
    line("created", time(execution, "created_at"));
    line("started", time(execution, "started_at"));
    line("finished", time(execution, "finished_at"));
    line("duration", duration(execution, "duration_ms"));
    line("attempt", text(execution, "attempt"));
    if execution["crashes"].as_i64().is_some_and(|crashes| crashes > 0) {
        line("crashes", text(execution, "crashes"));
    }
    line("not before", time(execution, "run_at"));
    line("waits", waits_for(execution));
    line("cancelled by", actor(execution, "cancelled_by"));
    line("redriven by", text(execution, "redriven_event_id"));
    line("slot of key", text(execution, "concurrency_key"));
    line("keys", text(execution, "keys"));
    let message = text(execution, "result_message");
    if !message.is_empty() {
        out.push_str(&format!("\nmessage\n{}\n", printable_lines(&message)));
    }
    out.push_str(&attempts(execution));
    let mut metadata = execution["metadata"].clone();
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("attempts");
    }
    for (field, value) in [("configuration", &execution["configuration"]), ("metadata", &metadata)] {
        if *value != json!({}) {
            out.push_str(&format!("\n{field}\n{}\n", printable_lines(&format!("{value:#}"))));
        }
    }
    out
}

/// A line for each attempt: when it began, what became of it, and which secrets it opened.
fn attempts(execution: &Value) -> String {
    let Some(attempts) = execution["metadata"]["attempts"].as_array().filter(|all| !all.is_empty()) else {
        return String::new();
    };
    let mut out = "\nattempts\n".to_owned();
    for attempt in attempts {
        let error = &attempt["error"];
        let outcome = if error.is_null() {
            ExecutionResult::Passed.to_string()
        } else {
            format!("{}: {}", text(error, "code"), text(error, "message"))
        };
        let secrets: Vec<&str> =
            attempt["secrets"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let opened =
            if secrets.is_empty() { String::new() } else { format!(" (opened {})", secrets.join(", ")) };
        let line = format!("{} {} {outcome}{opened}", text(attempt, "attempt"), time(attempt, "started_at"));
        out.push_str(&format!("{}\n", printable(&line)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_has_its_line() {
        let text = render(&json!({ "id": "1", "configuration": {}, "metadata": { "attempts": [
            { "attempt": 1, "started_at": "2026-11-26T01:02:03Z", "secrets": ["github.token"],
              "error": { "code": "http_status", "message": "the target answered 500\u{1b}[2J" } },
            { "attempt": 2, "started_at": "2026-11-26T01:02:09Z", "secrets": [] },
        ] } }));
        let (_, attempts) = text.split_once("\nattempts\n").expect("they are told");
        let lines: Vec<&str> = attempts.lines().collect();
        assert!(
            lines[0].starts_with("1 ") && lines[0].contains("http_status: the target answered 500"),
            "{text}"
        );
        assert!(lines[0].ends_with("(opened github.token)") && !lines[0].contains('\u{1b}'), "{text}");
        assert!(lines[1].starts_with("2 ") && lines[1].ends_with(" passed"), "{text}");
        assert!(!text.contains("metadata") && !text.contains("configuration"), "{text}");
    }

    #[test]
    fn a_message_keeps_its_lines_and_data_can_not_steer_the_terminal() {
        let text = render(&json!({
            "id": "1", "node_name": "Call", "node_id": "call", "state": "finished",
            "result_message": "no such name\n | previuos()\n | ^^^^^^^^", "configuration": { "url": "\u{9b}31m" }, "metadata": {},
        }));
        assert!(text.contains("\nno such name\n | previuos()\n | ^^^^^^^^\n"), "{text}");
        assert!(text.contains("\\u{9b}31m") && !text.contains('\u{9b}'), "{text}");
    }
}
