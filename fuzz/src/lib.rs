//! What the fuzz targets share: an environment with data of every type, and secrets.

use std::path::Path;

use expression::{Environment, Error, FieldKind, Lookup, Secrets, Template, Value};
use serde_json::{Value as Json, json};

/// A run's data.
pub struct World(Json);

/// Opened secrets.
pub struct Safe;

/// The value of every secret; no error may hold it.
pub const SECRET: &str = "s3cr3t-v4lu3 {{ root() }} [1,2]";

/// A piece of [`SECRET`]. The fuzzer sees what is compared, so it puts the value into its inputs,
/// also with other white space, which an error shows as a space. Such an input says nothing.
const PIECE: &str = "s3cr3t";

/// Tells whether an input holds the value, or something near it.
#[must_use]
pub fn holds_secret(source: &str) -> bool {
    source.contains(PIECE)
}

/// The vectors of the crate's tests, from which fuzzing starts.
const VECTORS: &[&str] = &[
    include_str!("../../shared/expression/tests/vectors/access.jsonl"),
    include_str!("../../shared/expression/tests/vectors/arrays.jsonl"),
    include_str!("../../shared/expression/tests/vectors/dates.jsonl"),
    include_str!("../../shared/expression/tests/vectors/numbers.jsonl"),
    include_str!("../../shared/expression/tests/vectors/operators.jsonl"),
    include_str!("../../shared/expression/tests/vectors/secrets.jsonl"),
    include_str!("../../shared/expression/tests/vectors/strings.jsonl"),
    include_str!("../../shared/expression/tests/vectors/templates.jsonl"),
    include_str!("../../shared/expression/tests/vectors/types.jsonl"),
];

impl Default for World {
    fn default() -> World {
        World(json!({
            "$": {"a": {"data": {"n": 42, "x": 0.5, "t": "text é😀", "b": true, "l": [3, "1", null, [2]], "m": {"k": "v"}}}},
            "root": {"data": {"s": "{{ secrets(\"a\").b }}", "list": ["x", "y"]}},
            "previous": [{"data": 1}, {"data": "2026-01-02T03:04:05Z"}],
            "run": {"id": "r"}, "app": {"name": "w"},
        }))
    }
}

impl Lookup for World {
    fn get(&self, key: &str) -> Option<Value<'_>> {
        self.0["$"].get(key).map(Value::json)
    }

    fn keys(&self) -> Vec<String> {
        self.0["$"].as_object().map(|nodes| nodes.keys().cloned().collect()).unwrap_or_default()
    }
}

impl Environment for World {
    fn variable(&self, name: &str) -> Option<Value<'_>> {
        (name == "$").then(|| Value::lookup(self))
    }

    fn call(&self, name: &str, arguments: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
        for argument in arguments {
            assert!(!argument.to_json().to_string().contains(SECRET), "the environment hears no secret");
        }
        Some(match (name, arguments) {
            ("root" | "run" | "app", []) => Ok(Value::json(&self.0[name])),
            ("workflow", []) => Ok(Value::json(&self.0["app"])),
            ("now", []) => Ok(Value::timestamp("2026-03-07T15:04:05Z".parse().expect("it is a time"))),
            ("previous", []) => Ok(Value::json(&self.0["previous"][0])),
            ("previous", [n]) => match n.as_i64().and_then(|n| usize::try_from(n - 1).ok()) {
                Some(n) => Ok(self.0["previous"].get(n).map_or(Value::Nil, Value::json)),
                None => Err("takes a number from 1".to_owned()),
            },
            ("root" | "run" | "app" | "workflow" | "now" | "previous", _) => {
                Err("takes fewer arguments".to_owned())
            }
            _ => return None,
        })
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
        (name != "gone" && key != "gone").then_some(SECRET)
    }
}

/// Checks what holds for every error: its place lies in the source, it can be shown, and it holds
/// no secret.
pub fn check(error: &Error, source: &str) {
    assert!(error.span.start <= error.span.end && error.span.end <= source.len(), "{error:?}");
    let shown = (error.to_string(), error.render(source), error.render(""));
    let shows = [shown.0, shown.1, shown.2].iter().any(|text| text.contains(SECRET));
    assert!(!shows || holds_secret(source), "{source}");
}

/// Puts the sources of the vectors that `make` turns into an input of `target` into its corpus.
pub fn seed(target: &str, make: impl Fn(&str, FieldKind) -> Option<String>) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    if std::fs::create_dir_all(&corpus).is_err() {
        return;
    }
    for (group, rows) in VECTORS.iter().enumerate() {
        for (number, row) in rows.lines().enumerate() {
            let row: Json = serde_json::from_str(row).expect("vectors are JSON");
            let input = match (row["expr"].as_str(), row["template"].as_str()) {
                (Some(source), _) => make(source, FieldKind::Expression),
                (None, Some(source)) => make(source, FieldKind::Typed),
                (None, None) => None,
            };
            if let Some(input) = input {
                // Without its seeds a run is worth less, and not wrong.
                let _ = std::fs::write(corpus.join(format!("vector-{group}-{number}")), input);
            }
        }
    }
}

/// The parts of a source as they are stored, if it has some.
pub fn stored_parts(source: &str, kind: FieldKind) -> Option<String> {
    let resolution = Template::parse(source, kind).ok()?.resolve(&World::default()).ok()?;
    serde_json::to_string(&resolution.placed.first()?.parts).ok()
}
