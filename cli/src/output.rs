//! The output: tables for people, JSON for scripts.

use std::io::Write as _;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, ContentArrangement, Table};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// The form in which answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Tables and sentences.
    Human,
    /// JSON as the API gave it.
    Json,
}

/// Prints a line.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::output::emit(&format!("{}\n", format_args!($($argument)*)))
    };
}
pub(crate) use say;

/// Writes to standard output. A program that reads the output may stop (`| head`), which is no
/// failure.
pub(crate) fn emit(text: &str) {
    let mut output = std::io::stdout().lock();
    if let Err(error) = output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        let nobody_reads = error.kind() == std::io::ErrorKind::BrokenPipe;
        std::process::exit(i32::from(!nobody_reads));
    }
}

/// Text with control characters (and those that turn the direction of text) escaped, so that data
/// can't steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if is_steering(c) { c.escape_unicode().to_string() } else { c.to_string() })
        .collect()
}

/// [`printable`], with line breaks left as they are.
pub(crate) fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Prints rows under a header; says so when there are none.
pub(crate) fn print_table(header: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        say!("none");
        return;
    }
    say!("{}", render_table(header, rows));
}

fn render_table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    // Lines are never folded, so that an id that is selected and pasted stays whole.
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|name| Cell::new(name.to_uppercase())));
    for row in rows {
        table.add_row(row.iter().map(|cell| Cell::new(printable(cell))));
    }
    table
        .lines()
        .map(|line| line.trim_end().strip_prefix(' ').unwrap_or_default().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Prints JSON, indented. Characters that steer a terminal are written as escapes of JSON.
pub(crate) fn print_json(value: &Value) {
    say!("{}", render_json(value));
}

fn render_json(value: &Value) -> String {
    escape_json(&format!("{value:#}"))
}

/// JSON on one line, escaped like [`print_json`]'s.
pub(crate) fn json_line(value: &Value) -> String {
    escape_json(&value.to_string())
}

fn escape_json(text: &str) -> String {
    // Outside of strings, JSON has no steering character but the line breaks of its layout.
    let escape = |c: char| {
        let is_in_string = c != '\n' && is_steering(c);
        if is_in_string { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }
    };
    text.chars().map(escape).collect()
}

/// A field of a row as text: empty for null and for a missing field.
pub(crate) fn text(row: &Value, field: &str) -> String {
    match &row[field] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            map.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// A field that is an actor: its name, and its kind where that is no token.
pub(crate) fn actor(row: &Value, field: &str) -> String {
    let actor = &row[field];
    match actor["kind"].as_str() {
        None => String::new(),
        Some("token" | "member") => text(actor, "name"),
        Some(kind) => format!("{} ({kind})", text(actor, "name")),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Now. What is below takes the time as it is given.
#[expect(clippy::disallowed_methods, reason = "the edge")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// A field that is a time, in the machine's time zone.
pub(crate) fn time(row: &Value, field: &str) -> String {
    let text = text(row, field);
    match text.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => text,
    }
}

/// The time of day of a field that is a time, with milliseconds.
pub(crate) fn time_of_day(row: &Value, field: &str) -> String {
    let text = text(row, field);
    match text.parse::<Timestamp>() {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string(),
        Err(_) => text,
    }
}

/// The result of an execution, with the reason if that says more.
pub(crate) fn outcome(execution: &Value) -> String {
    let (result, reason) = (text(execution, "result"), text(execution, "result_reason"));
    if reason.is_empty() || reason == result { result } else { format!("{result} ({reason})") }
}

/// The result of a run once it has one, before that its state.
pub(crate) fn run_outcome(run: &Value) -> String {
    let result = text(run, "result");
    if result.is_empty() { text(run, "state") } else { result }
}

/// A field of milliseconds.
pub(crate) fn duration(row: &Value, field: &str) -> String {
    row[field].as_i64().map(render_duration).unwrap_or_default()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds with two places are shown, far inside what f64 holds"
)]
fn render_duration(milliseconds: i64) -> String {
    match milliseconds {
        under if under < 1_000 => format!("{under} ms"),
        under if under < 60_000 => format!("{:.2} s", under as f64 / 1_000.0),
        more => format!("{} min {} s", more / 60_000, more % 60_000 / 1_000),
    }
}

/// Text on one line, cut to `chars_max` characters.
pub(crate) fn shortened(text: &str, chars_max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_steers_no_terminal_and_stays_the_same() {
        let value = serde_json::json!({ "a\u{9b}31m": "x\u{202e}y\u{1b}[2J\nz", "ä": ["\u{feff}"] });
        let shown = render_json(&value);
        assert!(shown.chars().all(|c| c == '\n' || !is_steering(c)), "{shown:?}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }

    #[test]
    fn data_can_not_steer_the_terminal() {
        let check = |text: &str, expected: &str| assert_eq!(printable(text), expected);
        check("plain äöü 漢", "plain äöü 漢");
        check("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}");
        check("a\nb\tc\r", "a\\u{a}b\\u{9}c\\u{d}");
        check("\u{202e}abc", "\\u{202e}abc");
        check("\u{9b}31m", "\\u{9b}31m");
        assert_eq!(printable_lines("a\nb\u{7}"), "a\nb\\u{7}");
    }

    #[test]
    fn a_table_has_its_columns_under_each_other() {
        let text = render_table(
            &["id", "name"],
            vec![vec!["1".into(), "a".into()], vec!["22".into(), "b\n".into()]],
        );
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].contains("ID") && lines[0].contains("NAME"));
        assert!(lines[2].contains("b\\u{a}"));
    }

    #[test]
    fn fields_are_text() {
        let row = json!({ "a": null, "b": "x", "c": 3, "d": ["p", "q"], "e": { "k": "v" } });
        let check = |field, expected| assert_eq!(text(&row, field), expected);
        check("a", "");
        check("none", "");
        check("b", "x");
        check("c", "3");
        check("d", "p, q");
        check("e", "k=v");
    }

    #[test]
    fn an_outcome_has_its_reason_where_that_says_more() {
        let check = |result: Value, reason: Value, expected| {
            assert_eq!(outcome(&json!({ "result": result, "result_reason": reason })), expected);
        };
        check(Value::Null, Value::Null, "");
        check(json!("passed"), Value::Null, "passed");
        check(json!("failed"), json!("timeout"), "failed (timeout)");
        check(json!("cancelled"), json!("cancelled"), "cancelled");
    }

    #[test]
    fn durations_read_well() {
        let check = |milliseconds, expected| assert_eq!(render_duration(milliseconds), expected);
        check(0, "0 ms");
        check(999, "999 ms");
        check(1_500, "1.50 s");
        check(61_000, "1 min 1 s");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(shortened("äöü äöü", 5), "äöü ä…");
        assert_eq!(shortened("a\n b", 5), "a b");
    }
}
