//! A recorded event and the events before it, as expressions see them.

use expression::{Environment, Lookup, Value};
use jiff::Timestamp;
use serde_json::{Map, Value as Json};

/// The content of a file of the shape `{"$": {"Node name": {"type", "timestamp", "data",
/// "config"}}, "root", "previous": […], "run", "app", "item", "iteration", "now"}`. Nodes that have not run are null or
/// absent. Everything else that is absent is nil.
pub(crate) struct Recorded {
    nodes: Map<String, Json>,
    root: Json,
    previous: Vec<Json>,
    run: Json,
    started_at: Option<Timestamp>,
    app: Json,
    item: Json,
    iteration: Json,
    now: Timestamp,
}

/// The fault of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EnvironmentError(pub(crate) &'static str);

impl Recorded {
    /// Reads the file's content; `now` is the time if the file has none.
    ///
    /// # Errors
    /// When the content has another shape.
    pub(crate) fn read(content: Json, now: Timestamp) -> Result<Self, EnvironmentError> {
        let Json::Object(mut names) = content else { return Err(EnvironmentError("it is no object")) };
        let mut take = |name: &str| names.remove(name).unwrap_or_default();
        let mut nodes = match take("$") {
            Json::Null => Map::new(),
            Json::Object(nodes) => nodes,
            _ => return Err(EnvironmentError("`$` is an object of nodes by name")),
        };
        nodes.retain(|_, entry| !entry.is_null());
        let previous = match take("previous") {
            Json::Null => Vec::new(),
            Json::Array(events) => events,
            event => vec![event],
        };
        let now = match take("now") {
            Json::Null => now,
            Json::String(text) => {
                text.parse().map_err(|_| EnvironmentError("`now` is no time such as 2026-01-02T15:04:05Z"))?
            }
            _ => return Err(EnvironmentError("`now` is text: a time such as 2026-01-02T15:04:05Z")),
        };
        let run = take("run");
        let started_at = run["started_at"].as_str().and_then(|text| text.parse().ok());
        Ok(Self {
            nodes,
            root: take("root"),
            previous,
            run,
            started_at,
            app: take("app"),
            item: take("item"),
            iteration: take("iteration"),
            now,
        })
    }

    /// The instant that the recorded environment stands for.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// The run, with its start as a time and not as JSON's text.
    fn run(&self) -> Value<'_> {
        let (Json::Object(fields), Some(started_at)) = (&self.run, self.started_at) else {
            return Value::json(&self.run);
        };
        Value::map(fields.iter().map(|(name, field)| match name.as_str() {
            "started_at" => (name.clone(), Value::timestamp(started_at)),
            _ => (name.clone(), Value::json(field)),
        }))
    }

    fn previous(&self, arguments: &[Value<'_>]) -> Result<Value<'_>, String> {
        let distance = match arguments {
            [] => 1,
            [distance] => {
                distance.as_i64().filter(|distance| *distance >= 1).ok_or("takes a number from 1")?
            }
            _ => return Err("takes at most one argument".to_owned()),
        };
        let event = usize::try_from(distance - 1).ok().and_then(|index| self.previous.get(index));
        Ok(event.map_or(Value::Nil, Value::json))
    }
}

impl Lookup for Recorded {
    fn get(&self, key: &str) -> Option<Value<'_>> {
        self.nodes.get(key).map(Value::json)
    }

    fn keys(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }
}

impl Environment for Recorded {
    fn variable(&self, name: &str) -> Option<Value<'_>> {
        (name == "$").then(|| Value::lookup(self))
    }

    fn call(&self, name: &str, arguments: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
        let known = match name {
            "previous" => return Some(self.previous(arguments)),
            "root" => Value::json(&self.root),
            "run" => self.run(),
            "workflow" | "app" => Value::json(&self.app),
            "now" => Value::timestamp(self.now),
            "item" => Value::json(&self.item),
            "iteration" => Value::json(&self.iteration),
            _ => return None,
        };
        Some(if arguments.is_empty() { Ok(known) } else { Err("takes no arguments".to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(content: Json) -> Result<Recorded, &'static str> {
        Recorded::read(content, Timestamp::UNIX_EPOCH).map_err(|EnvironmentError(reason)| reason)
    }

    fn called(recorded: &Recorded, name: &str, arguments: &[Value<'_>]) -> Json {
        match recorded.call(name, arguments) {
            Some(Ok(value)) => value.to_json(),
            Some(Err(message)) => json!({ "error": message }),
            None => json!("unknown"),
        }
    }

    #[test]
    fn what_is_absent_is_nil_and_the_time_is_given() {
        let recorded = read(json!({})).ok().unwrap();
        for name in ["root", "previous", "run", "app", "workflow", "item", "iteration"] {
            assert_eq!(called(&recorded, name, &[]), json!(null), "{name}");
        }
        assert_eq!(called(&recorded, "now", &[]), json!("1970-01-01T00:00:00Z"));
        assert_eq!(called(&recorded, "order", &[]), json!("unknown"));
        assert!(recorded.keys().is_empty());
    }

    #[test]
    fn a_node_that_is_null_has_not_run() {
        let recorded = read(json!({ "$": { "A": null, "B": { "data": 1 } } })).ok().unwrap();
        assert!(recorded.get("A").is_none());
        assert_eq!(recorded.keys(), ["B"]);
    }

    #[test]
    fn previous_goes_back_step_by_step() {
        let recorded = read(json!({ "previous": [{ "n": 1 }, { "n": 2 }] })).ok().unwrap();
        let check = |arguments: &[Value<'_>], expected: Json| {
            assert_eq!(called(&recorded, "previous", arguments), expected);
        };
        check(&[], json!({ "n": 1 }));
        check(&[Value::Int(2)], json!({ "n": 2 }));
        check(&[Value::Int(3)], json!(null));
        check(&[Value::Int(i64::MAX)], json!(null));
        check(&[Value::Int(0)], json!({ "error": "takes a number from 1" }));
        check(&[Value::Nil], json!({ "error": "takes a number from 1" }));
        check(&[Value::Int(1), Value::Int(1)], json!({ "error": "takes at most one argument" }));
    }

    #[test]
    fn the_start_of_a_run_is_a_time_and_timestamps_of_events_are_text() {
        let time = "2026-01-02T03:04:05Z";
        let recorded =
            read(json!({ "run": { "id": "r", "started_at": time }, "root": { "timestamp": time } }));
        let recorded = recorded.ok().unwrap();
        let field = |name, field| match recorded.call(name, &[]) {
            Some(Ok(Value::Map(map))) => map.get(field).map(|value| value.type_name()),
            _ => None,
        };
        assert_eq!(field("run", "started_at"), Some("time.Time"));
        assert_eq!(field("run", "id"), Some("string"));
        assert_eq!(field("root", "timestamp"), Some("string"));
    }

    #[test]
    fn another_shape_is_refused() {
        for content in [json!([]), json!({ "$": [] }), json!({ "now": "noon" }), json!({ "now": 5 })] {
            assert!(read(content.clone()).is_err(), "{content}");
        }
    }
}
