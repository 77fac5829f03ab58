//! Differential test: Go's own results over expressions that people wrote and over Go expr's
//! generated suite.
//!
//! The data is not part of the repository. Its folder is found beside it, or named by
//! `SEALFLOW_EXPR_DATA`.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::{collections::BTreeMap, path::PathBuf};

use expression::{Environment, FieldKind, Template, Value};
use serde_json::Value as Json;

/// Agreement that is demanded, in hundredths of a percent.
const USERS_AGREE_MIN: usize = 99_00;
/// Agreement that is demanded, in hundredths of a percent.
const SUITE_AGREE_MIN: usize = 98_00;

fn folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("SEALFLOW_EXPR_DATA").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no folder {} with Go's results; set SEALFLOW_EXPR_DATA", folder.display());
    None
}

/// Top-level names as variables, and as functions that ignore their arguments.
struct Data {
    names: Json,
    functions: &'static [&'static str],
}

impl Environment for Data {
    fn variable(&self, name: &str) -> Option<Value<'_>> {
        if self.functions.contains(&name) {
            return None;
        }
        self.names.get(name).map(Value::json)
    }

    fn call(&self, name: &str, _: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
        match name {
            "memory.find" if self.functions.contains(&name) => Some(Ok(Value::list(Vec::new()))),
            "memory.findFirst" if self.functions.contains(&name) => Some(Ok(Value::Nil)),
            _ if self.functions.contains(&name) => {
                Some(Ok(self.names.get(name).map_or(Value::Nil, Value::json)))
            }
            _ => None,
        }
    }
}

/// Whether two results are the same, numbers by value.
fn same(ours: &Json, theirs: &Json) -> bool {
    match (ours, theirs) {
        (Json::Number(a), Json::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            a == b || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

/// Whether a result has the type that Go names, where Go's result has no JSON.
fn same_type(ours: &Json, go: &str) -> bool {
    match go {
        "float64" => ours.is_number() || matches!(ours.as_str(), Some("+Inf" | "-Inf" | "NaN")),
        go if go.starts_with("map[") => ours.is_object(),
        go if go.starts_with("[]") => ours.is_array(),
        _ => false,
    }
}

fn evaluate(expr: &str, data: &Data) -> Result<Json, String> {
    let template = Template::parse(expr, FieldKind::Expression).map_err(|error| error.message)?;
    match template.resolve(data).map_err(|error| error.message)? {
        resolution if resolution.placed.is_empty() => Ok(resolution.display),
        _ => Err("needs a secret".to_owned()),
    }
}

fn check(file: &str, environment: &str, mut data: Data, agree_min: usize) {
    let Some(folder) = folder() else { return };
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    data.names = serde_json::from_str(&read(environment)).unwrap();
    if data.functions.contains(&"memory.find") {
        data.names["memory"] = serde_json::json!({});
    }
    let (mut total, mut differ) = (0, BTreeMap::new());
    for line in read(file).lines() {
        let row: Json = serde_json::from_str(line).unwrap();
        let expr = row["expr"].as_str().unwrap();
        total += 1;
        let ours = evaluate(expr, &data);
        let agree = match (&ours, row["ok"].as_bool().unwrap()) {
            (Ok(value), true) if row["out"] == "?" => same_type(value, row["type"].as_str().unwrap()),
            (Ok(value), true) => same(value, &row["out"]),
            (Err(_), false) => true,
            _ => false,
        };
        if !agree {
            let theirs =
                if row["ok"] == true { row["out"].to_string() } else { format!("error: {}", row["err"]) };
            differ.insert(expr.to_owned(), format!("ours {ours:?}, Go's {theirs}"));
        }
    }
    for (expr, how) in &differ {
        eprintln!("{expr}\n    {how}");
    }
    let agree = total - differ.len();
    eprintln!("{file}: {agree} of {total} agree, {} differ", differ.len());
    assert!(agree * 10_000 >= agree_min * total, "{file}: only {agree} of {total} agree");
}

#[test]
fn expressions_that_people_wrote_give_what_go_gives() {
    let functions = &["root", "previous", "order", "app", "run", "memory.find", "memory.findFirst"];
    let data = Data { names: Json::Null, functions };
    check("expr-golden-users.jsonl", "expr-golden-users.env.json", data, USERS_AGREE_MIN);
}

#[test]
fn the_generated_suite_gives_what_go_gives() {
    let data = Data { names: Json::Null, functions: &[] };
    check("expr-golden-suite.jsonl", "expr-golden-suite.env.json", data, SUITE_AGREE_MIN);
}
