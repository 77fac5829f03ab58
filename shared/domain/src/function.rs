//! The Lambda functions, and the actors of recorded changes.

use std::fmt;

use crate::words::words;

words! {
    /// A Lambda function.
    pub enum Function {
        /// The API.
        Api = "api",
        /// Accepts webhook deliveries.
        Webhook = "webhook",
        /// Makes executions from queue items.
        Builder = "builder",
        /// Runs executions.
        Executor = "executor",
        /// Sends undelivered work again.
        Sweeper = "sweeper",
        /// Runs the migrations of the schema.
        Migrate = "migrate",
        /// Moves secrets to another KMS key.
        Rewrap = "rewrap",
    }
}

/// The actor of a recorded change: `created_by` and the like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A function of its own accord.
    Function(Function),
    /// The holder of the API token of that name.
    Token(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(function) => f.write_str(function.as_str()),
            Self::Token(name) => write!(f, "token:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_has_one_spelling() {
        assert_eq!(Actor::Function(Function::Builder).to_string(), "builder");
        assert_eq!(Actor::Token("ci".to_owned()).to_string(), "token:ci");
    }
}
