//! An environment and secrets for tests.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{collections::BTreeMap, sync::Mutex};

use expression::{Environment, Lookup, Secrets, Value};
use serde_json::{Value as Json, json};

/// The environment that sealflow gives, over JSON: `$`, `root`, `previous`, `run`, `app`,
/// `workflow`, `now`.
pub struct World {
    data: Json,
    /// Everything that was handed to its functions, as JSON text.
    pub heard: Mutex<String>,
}

impl World {
    pub fn new(data: Json) -> World {
        World { data, heard: Mutex::default() }
    }

    /// One of several worlds: full, sparse, and one in which everything has another type.
    pub fn variant(number: u8) -> World {
        match number % 3 {
            0 => World::sample(),
            1 => World::new(
                json!({"$": {"Push": null}, "root": null, "previous": [], "now": "1999-12-31T23:59:59Z"}),
            ),
            _ => World::new(json!({
                "$": {"Push": {"data": {
                    "id": "42", "ratio": [1], "big": "x", "ok": "true", "name": 7, "text": null, "unicode": {"a": 1},
                    "items": ["b", "a"], "words": {}, "mixed": [], "users": [[1], [2, 3]], "empty": "", "whole": -1,
                }}, "Nobody": {"data": {"name": "somebody"}}, "yes": {"name": "chosen"}},
                "root": {"data": {"after": "{{ root() }}"}}, "previous": [{"data": {"s": "p", "n": 2.5}}],
                "run": {"id": 5}, "app": {}, "now": "2026-06-30T00:00:00Z",
            })),
        }
    }

    /// Data of every type, hostile texts among them.
    pub fn sample() -> World {
        World::new(json!({
            "$": {
                "Push": {
                    "type": "webhook", "timestamp": "2026-01-16T17:56:16.680755501Z",
                    "data": {
                        "id": 42, "ratio": 0.5, "big": 1e16, "whole": 3.0, "ok": true, "none": null, "name": "Ada",
                        "text": "{{ secrets(\"github\").token }} $expr <b>&", "unicode": "é€😀ß",
                        "items": [3, 1, 2], "words": ["b", "a", "c"], "mixed": [1, "a", null, true, 2.5],
                        "users": [{"name": "ann", "age": 30}, {"name": "bob", "age": 25}],
                        "empty": [], "nested": {"a": {"b": [1, {"c": "deep"}]}}, "{{ $.x }}": "key",
                    },
                    "config": {"url": "https://a.test"},
                },
                "Call Me": {"type": "http", "data": {"status": 200, "body": "done"}},
            },
            "root": {"type": "webhook", "data": {"after": "abc123", "count": 7, "list": ["x", "y"]}},
            "previous": [{"data": {"n": 1, "s": "one"}}, {"data": {"n": 2, "s": "two"}}],
            "run": {"id": "r-1", "url": "https://sealflow.test/runs/r-1"},
            "app": {"id": "w-1", "name": "Deploy", "description": "d", "url": "https://sealflow.test/w-1"},
            "now": "2026-03-07T15:04:05.012Z",
        }))
    }
}

impl World {
    fn now(&self) -> Result<Value<'_>, String> {
        let text = self.data["now"].as_str().unwrap_or_default();
        text.parse().map(Value::timestamp).map_err(|_| "no time".to_owned())
    }
}

impl Lookup for World {
    fn get(&self, key: &str) -> Option<Value<'_>> {
        self.data["$"].get(key).map(Value::json)
    }

    fn keys(&self) -> Vec<String> {
        self.data["$"].as_object().map(|nodes| nodes.keys().cloned().collect()).unwrap_or_default()
    }
}

impl Environment for World {
    fn variable(&self, name: &str) -> Option<Value<'_>> {
        (name == "$").then(|| Value::lookup(self))
    }

    fn call(&self, name: &str, args: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
        for arg in args {
            self.heard.lock().expect("no test panics while it writes").push_str(&arg.to_json().to_string());
        }
        Some(match name {
            "root" | "run" | "app" if args.is_empty() => Ok(Value::json(&self.data[name])),
            "workflow" if args.is_empty() => Ok(Value::json(&self.data["app"])),
            "now" if args.is_empty() => self.now(),
            "previous" => {
                let depth = args.first().map_or(Some(1), Value::as_i64);
                let depth = depth.and_then(|depth| usize::try_from(depth).ok()).filter(|depth| *depth > 0);
                match depth {
                    Some(depth) => Ok(self.data["previous"].get(depth - 1).map_or(Value::Nil, Value::json)),
                    None => Err("the depth must be a positive integer".to_owned()),
                }
            }
            "root" | "run" | "app" | "workflow" | "now" => Err("no arguments".to_owned()),
            _ => return None,
        })
    }
}

/// Secrets by name and key.
pub struct Safe(pub BTreeMap<(String, String), String>);

impl Safe {
    pub fn new(entries: &[(&str, &str, &str)]) -> Safe {
        let entry = |(name, key, value): &(&str, &str, &str)| {
            ((name.to_string(), key.to_string()), value.to_string())
        };
        Safe(entries.iter().map(entry).collect())
    }

    /// One of several: as below, with a flag that says no, and empty.
    pub fn variant(number: u8) -> Safe {
        let mut safe = Safe::sample();
        match number % 3 {
            0 => {}
            1 => {
                safe.0.insert(("db".to_owned(), "flag".to_owned()), "no".to_owned());
                safe.0.insert(("db".to_owned(), "json".to_owned()), "no json, but secret".to_owned());
                safe.0.insert(("db".to_owned(), "number".to_owned()), "-2".to_owned());
                safe.0.insert(("github".to_owned(), "list".to_owned()), String::new());
            }
            _ => safe.0.clear(),
        }
        safe
    }

    pub fn sample() -> Safe {
        Safe::new(&[
            ("github", "token", "ghp_SeCrEt-0123456789"),
            ("github", "list", "alpha,beta,gamma-secret-part"),
            ("db", "number", "4711471147"),
            ("db", "json", "{\"user\":\"secret-user\",\"port\":54321,\"tags\":[\"secret-tag-1\",\"t2\"]}"),
            ("db", "json64", "eyJ1c2VyIjoic2VjcmV0LXVzZXIifQ=="),
            ("db", "flag", "yes"),
            ("hook", "url", "https://hooks.test/services/T0/B0/secretpath"),
            ("odd", "{{ braces }}", "{{ $[\"Push\"].data.name }} a/b?c=d&e"),
        ])
    }
}

impl secret_text::Secrets for Safe {
    fn value_bytes(&self, name: &str, key: &str) -> usize {
        Secrets::get(self, name, key).map_or(0, str::len)
    }
}

impl secret_text::Values for Safe {
    fn get(&self, name: &str, key: &str) -> Option<&str> {
        Secrets::get(self, name, key)
    }
}

impl Secrets for Safe {
    fn get(&self, name: &str, key: &str) -> Option<&str> {
        self.0.get(&(name.to_owned(), key.to_owned())).map(String::as_str)
    }
}
