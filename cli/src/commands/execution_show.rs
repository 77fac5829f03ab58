use clap::Args;
use serde_json::Value;

use super::Context;
use crate::api::segment;
use crate::failure::Failure;
use crate::output::{Format, duration, emit, print_json, printable, printable_lines, text, time};

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
    line("run", text(execution, "root_event_id"));
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
    line("cancelled by", text(execution, "cancelled_by"));
    line("redriven by", text(execution, "redriven_event_id"));
    line("slot of key", text(execution, "concurrency_key"));
    line("keys", text(execution, "keys"));
    let message = text(execution, "result_message");
    if !message.is_empty() {
        out.push_str(&format!("\nmessage\n{}\n", printable_lines(&message)));
    }
    for field in ["configuration", "metadata"] {
        out.push_str(&format!("\n{field}\n{}\n", printable_lines(&format!("{:#}", execution[field]))));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
