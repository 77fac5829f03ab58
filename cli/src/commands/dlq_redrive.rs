use clap::Args;
use serde_json::{Value, json};

use crate::api::{Body, segment};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{Format, print_json, printable, say, text};

/// Route the events of failed executions to their nodes once more.
#[derive(Args)]
pub(crate) struct Redrive {
    /// Ids of executions, as `dlq list` shows them.
    #[arg(required = true, value_name = "EXECUTION")]
    executions: Vec<String>,
}

impl Redrive {
    /// One that is refused leaves the others alone; the exit status says that there was one.
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let (mut redriven, mut refused) = (Vec::new(), Vec::new());
        for execution in &self.executions {
            let path = format!("/v1/executions/{}/redrive", segment(execution));
            match context.api.post(&path, &Body::json(&json!({}))) {
                Ok(answer) => {
                    if context.format == Format::Human {
                        say!(
                            "{} redriven, run {}",
                            printable(execution),
                            printable(&text(&answer, "run_id"))
                        );
                    }
                    redriven.push(answer);
                }
                Err(Failure::Refused(refusal)) if is_about_one(refusal.problem.status) => {
                    if context.format == Format::Human {
                        eprintln!("{}: {}", printable(execution), printable(&refusal.problem.detail));
                    }
                    refused.push(json!({ "execution_id": execution, "problem": refusal.problem }));
                }
                Err(failure) => return Err(failure),
            }
        }
        if context.format == Format::Json {
            print_json(&answer(&redriven, &refused));
        }
        if refused.is_empty() { Ok(()) } else { Err(Failure::Silent(Exit::Failed)) }
    }
}

/// Whether a refusal says something of this execution only: not there, not to be redriven, or its
/// node is full.
fn is_about_one(status: u16) -> bool {
    matches!(status, 404 | 409 | 429)
}

fn answer(redriven: &[Value], refused: &[Value]) -> Value {
    json!({ "redriven": redriven, "refused": refused })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_of_one_execution_lets_the_others_go_on() {
        for (status, expected) in [(404, true), (409, true), (429, true), (401, false), (503, false)] {
            assert_eq!(is_about_one(status), expected, "{status}");
        }
    }
}
