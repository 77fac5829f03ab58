//! Effects: components that call the outside world, which the executor runs.

use domain::ids::ExecutionId;
use domain::outcome::Outcome;
use domain::placement::Placement;
use secret_text::Part;
use serde_json::Value;

use crate::component::Component;
use crate::host::{BoxFuture, Capability, Host};

/// A component that calls the outside world. The executor runs it, with the secrets of its
/// configuration in their places.
pub trait Effect: Component {
    /// The capabilities that the effect needs. It gets no others.
    fn needs(&self) -> &'static [Capability];

    /// The place of `part`, a part of the field at `pointer`, in a request. Names of headers and
    /// parameters come from the resolved configuration. Called only for fields in which a secret
    /// may stand.
    fn placement(&self, _configuration: &Value, _pointer: &str, _part: &Part) -> Placement {
        Placement::Body
    }

    /// A further URL to which a secret in the field at `pointer` is sent, in addition to that of
    /// the field of kind [`secret_text::FieldKind::Url`]. Returns the JSON pointer of the field
    /// with that URL (whether or not the author set it), and the URL as literal text.
    fn other_url(&self, _configuration: &Value, _pointer: &str) -> Option<(&'static str, String)> {
        None
    }

    /// A field of the author's configuration that can't stand beside a secret: its JSON pointer,
    /// and why.
    fn without_secrets(&self, _configuration: &Value) -> Option<(&'static str, &'static str)> {
        None
    }

    /// The seconds that the author's configuration asks for, literally, and the field that does.
    fn seconds_asked(&self, _configuration: &Value) -> Option<(&'static str, u32)> {
        None
    }

    /// Does the work of one execution. The configuration holds the secrets' values, so it is
    /// dropped before the first wait.
    fn execute<'a>(
        &'a self,
        host: &'a Host<'a>,
        configuration: Value,
        call: &'a Call<'a>,
    ) -> BoxFuture<'a, Outcome>;
}

/// The facts about one execution that an effect gets, in addition to its configuration.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The id of the execution.
    pub execution_id: ExecutionId,
    /// The idempotency key, the same for every run of one attempt
    /// (`domain::outcome::idempotency_key`).
    pub idempotency_key: &'a str,
    /// Seconds that the component may take.
    pub seconds_max: u32,
    /// The fields of the configuration that hold a secret.
    pub secret_fields: &'a [SecretPlace<'a>],
    /// Labels of the secrets, such as `github.token`; for messages.
    pub secret_labels: &'a [String],
}

/// A field that holds a secret.
#[derive(Clone, Copy, Debug)]
pub struct SecretPlace<'a> {
    /// JSON pointer into the configuration.
    pub pointer: &'a str,
    /// The most bytes that the rendered text could have, whatever characters the secrets consist
    /// of. Limits compare this number and never the length of the text, which would reveal
    /// something of the secrets.
    pub bytes_max: usize,
}

impl Call<'_> {
    /// Whether `pointer` names a place that holds a secret, or one below it.
    #[must_use]
    pub fn is_within_secret(&self, pointer: &str) -> bool {
        self.secret_fields.iter().any(|field| {
            pointer
                .strip_prefix(field.pointer)
                .is_some_and(|below| below.is_empty() || below.starts_with('/'))
        })
    }

    /// Whether a place below `pointer` holds a secret.
    #[must_use]
    pub fn has_secret_below(&self, pointer: &str) -> bool {
        self.secret_fields
            .iter()
            .any(|field| field.pointer.strip_prefix(pointer).is_some_and(|below| below.starts_with('/')))
    }

    /// The most bytes of the text at `pointer`, which has `bytes` now.
    #[must_use]
    pub fn bytes_max(&self, pointer: &str, bytes: usize) -> usize {
        self.secret_fields
            .iter()
            .find(|field| field.pointer == pointer)
            .map_or(bytes, |field| field.bytes_max)
    }
}
