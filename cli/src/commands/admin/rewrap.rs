//! Moving sealed values to another KMS key: invoked as often as it takes, told as one run.

use serde_json::{Value, json};

use super::Invocation;
use crate::failure::Failure;
use crate::output::{Format, emit, print_json, printable, text};

/// The result of a run: its answers added up.
#[derive(Default)]
struct Run {
    answers: u32,
    is_through: bool,
    moved: u64,
    elsewhere: u64,
    changed: u64,
    unreadable: u64,
    named: Vec<Value>,
}

/// Invokes the function until an answer has no `next`. What was done before an invocation failed is
/// told all the same.
pub(super) fn run(invocation: &Invocation, format: Format) -> Result<(), Failure> {
    let mut run = Run::default();
    let ended = run.invoke(invocation, format);
    if format == Format::Human && matches!(ended, Err(Failure::Silent(_))) {
        eprintln!(
            "While the answer's `next` isn't null, invoke it again with {{\"after\": NEXT}}; repeat all of it until nothing is moved."
        );
    }
    if format == Format::Human && run.answers > 0 {
        emit(&run.render());
    }
    ended
}

impl Run {
    fn invoke(&mut self, invocation: &Invocation, format: Format) -> Result<(), Failure> {
        let mut payload = json!({});
        loop {
            let answer = invocation.invoke("rewrap", &payload, format)?;
            if format == Format::Json {
                print_json(&answer);
            }
            self.add(&answer);
            if self.is_through {
                return Ok(());
            }
            payload = json!({ "after": answer["next"] });
        }
    }

    fn add(&mut self, answer: &Value) {
        self.answers += 1;
        self.is_through = answer["next"].is_null();
        let count = |name: &str| answer[name].as_u64().unwrap_or_default();
        self.moved += count("moved");
        self.elsewhere += count("elsewhere");
        self.changed += count("changed");
        self.unreadable += count("unreadable_count");
        self.named.extend(answer["unreadable"].as_array().into_iter().flatten().cloned());
    }

    fn render(&self) -> String {
        let values = if self.moved == 1 { "value" } else { "values" };
        let mut lines = format!(
            "moved {} {values} to the new key; {} not under the old one\n",
            self.moved, self.elsewhere
        );
        if self.changed > 0 {
            lines += &format!("changed meanwhile and left alone: {}\n", self.changed);
        }
        if self.unreadable > 0 {
            lines += &format!("not readable in their place, and not moved: {}\n", self.unreadable);
        }
        for value in &self.named {
            lines += &format!(
                "  {} {} of organization {}, key {}\n",
                printable(&text(value, "part")),
                printable(&text(value, "id")),
                printable(&text(value, "organization_id")),
                printable(value["key"].as_str().unwrap_or("(none can be read)"))
            );
        }
        lines += if self.is_through && self.moved + self.changed == 0 {
            "nothing that can be moved is left under the old key\n"
        } else {
            "run it again until it moves nothing\n"
        };
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(moved: u32, changed: u32, unreadable: &[Value]) -> Value {
        json!({
            "moved": moved, "elsewhere": 3, "changed": changed,
            "unreadable": unreadable, "unreadable_count": unreadable.len(), "next": null
        })
    }

    fn shown(answers: &[Value]) -> String {
        let mut run = Run::default();
        answers.iter().for_each(|answer| run.add(answer));
        run.render()
    }

    #[test]
    fn it_is_over_when_a_whole_run_has_moved_nothing() {
        let nothing = "nothing that can be moved is left under the old key\n";
        let again = "run it again until it moves nothing\n";
        let moved = |text: &str| format!("moved {text} not under the old one\n");
        assert_eq!(shown(&[answer(0, 0, &[])]), moved("0 values to the new key; 3") + nothing);
        assert_eq!(shown(&[answer(1, 0, &[])]), moved("1 value to the new key; 3") + again);
        assert_eq!(
            shown(&[answer(5, 0, &[]), answer(0, 0, &[])]),
            moved("5 values to the new key; 6") + again
        );
        let mut cut_short = answer(0, 0, &[]);
        cut_short["next"] = json!({ "part": "secrets", "id": null });
        assert_eq!(shown(&[cut_short]), moved("0 values to the new key; 3") + again);
        let changed = moved("0 values to the new key; 3") + "changed meanwhile and left alone: 2\n" + again;
        assert_eq!(shown(&[answer(0, 2, &[])]), changed);
    }

    #[test]
    fn what_can_not_be_read_is_named() {
        let value = json!({ "part": "secrets", "id": "7", "organization_id": "1", "key": "token" });
        let shown = shown(&[answer(0, 0, &[value])]);
        assert!(shown.contains("and not moved: 1\n  secrets 7 of organization 1, key token\n"), "{shown}");
    }
}
