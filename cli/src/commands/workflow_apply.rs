use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use domain::limits::DEFINITION_BYTES_MAX;
use jiff::Timestamp;
use serde_json::Value;

use super::paste::hint;
use super::schedule_next::{coming, definition_schedules, readable};
use crate::api::Body;
use crate::context::Context;
use crate::failure::{Failure, Place, Source, render_place};
use crate::output::{Format, emit, now, print_json, printable, text};

/// Apply a definition: what differs is changed, and said.
#[derive(Args)]
pub(crate) struct Apply {
    /// The definition, YAML or JSON; `-` reads standard input.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Only if the workflow has this version; 0: only if there is none yet.
    #[arg(long, value_name = "VERSION")]
    expected_version: Option<i64>,
    /// Only say what would change.
    #[arg(long)]
    check: bool,
}

impl Apply {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let source = read_definition(&self.file)?;
        let mut query = Vec::new();
        query.extend(self.expected_version.map(|version| ("expected_version", version.to_string())));
        query.extend(self.check.then(|| ("check", "true".to_owned())));
        let bytes = zeroize::Zeroizing::new(source.text.clone().into_bytes());
        let body = Body { content_type: "application/yaml", bytes };
        match context.api.put("/v1/workflows", &query, &body) {
            Ok(answer) => {
                match context.format {
                    Format::Json => print_json(&answer),
                    Format::Human => emit(&render(&answer, &source, now())),
                }
                Ok(())
            }
            Err(Failure::Refused(mut refusal)) => {
                refusal.source = Some(source);
                Err(Failure::Refused(refusal))
            }
            Err(failure) => Err(failure),
        }
    }
}

/// Reads a definition; `-` is standard input.
pub(super) fn read_definition(file: &Path) -> Result<Source, Failure> {
    let name = file.display().to_string();
    let is_input = name == "-";
    let most = DEFINITION_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let read = if is_input {
        std::io::stdin().take(most).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    let name = if is_input { "standard input".to_owned() } else { name };
    match read {
        Ok(read) if read > DEFINITION_BYTES_MAX => Err(Failure::Failed(format!(
            "{name} is larger than a definition may be, which is {DEFINITION_BYTES_MAX} bytes"
        ))),
        Ok(_) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Source { name, text }),
            Err(_) => Err(Failure::Failed(format!("{name} is no text in UTF-8"))),
        },
        Err(error) => Err(Failure::Failed(format!("{name} can't be read: {error}"))),
    }
}

/// The times of a schedule that an answer shows.
const TIMES_SHOWN: usize = 3;

fn render(answer: &Value, source: &Source, now: Timestamp) -> String {
    let mut out = String::new();
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        let place: Place = serde_json::from_value(warning.clone()).unwrap_or_default();
        out.push_str(&render_place("warning", &place, Some(source)));
    }
    let changes = render_changes(&answer["changes"]);
    for change in &changes {
        let _ = writeln!(out, "{}", printable(change));
    }
    let workflow = &answer["workflow"];
    let (name, version) = (printable(&text(workflow, "name")), text(workflow, "version"));
    let _ = match (answer["applied"].as_bool(), changes.is_empty()) {
        (Some(true), _) => writeln!(out, "applied {name}, version {version}"),
        (_, true) => writeln!(out, "nothing changes: {name} has version {version}"),
        (_, false) => writeln!(out, "checked only: nothing was changed"),
    };
    for hook in answer["webhooks"].as_array().into_iter().flatten() {
        render_webhook(&mut out, &name, hook);
    }
    // The API has taken the definition, so it can be read.
    for found in definition_schedules(&source.text).unwrap_or_default() {
        let times: Vec<String> =
            coming(&found.schedule, now).take(TIMES_SHOWN).map(|time| readable(&time)).collect();
        let times = if times.is_empty() { "no more".to_owned() } else { times.join(", ") };
        let _ = writeln!(out, "schedule {}: {}", printable(&found.node_id), printable(&times));
    }
    out
}

fn render_webhook(out: &mut String, workflow: &str, hook: &Value) {
    let (node, url) = (printable(&text(hook, "node_id")), printable(&text(hook, "url")));
    let _ = writeln!(out, "webhook {node}: {url} ({})", printable(&text(hook, "authentication")));
    for (field, name) in [("signing_key", "signing key"), ("token", "token")] {
        if let Some(value) = hook[field].as_str() {
            let _ = writeln!(out, "  {name}, shown only now: {}", printable(value));
        }
    }
    // Only who has just made a webhook has something to do at its sender.
    let is_new = hook["signing_key"].is_string() || hook["token"].is_string();
    let sender = hook["sender"].as_str().and_then(|sender| sender.parse().ok()).filter(|_| is_new);
    if let Some(hint) = sender.and_then(|sender| hint(sender, &format!("{workflow}/{node}"))) {
        let _ = writeln!(out, "  {hint}");
    }
}

/// A line for each change, as `definition_check::Changes` shows them.
fn render_changes(changes: &Value) -> Vec<String> {
    let list = |field: &str| changes[field].as_array().cloned().unwrap_or_default();
    let edge =
        |edge: &Value| format!("{} -[{}]-> {}", text(edge, "from"), text(edge, "channel"), text(edge, "to"));
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    lines.extend(list("workflow").iter().map(|field| format!("~ {}", word(field))));
    lines.extend(list("added").iter().map(|id| format!("+ node {}", word(id))));
    lines.extend(list("removed").iter().map(|id| format!("- node {}", word(id))));
    lines.extend(
        list("changed").iter().map(|node| format!("~ node {} ({})", text(node, "id"), text(node, "fields"))),
    );
    lines.extend(list("edges_added").iter().map(|found| format!("+ edge {}", edge(found))));
    lines.extend(list("edges_removed").iter().map(|found| format!("- edge {}", edge(found))));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source() -> Source {
        Source { name: "w.yaml".into(), text: "name: w\n".into() }
    }

    #[test]
    fn an_answer_says_what_changed_and_shows_a_key_once() {
        let answer = json!({
            "workflow": { "name": "w", "version": 3 }, "applied": true,
            "changes": { "workflow": [], "added": ["a"], "removed": [], "changed": [{ "id": "b", "fields": ["name", "keys"] }],
                "edges_added": [{ "from": "a", "channel": "default", "to": "b" }], "edges_removed": [] },
            "warnings": [{ "line": 1, "column": 7, "field": "name", "message": "m" }],
            "webhooks": [{ "node_id": "a", "url": "https://x/hooks/1", "authentication": "signature", "sender": "bitbucket", "signing_key": "k" }],
        });
        assert_eq!(
            render(&answer, &source(), Timestamp::UNIX_EPOCH),
            "w.yaml:1:7: warning: name: m\n | name: w\n |       ^\n+ node a\n~ node b (name, keys)\n\
             + edge a -[default]-> b\napplied w, version 3\nwebhook a: https://x/hooks/1 (signature)\n\
             \u{20} signing key, shown only now: k\n\
             \u{20} paste the address and the key: Repository settings, Webhooks, as URL and secret\n"
        );
    }

    #[test]
    fn an_apply_without_changes_says_so() {
        let mut answer =
            json!({ "workflow": { "name": "w", "version": 3 }, "applied": false, "changes": {} });
        assert_eq!(render(&answer, &source(), Timestamp::UNIX_EPOCH), "nothing changes: w has version 3\n");
        answer["changes"] = json!({ "removed": ["a"] });
        assert_eq!(
            render(&answer, &source(), Timestamp::UNIX_EPOCH),
            "- node a\nchecked only: nothing was changed\n"
        );
    }
}
