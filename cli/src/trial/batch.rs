//! Many expressions: each line of the input is a JSON object, and its answer is one on a line of
//! the output, in the same order.

use std::io::{self, BufRead, Read as _, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use expression::{ErrorKind, FieldKind, Span};
use secret_text::{Secrets, Values};
use serde_json::{Map, Value, json};

use super::{Mistake, Phase, Recorded, Source, store};

/// The most bytes of a line: it may hold secrets, and an object as large as a definition.
pub(crate) const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Answers every line of `input`; lines of white space are passed over.
///
/// # Errors
/// When input or output fails, never because of the content of a line.
pub(crate) fn answer_all(
    recorded: &Recorded,
    input: impl io::Read,
    mut output: impl Write,
) -> io::Result<()> {
    let mut input = io::BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            return output.flush();
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if read > LINE_BYTES_MAX {
            skip_line(&mut input)?;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        serde_json::to_writer(&mut output, &answer(recorded, &line))?;
        output.write_all(b"\n")?;
        // A caller may wait for this answer before it sends the next line.
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
}

/// Passes over the rest of a line.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (length, is_end) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(length);
        if is_end {
            return Ok(());
        }
    }
}

/// The answer to one line.
fn answer(recorded: &Recorded, line: &[u8]) -> Value {
    let refuse = |kind, message| {
        let span = Span::new(0, line.len());
        Mistake { phase: Phase::Apply, kind, message, span, source: String::new() }.to_json()
    };
    if line.len() > LINE_BYTES_MAX {
        let message = format!("the line is longer than {LINE_BYTES_MAX} bytes");
        return with_id(refuse(ErrorKind::Limit, message), Value::Null);
    }
    // No error repeats the content of the line, which may hold secrets.
    let fields = match serde_json::from_slice(line) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => {
            return with_id(refuse(ErrorKind::Syntax, "the line is no JSON object".to_owned()), Value::Null);
        }
        Err(error) => {
            let message = format!("the line is no JSON: column {}", error.column());
            return with_id(refuse(ErrorKind::Syntax, message), Value::Null);
        }
    };
    let id = fields.get("id").cloned().unwrap_or_default();
    // A panic over one line leaves the other lines their answers.
    let answered = catch_unwind(AssertUnwindSafe(|| match Question::read(fields) {
        Ok(question) => question.answer(recorded).unwrap_or_else(|mistake| mistake.to_json()),
        Err(message) => refuse(ErrorKind::Other, message.to_owned()),
    }));
    let answered = answered.unwrap_or_else(|_| {
        refuse(ErrorKind::Other, "sealflow has a bug: evaluating this panicked".to_owned())
    });
    with_id(answered, id)
}

fn with_id(mut answer: Value, id: Value) -> Value {
    answer["id"] = id;
    answer
}

/// The question of a line.
struct Question {
    source: Source,
    secrets: Option<Given>,
}

/// `{"name": {"key": "value"}}`
#[derive(Default)]
pub(crate) struct Given(Map<String, Value>);

impl Secrets for Given {
    fn value_bytes(&self, name: &str, key: &str) -> usize {
        self.get(name, key).map_or(0, str::len)
    }
}

impl Values for Given {
    fn get(&self, name: &str, key: &str) -> Option<&str> {
        self.0.get(name)?.get(key)?.as_str()
    }
}

impl Question {
    fn read(mut fields: Map<String, Value>) -> Result<Self, &'static str> {
        let source = match (fields.remove("expr"), fields.remove("template"), fields.remove("field")) {
            (Some(Value::String(text)), None, None) => Source::Text(text, FieldKind::Expression),
            (None, Some(template), Some(field)) => read_template(template, field.as_str())?,
            (Some(_), None, None) => return Err("`expr` is text"),
            _ => return Err("a line has either `expr`, or `template` and `field`"),
        };
        let secrets = match fields.remove("secrets") {
            None | Some(Value::Null) => None,
            Some(Value::Object(secrets)) => {
                let is_secret = |secret: &Value| {
                    secret.as_object().is_some_and(|keys| keys.values().all(Value::is_string))
                };
                if !secrets.values().all(is_secret) {
                    return Err(SECRETS_SHAPE);
                }
                Some(Given(secrets))
            }
            Some(_) => return Err(SECRETS_SHAPE),
        };
        Ok(Self { source, secrets })
    }

    fn answer(&self, recorded: &Recorded) -> Result<Value, Mistake> {
        let stored = store(&self.source, recorded)?;
        match &self.secrets {
            None => Ok(json!({ "ok": true, "value": stored.run(&Given::default(), recorded)? })),
            Some(secrets) => Ok(json!({
                "ok": true,
                "value": stored.run(secrets, recorded)?,
                "display": stored.display,
                "residuals": stored.residuals(),
                "refs": stored.refs,
            })),
        }
    }
}

