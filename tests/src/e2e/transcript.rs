//! Commands with all that they print, for a snapshot.

use regex_lite::{Captures, Regex};

use super::{Cli, Ended};

/// A transcript of commands.
pub struct Transcript<'a> {
    cli: Cli<'a>,
    text: String,
}

impl<'a> Transcript<'a> {
    /// An empty one.
    #[must_use]
    pub fn of(cli: Cli<'a>) -> Self {
        Self { cli, text: String::new() }
    }

    /// Runs a command line, words separated by one space.
    pub async fn run(&mut self, line: &str) -> Ended {
        self.run_with(&line.split(' ').collect::<Vec<_>>(), "").await
    }

    /// Runs a command with something on standard input.
    pub async fn run_with(&mut self, arguments: &[&str], input: &str) -> Ended {
        let ended = self.cli.run_with(arguments, input).await;
        let status = if ended.code == 0 { String::new() } else { format!("(exit status {})\n", ended.code) };
        self.text += &format!("$ sealflow {}\n{}{}{status}\n", arguments.join(" "), ended.out, ended.err);
        ended
    }

    /// The transcript, with what differs from run to run masked: equal ids have equal numbers.
    #[must_use]
    pub fn masked(self) -> String {
        let folder = self.cli.product.sealflow.folder().display().to_string();
        masked(&self.text.replace(&folder, "<folder>"))
    }
}

/// Masks, in this order.
const MASKS: [(&str, &str); 9] = [
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z?", "<time>"),
    (r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT", "<time>"),
    (r"\b[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}\b", "<time>"),
    (r"/hooks/[0-9a-f]{32}", "/hooks/<address>"),
    (r"https?://(127\.0\.0\.1|localhost):[0-9]+", "<origin>"),
    (r"127\.0\.0\.1:[0-9]+", "<host>"),
    (r"\b[0-9]+(\.[0-9]+)? (ms|s)\b", "<duration>"),
    (r#"("duration_ms": ?)[0-9]+"#, "$1<duration>"),
    // Columns are as wide as what was masked; a mark below a line of a definition stays in place.
    (r"([^|\s]) {2,}", "$1  "),
];

fn masked(text: &str) -> String {
    let numbered = numbered(text, "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "id");
    // Tokens and keys; the same one has the same number.
    let numbered = self::numbered(&numbered, "[0-9a-f]{64}", "random");
    MASKS.iter().fold(numbered, |text, (pattern, mask)| {
        Regex::new(pattern).expect("it is one").replace_all(&text, *mask).into_owned()
    })
}

/// Replaces each text of that pattern by its name and the number of its first place.
fn numbered(text: &str, pattern: &str, name: &str) -> String {
    let mut known: Vec<String> = Vec::new();
    let mut number = |found: &Captures<'_>| {
        let at = known.iter().position(|one| *one == found[0]).unwrap_or_else(|| {
            known.push(found[0].to_owned());
            known.len() - 1
        });
        format!("<{name} {}>", at + 1)
    };
    let pattern = Regex::new(pattern).expect("it is one");
    pattern.replace_all(text, |found: &Captures<'_>| number(found)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn what_differs_is_masked_and_what_is_the_same_is_known_again() {
        let text = "a 01890a5d-ac96-774b-bcce-b302099a8057 b 01890a5d-ac96-774b-bcce-b302099a8058, \
                    01890a5d-ac96-774b-bcce-b302099a8057 at 2026-01-02T03:04:05.678Z   took 12 ms";
        assert_eq!(masked(text), "a <id 1> b <id 2>, <id 1> at <time>  took <duration>");
    }
}
