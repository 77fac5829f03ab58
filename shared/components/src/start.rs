//! `start`: a run started by hand or through the API, with any data from the caller.

use serde_json::Value;

use crate::{
    component::Problem,
    shape::{Reader, Stage},
    trigger::Trigger,
};

/// The trigger; its configuration is empty.
pub(crate) struct Start;

impl Trigger for Start {
    fn name(&self) -> &'static str {
        "start"
    }

    fn is_started_by_hand(&self) -> bool {
        true
    }

    fn check(&self, configuration: &Value) -> Vec<Problem> {
        let mut reader = Reader::new(Stage::Resolved);
        reader.object("", configuration, &[]);
        reader.into_problems()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn there_is_nothing_to_configure() {
        assert!(Start.check(&json!({})).is_empty());
        assert_eq!(Start.check(&json!({ "x": 1 }))[0].pointer, "/x");
        assert_eq!(Start.check(&json!([]))[0].message, "must be a map, not a list");
    }
}