const SECRETS_SHAPE: &str = "`secrets` is {\"name\": {\"key\": \"value\"}}, all values text";

fn read_template(template: Value, field: Option<&str>) -> Result<Source, &'static str> {
    let kind = match field {
        Some("object") => return Ok(Source::Object(template)),
        Some("text") => FieldKind::Text,
        Some("url") => FieldKind::Url,
        Some("typed") => FieldKind::Typed,
        _ => return Err("`field` is `text`, `url`, `typed` or `object`"),
    };
    match template {
        Value::String(text) => Ok(Source::Text(text, kind)),
        _ => Err("`template` is text, unless `field` is `object`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::tests::recorded;

    fn answers(input: &[u8]) -> Vec<Value> {
        let mut output = Vec::new();
        answer_all(&recorded(), input, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn check(line: &Value, expected: &Value) {
        assert_eq!(answers(line.to_string().as_bytes()), std::slice::from_ref(expected), "{line}");
    }

    #[test]
    fn values_keep_their_types() {
        check(&json!({ "id": 1, "expr": "1 + 1" }), &json!({ "id": 1, "ok": true, "value": 2 }));
        check(
            &json!({ "id": "a", "template": "{{ 1.5 }}", "field": "typed" }),
            &json!({ "id": "a", "ok": true, "value": 1.5 }),
        );
        check(
            &json!({ "id": [2], "template": "{{ 7 }}", "field": "text" }),
            &json!({ "id": [2], "ok": true, "value": "7" }),
        );
        check(
            &json!({ "template": "https://h.test/{{ 'a/b' }}?q={{ 'c d' }}", "field": "url" }),
            &json!({ "id": null, "ok": true, "value": "https://h.test/a%2Fb?q=c%20d" }),
        );
        let object = json!({ "{{ 1 }}": ["{{ [1] }}", "n={{ 2 }}", 3, { "a/b~": "{{ nil }}" }] });
        check(
            &json!({ "id": 4, "template": object, "field": "object" }),
            &json!({ "id": 4, "ok": true, "value": { "{{ 1 }}": [[1], "n=2", 3, { "a/b~": null }] } }),
        );
    }

    #[test]
    fn with_secrets_it_says_what_is_stored() {
        let line = json!({
            "id": 1,
            "template": { "h": ["{{ root().data.n }}: {{ secrets(\"b\").k }}"], "s": "{{ secrets('a').k }}" },
            "field": "object",
            "secrets": { "a": { "k": "hidden-one" }, "b": { "k": "hidden-two" } },
        });
        let answer = answers(line.to_string().as_bytes()).remove(0);
        assert_eq!(answer["value"], json!({ "h": ["7: hidden-two"], "s": "hidden-one" }));
        let display = json!({ "h": ["7: {{ secrets(\"b\").k }}"], "s": "{{ secrets(\"a\").k }}" });
        assert_eq!(answer["display"], display);
        assert_eq!(answer["refs"], json!([["a", "k"], ["b", "k"]]));
        assert_eq!(answer["residuals"][0]["path"], "/h/0");
        assert_eq!(answer["residuals"][1], json!({ "path": "/s", "parts": [{ "secret": ["a", "k"] }] }));
        assert!(!answer["residuals"].to_string().contains("hidden"));
    }

    #[test]
    fn with_secrets_that_are_not_needed_nothing_is_left() {
        check(
            &json!({ "id": 1, "expr": "1", "secrets": {} }),
            &json!({ "id": 1, "ok": true, "value": 1, "display": 1, "residuals": [], "refs": [] }),
        );
    }

    #[test]
    fn mistakes_say_who_meets_them_what_they_are_and_where() {
        let check = |line: Value, phase: &str, kind: &str, span: [usize; 2]| {
            let answer = answers(line.to_string().as_bytes()).remove(0);
            let found = (&answer["ok"], &answer["phase"], &answer["kind"], &answer["span"]);
            assert_eq!(found, (&json!(false), &json!(phase), &json!(kind), &json!(span)), "{line}: {answer}");
            assert_eq!(answer.as_object().map(Map::len), Some(6), "{answer}");
        };
        check(json!({ "expr": "1 +" }), "apply", "syntax", [3, 3]);
        check(json!({ "expr": "1 + previuos().x" }), "apply", "name", [4, 14]);
        check(json!({ "expr": "secrets(root().x).y" }), "apply", "secret", [0, 12]);
        check(json!({ "expr": "1 + 'a'" }), "build", "type", [0, 7]);
        check(json!({ "expr": "[1][2]" }), "build", "range", [0, 6]);
        check(json!({ "expr": "len(1..9999999)" }), "build", "limit", [4, 14]);
        check(json!({ "expr": "fromJSON('{')" }), "build", "other", [0, 13]);
        // The span counts in the reference as it is shown: `{{ secrets("a").k }}`.
        check(json!({ "expr": "secrets('a').k" }), "run", "secret", [0, 20]);
        check(json!({ "expr": "secrets('a').k", "secrets": { "a": {} } }), "run", "secret", [0, 20]);
        check(
            json!({ "expr": "int(secrets('a').k)", "secrets": { "a": { "k": "x" } } }),
            "apply",
            "secret",
            [0, 19],
        );
        check(
            json!({ "expr": "fromJSON(secrets('a').k).x", "secrets": { "a": { "k": "x" } } }),
            "run",
            "secret",
            [0, 32],
        );
        let url = "{{ secrets('a').k + '/x' }}";
        check(json!({ "template": url, "field": "url" }), "apply", "secret", [0, url.len()]);
        check(json!({ "template": ["x", "{{ 1 + }}"], "field": "object" }), "apply", "syntax", [7, 9]);
    }

    #[test]
    fn no_error_repeats_a_secret_i1() {
        for expr in [
            "int(secrets('a').k)",
            "secrets('a').k + 1",
            "date(secrets('a').k)",
            "secrets('a').k matches secrets('a').k",
        ] {
            let line = json!({ "id": 1, "expr": expr, "secrets": { "a": { "k": "(hunter2hunter2" } } });
            let answer = answers(line.to_string().as_bytes()).remove(0);
            assert_eq!(answer["ok"], false, "{answer}");
            assert!(!answer.to_string().contains("hunter2"), "{answer}");
        }
    }

    #[test]
    fn a_bad_line_has_an_answer_and_the_next_one_too() {
        let bad: &[&[u8]] = &[
            b"{",
            b"[]",
            b"\"x\"",
            b"\xff\xfe",
            br#"{"id": 5}"#,
            br#"{"id": 5, "expr": 1}"#,
            br#"{"id": 5, "expr": "1", "template": "1", "field": "text"}"#,
            br#"{"id": 5, "template": "1"}"#,
            br#"{"id": 5, "template": "1", "field": "expr"}"#,
            br#"{"id": 5, "template": {}, "field": "text"}"#,
            br#"{"id": 5, "expr": "1", "secrets": []}"#,
            br#"{"id": 5, "expr": "1", "secrets": {"a": {"k": 1}}}"#,
        ];
        for line in bad {
            let mut input = line.to_vec();
            input.extend(b"\n  \r\n{\"id\": 9, \"expr\": \"9\"}");
            let answers = answers(&input);
            assert_eq!(answers.len(), 2, "{}", String::from_utf8_lossy(line));
            assert_eq!(answers[0]["ok"], false);
            assert!(answers[0]["id"] == 5 || answers[0]["id"].is_null());
            assert_eq!(answers[1], json!({ "id": 9, "ok": true, "value": 9 }));
        }
    }

    #[test]
    fn a_line_may_be_so_long_and_no_longer() {
        let line = |length: usize| {
            let frame = r#"{"id":1,"expr":"1","x":""}"#;
            let padding = "x".repeat(length - frame.len());
            format!("{{\"id\":1,\"expr\":\"1\",\"x\":\"{padding}\"}}\n{{\"id\":2,\"expr\":\"2\"}}\n")
        };
        let at_limit = answers(line(LINE_BYTES_MAX).as_bytes());
        assert_eq!((&at_limit[0]["ok"], at_limit.len()), (&json!(true), 2));
        for length in [LINE_BYTES_MAX + 1, LINE_BYTES_MAX + 2, 2 * LINE_BYTES_MAX + 100] {
            let beyond = answers(line(length).as_bytes());
            assert_eq!((&beyond[0]["kind"], &beyond[1]["value"]), (&json!("limit"), &json!(2)), "{length}");
        }
        assert_eq!(answers(&vec![b'x'; LINE_BYTES_MAX + 1]).len(), 1);
    }
}
