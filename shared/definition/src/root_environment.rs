//! The environment of the templates of a run name: the root event alone.

use expression::{Environment, Value};
use jiff::Timestamp;

/// An environment that has only `root()`.
pub struct RootEnvironment<'a> {
    /// The root event's data.
    pub data: &'a serde_json::Value,
    /// The root event's type.
    pub event_type: &'a str,
    /// The time of the root event.
    pub created_at: Timestamp,
}

impl Environment for RootEnvironment<'_> {
    fn variable(&self, _name: &str) -> Option<Value<'_>> {
        None
    }

    fn call(&self, name: &str, args: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
        if name != "root" {
            return None;
        }
        if !args.is_empty() {
            return Some(Err("takes no arguments".to_owned()));
        }
        Some(Ok(Value::map([
            ("data".to_owned(), Value::json(self.data)),
            ("type".to_owned(), Value::str(self.event_type)),
            ("timestamp".to_owned(), Value::string(self.created_at.to_string())),
        ])))
    }
}
