//! Whatever is given, nothing panics: any text, any sequence of tokens, any stored residual.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use expression::{FieldKind, Template};
use jiff::Timestamp;
use proptest::{prelude::*, test_runner::Config};
use secret_text::{Context, Part};
use serde_json::{Value as Json, json};
use support::{Safe, World};

const CASES: u32 = 4_000;

const KINDS: [FieldKind; 4] = [FieldKind::Typed, FieldKind::Text, FieldKind::Url, FieldKind::Expression];

const TOKENS: &[&str] = &[
    "1",
    "0",
    "-1",
    "2.5",
    "9223372036854775807",
    "1e308",
    "\"a\"",
    "\"é€\"",
    "''",
    "`b`",
    "true",
    "nil",
    "$",
    "[\"Push\"]",
    ".data",
    ".items",
    ".users",
    ".unicode",
    "?.x",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ",",
    ":",
    "?",
    "??",
    "?:",
    ".",
    "..",
    "|",
    ";",
    "+",
    "-",
    "*",
    "/",
    "%",
    "**",
    "==",
    "!=",
    "<",
    ">=",
    "&&",
    "||",
    "!",
    "not",
    "in",
    "contains",
    "matches",
    "startsWith",
    "and",
    "or",
    "let",
    "x",
    "=",
    "if",
    "else",
    "#",
    "#acc",
    "#index",
    "map(",
    "filter(",
    "reduce(",
    "sortBy(",
    "groupBy(",
    "find(",
    "sum(",
    "count(",
    "any(",
    "len(",
    "split(",
    "join(",
    "replace(",
    "repeat(",
    "trim(",
    "upper(",
    "string(",
    "int(",
    "float(",
    "toJSON(",
    "fromJSON(",
    "date(",
    "duration(",
    "timezone(",
    "max(",
    "median(",
    "sort(",
    "flatten(",
    "uniq(",
    "take(",
    "concat(",
    "keys(",
    "toPairs(",
    "fromPairs(",
    "get(",
    "urlPath(",
    "escapeURL(",
    "toBase64(",
    "fromBase64(",
    "root()",
    "previous(",
    "now()",
    ".Format(",
    ".Add(",
    ".AddDate(",
    ".Round(",
    ".Truncate(",
    ".Month()",
    ".Sub(",
    ".In(",
    "secrets(\"github\").token",
    "secrets(\"db\").number",
    "secrets(",
    "{{",
    "}}",
    "https://h.test/",
    "?q=",
    "\n",
    "\\",
    "/*",
    "*/",
    "//",
    "é",
    "\"1h\"",
    "\"2026-01-02\"",
    "\"Asia/Tokyo\"",
    "\"2006-01-02 .000 PM MST __2 Z070000\"",
    "\"1,2\"",
    "\",\"",
    "\"desc\"",
    "[-1]",
    "[1:]",
    "[:-1]",
];

fn exercise(source: &str) {
    let (world, safe) = (World::sample(), Safe::sample());
    for kind in KINDS {
        let template = match Template::parse(source, kind) {
            Ok(template) => template,
            Err(error) => {
                assert!(
                    error.span.start <= error.span.end && error.span.end <= source.len(),
                    "{source:?}: {error:?}"
                );
                let _ = (error.to_string(), error.render(source), error.render(""));
                continue;
            }
        };
        let _ = (template.mentions(), template.names(), template.secret_refs(), template.url_origin());
        let at_once = template.evaluate(&world, &safe);
        match template.resolve(&world) {
            Ok(resolution) if resolution.placed.is_empty() => {
                // A branch that is not placed may name a secret that is missing.
                let told = at_once.as_ref().err().map(|error| error.message.as_str());
                let is_missing = told.is_some_and(|told| told.contains("has no key"));
                assert!(is_missing || Some(&resolution.display) == at_once.as_ref().ok(), "{source:?}");
            }
            Ok(resolution) => resolution.placed.iter().for_each(|placed| mistreat(&placed.parts, &safe)),
            Err(error) => assert!(error.span.end <= source.len(), "{source:?}: {error:?}"),
        }
    }
}

/// Renders parts of which one after the other is damaged.
fn mistreat(parts: &[Part], safe: &Safe) {
    let stored = serde_json::to_value(parts).unwrap();
    for index in 0..stored.as_array().map_or(0, Vec::len).min(12) {
        for damage in [
            Json::Null,
            Json::from("x"),
            json!({ "secret": ["gone", "x"] }),
            json!({ "op": "hmac", "algorithm": "sha1", "format": "bytes", "key": [], "parts": [] }),
            json!({ "op": "urlPath", "parts": [stored[index]] }),
        ] {
            let mut damaged = stored.clone();
            damaged[index] = damage;
            if let Ok(read) = serde_json::from_value::<Vec<Part>>(damaged) {
                let _ = secret_text::render(&read, Context::Line, Timestamp::UNIX_EPOCH, safe).is_ok();
            }
        }
    }
}

fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    Config { cases, failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_sequence_of_tokens(picks in proptest::collection::vec(0..TOKENS.len(), 0..16), spaced in any::<bool>()) {
        let tokens: Vec<&str> = picks.iter().map(|pick| TOKENS[*pick]).collect();
        let source = tokens.join(if spaced { " " } else { "" });
        exercise(&source);
        exercise(&format!("{{{{ {source} }}}}"));
    }

    #[test]
    fn any_text(source in "\\PC{0,24}|[ -~]{0,24}|(\\{\\{|\\}\\}|[a\"'`$#.()\\[\\]{}é\\\\0-9+*/ ]){0,24}") {
        exercise(&source);
    }

    #[test]
    fn any_vector_with_a_piece_cut_out(index in any::<prop::sample::Index>(), from in 0..80_usize, length in 1..12_usize) {
        let rows: Vec<&str> = VECTORS.iter().flat_map(|group| group.lines()).collect();
        let row: Json = serde_json::from_str(rows[index.index(rows.len())]).unwrap();
        let source: Vec<char> = row["expr"].as_str().or(row["template"].as_str()).unwrap().chars().collect();
        let kept = source.iter().enumerate().filter(|(at, _)| !(from..from + length).contains(at)).map(|(_, c)| *c);
        exercise(&kept.collect::<String>());
    }
}

const VECTORS: &[&str] = &[
    include_str!("vectors/operators.jsonl"),
    include_str!("vectors/access.jsonl"),
    include_str!("vectors/strings.jsonl"),
    include_str!("vectors/numbers.jsonl"),
    include_str!("vectors/arrays.jsonl"),
    include_str!("vectors/types.jsonl"),
    include_str!("vectors/dates.jsonl"),
    include_str!("vectors/templates.jsonl"),
    include_str!("vectors/secrets.jsonl"),
];
