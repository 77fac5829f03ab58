//! The CLI as a user runs it.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Product, Story};

/// The longest time of one command.
const COMMAND_MAX: Duration = Duration::from_secs(60);

/// The CLI of one organization. What its commands print is searched by the leak check.
pub struct Cli<'a> {
    pub(super) product: &'a Product,
    environment: Vec<(&'static str, String)>,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub code: i32,
    /// The text that it printed.
    pub out: String,
    /// The text on standard error.
    pub err: String,
}

impl Ended {
    /// The printed text of a command that must have passed.
    ///
    /// # Panics
    /// When it has failed.
    pub fn passed(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// The JSON that a command printed. The command must have passed.
    ///
    /// # Panics
    /// When it has failed, or printed no JSON.
    #[must_use]
    pub fn json(self) -> Value {
        let out = self.passed();
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("no JSON: {out}"))
    }
}

impl<'a> Cli<'a> {
    /// The CLI with the organization's token.
    #[must_use]
    pub fn of(story: &Story<'a>) -> Self {
        let environment = vec![
            ("SEALFLOW_API_URL", story.product.sealflow.gateway_url()),
            ("SEALFLOW_TOKEN", story.organization.token.clone()),
            ("SEALFLOW_INVOKE_URL", story.product.sealflow.gateway_url()),
        ];
        Self { product: story.product, environment }
    }

    /// The same with another value of a variable; empty: without it.
    #[must_use]
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        let others = self.environment.iter().filter(|(known, _)| *known != name).cloned();
        let given = (!value.is_empty()).then(|| (name, value.to_owned()));
        Self { product: self.product, environment: others.chain(given).collect() }
    }

    /// Runs a command line, words separated by one space.
    pub async fn run(&self, line: &str) -> Ended {
        self.run_with(&line.split(' ').collect::<Vec<_>>(), "").await
    }

    /// Runs a command with something on standard input.
    ///
    /// # Panics
    /// When the binary is missing, or the command does not end.
    pub async fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        let program = local::sealflow::find_binaries(None).expect("the binaries are built").join("sealflow");
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = input.as_bytes().to_vec();
        let work = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn()?;
            let mut pipe = child.stdin.take().expect("it was asked for");
            // A command that reads nothing may have ended already.
            let _broken = pipe.write_all(&input);
            drop(pipe);
            child.wait_with_output()
        });
        let output = tokio::time::timeout(COMMAND_MAX, work).await.expect("the command ends");
        let output = output.expect("no panic").expect("the CLI is built: cargo build --workspace --bins");
        self.product.add_place("what the CLI printed", [output.stdout.as_slice(), &output.stderr].concat());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("a command prints UTF-8");
        Ended { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}
