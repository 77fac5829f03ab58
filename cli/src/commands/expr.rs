use std::io::{BufWriter, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use expression::FieldKind;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::{Format, emit, print_json, printable, printable_lines};
use crate::trial::{EnvironmentError, Mistake, Recorded, Source, Stored, batch, store};

/// Bytes of an environment file.
const ENVIRONMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Try an expression on a recorded event; needs neither API nor token.
///
/// sealflow expr '$["Push"].data.ref + "!"' --env env.json
///
/// env.json, of which everything may be left out: {"$": {"Push": {"type": "webhook", "timestamp":
/// "…", "data": {}, "config": {}}}, "root": {"data": {}}, "previous": [{"data": {}}], "run": {},
/// "app": {}, "now": "2026-01-02T15:04:05Z"}
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Expr {
    /// The expression; with --field a template.
    #[arg(value_name = "EXPR", required_unless_present = "batch", conflicts_with = "batch")]
    expression: Option<String>,
    /// The environment of the expression, as JSON.
    #[arg(long, value_name = "FILE")]
    env: Option<PathBuf>,
    /// Take EXPR as such a field of a configuration, with `{{ }}` in it.
    #[arg(long, value_enum, conflicts_with = "batch")]
    field: Option<Field>,
    /// Show what is stored: what people see, the secrets that are needed, and what is left for the
    /// executor.
    #[arg(long, conflicts_with = "batch")]
    residual: bool,
    /// Read one question a line, `{"id", "expr"}` or `{"id", "template", "field"}` and perhaps
    /// `"secrets": {"name": {"key": "value"}}`, from standard input, and answer one line each:
    /// always JSON.
    #[arg(long)]
    batch: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Field {
    /// Always text.
    Text,
    /// A URL: each part is encoded for its place.
    Url,
    /// One whole `{{ }}` keeps its type.
    Typed,
    /// JSON, every string in it typed.
    Object,
}

impl Expr {
    pub(crate) fn run(&self, format: Format) -> Result<(), Failure> {
        let recorded = read_environment(self.env.as_deref())?;
        let Some(expression) = &self.expression else {
            return run_batch(&recorded);
        };
        let answer = store(&source(expression, self.field)?, &recorded);
        match (format, answer) {
            (Format::Human, Ok(stored)) if self.residual => emit(&render_stored(&stored)),
            (Format::Human, Ok(stored)) if stored.is_known() => emit(&render(&stored.display)),
            (Format::Human, Ok(stored)) => return Err(Failure::Failed(unknown_value(&stored))),
            (Format::Human, Err(mistake)) => return Err(Failure::Failed(mistake.render())),
            (Format::Json, Ok(stored)) => {
                if !self.residual && !stored.is_known() {
                    return Err(Failure::Failed(unknown_value(&stored)));
                }
                print_json(&to_json(&stored, if self.residual { Show::Stored } else { Show::Value }));
            }
            (Format::Json, Err(mistake)) => return refuse_in_json(&mistake),
        }
        Ok(())
    }
}

fn read_environment(file: Option<&Path>) -> Result<Recorded, Failure> {
    #[expect(clippy::disallowed_methods, reason = "the edge: everything below takes the time as it is given")]
    let now = Timestamp::now();
    let (content, name) = match file {
        Some(file) => (read_json(file)?, file.display().to_string()),
        None => (json!({}), String::new()),
    };
    Recorded::read(content, now)
        .map_err(|EnvironmentError(reason)| Failure::Failed(format!("{name} is no environment: {reason}")))
}

/// The byte order mark, which some editors and shells put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn read_json(file: &Path) -> Result<Value, Failure> {
    let name = file.display();
    let unreadable = |error| Failure::Failed(format!("{name} can't be read: {error}"));
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    opened.take(ENVIRONMENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > ENVIRONMENT_BYTES_MAX {
        return Err(Failure::Failed(format!("{name} is larger than {ENVIRONMENT_BYTES_MAX} bytes")));
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::Failed(format!("{name} is no JSON: line {}, column {}", error.line(), error.column()))
    })
}

fn source(expression: &str, field: Option<Field>) -> Result<Source, Failure> {
    let kind = match field {
        None => FieldKind::Expression,
        Some(Field::Text) => FieldKind::Text,
        Some(Field::Url) => FieldKind::Url,
        Some(Field::Typed) => FieldKind::Typed,
        Some(Field::Object) => {
            let object = serde_json::from_str(expression).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                Failure::Usage(format!("with --field object, EXPR is JSON: line {line}, column {column}"))
            })?;
            return Ok(Source::Object(object));
        }
    };
    Ok(Source::Text(expression.to_owned(), kind))
}

