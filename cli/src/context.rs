//! The API and the form of the output, for each command that asks the API.

use crate::api::Api;
use crate::output::Format;

/// The API that a command asks, and the form in which it prints.
pub(crate) struct Context {
    pub(crate) api: Api,
    pub(crate) format: Format,
}
