//! The outcome of a component, scrubbed of secrets and redacted.

use domain::execution::ResultReason;
use domain::json::check_output;
use domain::outcome::{Failure, Outcome, Output};
use domain::redactions::Redactions;
use scrub::Scrubber;
use serde_json::Value;

use crate::host::ScrubbedBefore;
use crate::redact::{redact, scrubbed_places};
use crate::secret_problem::SecretProblem;

/// The place of a failure's message in its data.
pub(crate) const ERROR_MESSAGE: &str = "/error/message";

/// An outcome without a secret in it. Only this module makes one.
pub struct Scrubbed {
    state: State,
    places: usize,
    secrets: Vec<String>,
    redactions: Option<Redactions>,
}

/// The parts of a scrubbed outcome, for its record.
pub(crate) struct ScrubbedParts {
    /// The outcome itself.
    pub(crate) state: State,
    /// Places that were scrubbed.
    pub(crate) places: usize,
    /// Labels of the secrets that were opened for the execution.
    pub(crate) secrets: Vec<String>,
    /// Blanked places of the output.
    pub(crate) redactions: Option<Redactions>,
}

/// The outcome itself.
pub(crate) enum State {
    Ran(Outcome),
    GivenBack,
    Unreadable,
}

impl Scrubbed {
    /// The parts, for the record.
    pub(crate) fn into_parts(self) -> ScrubbedParts {
        let Self { state, places, secrets, redactions } = self;
        ScrubbedParts { state, places, secrets, redactions }
    }

    /// An outcome as a test has it.
    #[cfg(test)]
    pub(crate) fn of_state(state: State) -> Self {
        Self { state, ..Self::given_back() }
    }

    /// Scrubs and redacts a component's outcome. An output that can't be stored becomes a failure.
    pub fn new(
        outcome: Outcome,
        scrubber: &Scrubber,
        before: ScrubbedBefore,
        policy: &Value,
        secrets: Vec<String>,
    ) -> Self {
        let mut places = before.places;
        let mut redactions = Redactions::default();
        let mut scrub = |data: Value| {
            let (mut data, found) = scrubber.scrub_json(data);
            places += found;
            redactions.redacted = redact(&mut data, policy);
            // A text that only looks like a scrubbed one is data, and must not make the next node
            // fail.
            let is_told_apart = places > 0 && !before.is_imitated;
            redactions.scrubbed = if is_told_apart { scrubbed_places(&data) } else { Vec::new() };
            data
        };
        let outcome = match outcome {
            Outcome::Passed(None) => Outcome::Passed(None),
            Outcome::Passed(Some(output)) => {
                let data = scrub(output.data);
                storable(Output { channel: output.channel, data })
            }
            Outcome::Failed(failure) => {
                let data = scrub(failure.data);
                let (message, found) = scrubber.scrub_text(&failure.message);
                places += found;
                if found > 0 {
                    redactions.scrubbed.push(ERROR_MESSAGE.to_owned());
                }
                Outcome::Failed(Failure { data, message, ..failure })
            }
        };
        Self { state: State::Ran(outcome), places, secrets, redactions: redactions.stored() }
    }

    /// A failure that sealflow itself words; its texts hold no secret.
    pub fn failed(failure: Failure) -> Self {
        Self { state: State::Ran(Outcome::Failed(failure)), ..Self::given_back() }
    }

    /// Adds the labels of the secrets that were opened for the execution.
    pub fn with_secrets(self, secrets: Vec<String>) -> Self {
        Self { secrets, ..self }
    }

    /// A claim that is given back: no component ran.
    pub fn given_back() -> Self {
        Self { state: State::GivenBack, places: 0, secrets: Vec::new(), redactions: None }
    }
}

impl From<SecretProblem> for Scrubbed {
    fn from(problem: SecretProblem) -> Self {
        match problem {
            SecretProblem::TriedAgain => Self::given_back(),
            SecretProblem::Unreadable => Self { state: State::Unreadable, ..Self::given_back() },
            SecretProblem::Fails { reason, message } => {
                Self::failed(Failure::new(reason, reason.as_str(), message))
            }
        }
    }
}

impl From<SecretProblem> for Box<Scrubbed> {
    fn from(problem: SecretProblem) -> Self {
        Box::new(problem.into())
    }
}

/// The output, or the component's failure where it can't be stored. The target has answered, so the
/// status is kept: whoever looks at the failure has to know that the request was made.
fn storable(output: Output) -> Outcome {
    let status = output.data.get("status").filter(|status| status.is_number()).cloned();
    match check_output(output.data) {
        Ok(data) => Outcome::Passed(Some(Output { channel: output.channel, data })),
        Err(error) => {
            let message = format!("the output can't be stored: {error}");
            let failure = Failure::new(ResultReason::ComponentError, "output_can_not_be_stored", message);
            let data = status
                .map_or_else(|| serde_json::json!({}), |status| serde_json::json!({ "status": status }));
            Outcome::Failed(Failure { data, answered: true, ..failure })
        }
    }
}