fn run_batch(recorded: &Recorded) -> Result<(), Failure> {
    let output = BufWriter::new(std::io::stdout().lock());
    match batch::answer_all(recorded, std::io::stdin().lock(), output) {
        // A program that reads the answers may stop (`| head`), which is no failure.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("the lines can't be read or answered: {error}")))
        }
        _ => Ok(()),
    }
}

/// The value as JSON, so that 1 and "1" differ.
fn render(value: &Value) -> String {
    format!("{}\n", printable_lines(&format!("{value:#}")))
}

fn render_stored(stored: &Stored) -> String {
    let display = render(&stored.display);
    if stored.is_known() {
        return format!("Stored, and seen by people (no secret is needed):\n{display}");
    }
    let refs = names(stored);
    let residuals = render(&stored.residuals());
    format!("Seen by people:\n{display}\nSecrets: {refs}\n\nLeft for the executor:\n{residuals}")
}

fn names(stored: &Stored) -> String {
    let name = |(name, key): &(String, String)| format!("{}.{}", printable(name), printable(key));
    stored.refs.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn unknown_value(stored: &Stored) -> String {
    format!("the value depends on secrets ({}); --residual shows what is stored", names(stored))
}

/// The forms of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Show {
    /// The value, where it depends on no secret.
    Value,
    /// The stored form too.
    Stored,
}

/// The answer of `--batch` without an id.
fn to_json(stored: &Stored, show: Show) -> Value {
    let mut answer = json!({ "ok": true });
    if stored.is_known() {
        answer["value"] = stored.display.clone();
    }
    if show == Show::Stored {
        answer["display"] = stored.display.clone();
        answer["residuals"] = stored.residuals();
        answer["refs"] = json!(stored.refs);
    }
    answer
}

fn refuse_in_json(mistake: &Mistake) -> Result<(), Failure> {
    print_json(&mistake.to_json());
    Err(Failure::Silent(Exit::Failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(source_text: &str, field: Option<Field>) -> Stored {
        let recorded = read_environment(None).unwrap();
        store(&source(source_text, field).unwrap(), &recorded).ok().unwrap()
    }

    #[test]
    fn what_is_stored_is_shown_in_three_parts() {
        let stored = stored(r#"Bearer {{ secrets("github").token }}"#, Some(Field::Text));
        let text = render_stored(&stored);
        let head =
            "Seen by people:\n\"Bearer {{ secrets(\\\"github\\\").token }}\"\n\nSecrets: github.token\n\n";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("\"path\": \"\""), "{text}");
        assert!(unknown_value(&stored).contains("(github.token)"));
        let answer = to_json(&stored, Show::Stored);
        assert_eq!((answer.get("value"), &answer["refs"]), (None, &json!([["github", "token"]])));
    }

    #[test]
    fn a_known_value_is_json() {
        let check = |source, field, expected: Value| {
            let stored = stored(source, field);
            assert_eq!(to_json(&stored, Show::Value), json!({ "ok": true, "value": expected }));
            assert!(render_stored(&stored).contains("no secret is needed"));
        };
        check("1 + 1", None, json!(2));
        check("{{ 1 + 1 }}", Some(Field::Text), json!("2"));
        check("{{ [1] }}", Some(Field::Typed), json!([1]));
        check("https://h.test/{{ 'a b' }}", Some(Field::Url), json!("https://h.test/a%20b"));
        check(r#"{"a": "{{ 1 }}"}"#, Some(Field::Object), json!({ "a": 1 }));
        assert_eq!(render(&json!("a\u{1b}\u{9b}")), "\"a\\u001b\\u{9b}\"\n");
    }

    #[test]
    fn what_can_not_be_read_is_said() {
        assert!(matches!(read_environment(Some(Path::new("/does/not/exist"))), Err(Failure::Failed(_))));
        assert!(matches!(source("{", Some(Field::Object)), Err(Failure::Usage(_))));
    }

    #[test]
    fn the_time_is_that_of_the_clock_where_none_is_recorded() {
        assert_eq!(stored("now().Year() > 2000", None).display, json!(true));
    }
}
