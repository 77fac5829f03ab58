use clap::Args;
use serde_json::{Value, json};

use super::run_watch;
use crate::api::{Body, segment};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, print_json, printable, say, text};

/// Start a run of a workflow that has a `start` trigger.
#[derive(Args)]
pub(crate) struct Start {
    /// The workflow, by name or id.
    workflow: String,
    /// The trigger's node id; not needed where there is only one.
    #[arg(long)]
    node: Option<String>,
    /// The event's data: JSON, or `@FILE`.
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// Watch the run until it ends; exit status 3 if it fails, 9 if it is cancelled.
    #[arg(long)]
    watch: bool,
}

impl Start {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut body = json!({ "data": read_data(self.data.as_deref())? });
        if let Some(node) = &self.node {
            body["node_id"] = json!(node);
        }
        let path = format!("/v1/workflows/{}/runs", segment(&self.workflow));
        let answer = context.api.post(&path, &Body::json(&body))?;
        let run_id = text(&answer, "run_id");
        match (context.format, self.watch) {
            (Format::Json, false) => print_json(&answer),
            (Format::Json, true) => {}
            (Format::Human, _) => say!("started run {}", printable(&run_id)),
        }
        if self.watch { run_watch::watch(context, &run_id, run_watch::TIMEOUT_SECONDS) } else { Ok(()) }
    }
}

fn read_data(data: Option<&str>) -> Result<Value, Failure> {
    let Some(data) = data else {
        return Ok(json!({}));
    };
    let (text, name) = match data.strip_prefix('@') {
        Some(file) => match std::fs::read_to_string(file) {
            Ok(text) => (text, file),
            Err(error) => return Err(Failure::Failed(format!("{file} can't be read: {error}"))),
        },
        None => (data.to_owned(), "--data"),
    };
    // Some editors put a byte order mark before a text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    serde_json::from_str(text).map_err(|error| {
        Failure::Usage(format!("{name} is no JSON: line {}, column {}", error.line(), error.column()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_json_or_nothing() {
        assert_eq!(read_data(None).unwrap(), json!({}));
        assert_eq!(read_data(Some(r#"{"a": [1]}"#)).unwrap(), json!({ "a": [1] }));
        assert_eq!(read_data(Some("\u{feff}[1]")).unwrap(), json!([1]));
        assert!(matches!(read_data(Some("{a}")), Err(Failure::Usage(_))));
        assert!(matches!(read_data(Some("@/does/not/exist")), Err(Failure::Failed(_))));
    }
}
