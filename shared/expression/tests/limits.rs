//! The limits, on both sides of each, and that nothing panics or runs away.

mod support;

use std::time::{Duration, Instant};

use expression::{ErrorKind, FieldKind, Template, limits::*};
use secret_text::{NESTING_MAX as NESTING_MAX_OF_PARTS, PATH_STEPS_MAX};
use serde_json::Value as Json;
use support::{Safe, World};

fn evaluate(source: &str) -> Result<Json, (ErrorKind, String)> {
    let template = Template::parse(source, FieldKind::Expression)
        .map_err(|error| (error.kind, error.message.clone()))?;
    let resolution =
        template.resolve(&World::sample()).map_err(|error| (error.kind, error.message.clone()))?;
    assert!(resolution.placed.is_empty(), "no secret is in {source}");
    Ok(resolution.display)
}

#[track_caller]
fn holds(at_limit: &str, beyond: &str) {
    evaluate(at_limit).expect("at the limit it works");
    let (kind, message) = evaluate(beyond).expect_err("beyond the limit it does not");
    assert_eq!(kind, ErrorKind::Limit, "{message}");
}

#[test]
fn source_length() {
    let text = |length: usize| format!("'{}'", "x".repeat(length - 2));
    holds(&text(SOURCE_BYTES_MAX), &text(SOURCE_BYTES_MAX + 1));
}

#[test]
fn nesting_of_brackets() {
    for (open, inner, close) in
        [("(", "1", ")"), ("[", "1", "]"), ("{a: ", "1", "}"), ("abs(", "1", ")"), ("-", "1", "")]
    {
        let nested = |depth: usize| format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
        // A result may be nested less deeply than an expression.
        let depth = if matches!(open, "[" | "{a: ") { VALUE_NESTING_MAX } else { NESTING_MAX };
        holds(&nested(depth), &nested(depth + 1));
        assert!(Template::parse(&nested(NESTING_MAX), FieldKind::Expression).is_ok(), "{open}");
        assert!(Template::parse(&nested(NESTING_MAX + 1), FieldKind::Expression).is_err(), "{open}");
    }
}

#[test]
fn depth_of_the_tree() {
    let piped = |depth: usize| format!("1{}", " | abs()".repeat(depth - 1));
    holds(&piped(DEPTH_MAX), &piped(DEPTH_MAX + 1));
}

#[test]
fn parts_of_a_field() {
    // A chain of n sums has 2n + 1 parts.
    let sums = |parts: usize| format!("1{}", "+1".repeat((parts - 1) / 2));
    holds(&sums(NODES_MAX - 1), &sums(NODES_MAX + 1));
    // All templates of a field count together.
    let text = "{{ 1 }}".repeat(NODES_MAX);
    assert!(Template::parse(&text, FieldKind::Text).is_ok());
    assert!(Template::parse(&format!("{text}{{{{ 1 }}}}"), FieldKind::Text).is_err());
}

#[test]
fn elements_of_a_range() {
    holds(&format!("len(1..{RANGE_ELEMENTS_MAX})"), &format!("len(0..{RANGE_ELEMENTS_MAX})"));
}

#[test]
fn length_of_a_repetition() {
    let repeat = |length: usize| format!("len(repeat('ab', {}))", length / 2);
    holds(&repeat(REPEAT_BYTES_MAX), &repeat(REPEAT_BYTES_MAX + 2));
}

#[test]
fn length_of_patterns_and_the_work_of_what_they_look_at() {
    // The text of a pull request has up to 64 KiB, and a delivery up to 512 KiB.
    let hay = |length: usize| format!("repeat('a', {length}) matches 'a$'");
    holds(&hay(256 * 1024), &hay(REPEAT_BYTES_MAX));
    let pattern = |length: usize| format!("'a' matches ('[' + repeat('a', {}) + ']')", length - 2);
    holds(&pattern(REGEX_PATTERN_BYTES_MAX), &pattern(REGEX_PATTERN_BYTES_MAX + 1));
}

#[test]
fn what_real_deliveries_hold_is_worked_through() {
    // A delivery has up to 512 KiB: a log, the commits of a push, alerts, a message in a message.
    for source in [
        "len(split(repeat('a,', 100000), ',')) == 100001",
        "len(replace(repeat('ab', 200000), 'a', 'c')) == 400000",
        "repeat('a', 500000) contains 'aab' == false",
        "len(lower(repeat('A', 500000))) == 500000",
        "len(filter(1..2048, # % 2 == 0)) == 1024",
        "len(map(1..1000, {'id': #, 'name': string(#)})) == 1000",
        "len(fromJSON('[' + repeat('1,', 100000) + '1]')) == 100001",
        "len(toBase64(repeat('a', 250000))) == 333336",
    ] {
        holds(source, &format!("map(1..1000000, {source})"));
    }
}

#[test]
fn size_of_compiled_patterns() {
    holds("'aaab' matches '^a{1,50}b$'", "'aaab' matches '(?:a{1,50}){1,50}b'");
}

#[test]
fn nesting_of_values() {
    let nest = |depth: usize| format!("reduce(1..{depth}, [#acc], 0)");
    holds(&nest(VALUE_NESTING_MAX), &nest(VALUE_NESTING_MAX + 1));
    let json = |depth: usize| format!("fromJSON(repeat('[', {depth}) + repeat(']', {depth}))");
    holds(&json(VALUE_NESTING_MAX), &json(VALUE_NESTING_MAX + 1));
    // JSON that serde_json itself refuses is an error as well.
    assert!(evaluate(&json(10_000)).is_err());
}

#[test]
fn work_of_an_evaluation() {
    let loops = |n: usize| format!("count(1..1000, any(1..{n}, # < 0)) == 0");
    let fits = FUEL_MAX as usize / 1000 / 20;
    holds(&loops(fits), &loops(fits * 20));
}

#[test]
fn work_is_counted_where_it_is_done() {
    // Each of these does very much in few steps of the evaluator.
    for source in [
        "map(1..2000, len(split(repeat('a', 60000), '')))",
        "map(1..100, repeat('a', 1000000))",
        "map(1..1000, join(map(1..1000, repeat('a', 1000))))",
        "map(1..1000, sort(1..10000))",
        "map(1..1000, uniq(map(1..10000, [#])))",
        "map(1..1000, reverse(1..100000))",
        "map(1..1000, (1..100000) == (1..100000))",
        "map(1..1000, 100000 in 1..99999)",
        "map(1..10000, repeat('a', 16384) matches '(a|aa|aaa|b){1,9}c')",
        "reduce(1..45, [#acc, #acc], 1)",
        "repeat('a', 1000000) matches '(a|aa|aaa|b){1,9}c'",
        "map(1..1000, replace(repeat('a', 100000), 'a', 'bb'))",
        "map(1..1000, upper(repeat('a', 100000)))",
        "map(1..1000, toJSON(1..10000))",
        "map(1..1000, fromJSON(toJSON(1..10000)))",
        "map(1..1000, toBase64(repeat('a', 100000)))",
        "map(1..1000, trim(repeat('a', 100000), repeat('b', 100000)))",
        "map(1..1000, flatten([1..10000, 1..10000]))",
        "map(1..1000, concat(1..10000, 1..10000))",
        "map(1..1000, sum(1..10000))",
        "map(1..1000, median(1..10000))",
        "map(1..1000, max(1..10000))",
        "map(1..1000, groupBy(1..10000, # % 10))",
        "map(1..1000, sortBy(1..10000, -#))",
        "map(1..1000, indexOf(repeat('a', 1000000), 'b'))",
        "map(1..1000, repeat('a', 1000000) contains 'b')",
        "map(1..1000, repeat('a', 1000000) == repeat('a', 1000000))",
        "map(1..100000, string(1..1000))",
        "map(1..1000, escapeURL(repeat('/', 100000)))",
        "map(1..1000, (1..100000)[1:])",
        "reduce(1..100, #acc + #acc, 'a')",
        "toJSON(reduce(1..40, [#acc, #acc], 0))",
        "reduce(1..40, [#acc, #acc], 0)",
        "reduce(1..40, [#acc, #acc], 0) == reduce(1..40, [#acc, #acc], 0)",
        "flatten(reduce(1..40, [#acc, #acc], 0))",
        "string(reduce(1..40, {a: #acc, b: #acc}, 0))",
        "max(reduce(1..40, [#acc, #acc], 0))",
        "mean(reduce(1..40, [#acc, #acc], 0))",
        "now().Format(repeat('Monday', 100000)) | repeat(100000)",
        "map(1..1000, now().Format(repeat('Monday', 10000)))",
        "map(1..1000, date(repeat('1', 1000000)))",
    ] {
        let start = Instant::now();
        let result = evaluate(source);
        let took = start.elapsed();
        assert!(result.is_err(), "{source} comes to an end");
        assert!(took < Duration::from_secs(20), "{source} took {took:?}");
    }
}

#[test]
fn memory_of_an_evaluation() {
    // A list of 500,000 takes 12 of the 32 MiB.
    let lists = |n: usize| format!("[{}]", vec!["len(1..500000)"; n].join(", "));
    holds(&lists(2), &lists(3));
    let (_, message) = evaluate(&lists(3)).unwrap_err();
    assert_eq!(message, "the expressions make too much data");
}

#[test]
fn encodings_and_paths_of_a_secret_i10() {
    let kind = |source: &str| {
        let template = Template::parse(source, FieldKind::Expression).unwrap();
        template.resolve(&World::sample()).map(|_| ()).map_err(|error| error.kind)
    };
    let encoded =
        |levels: usize| format!("{}secrets(\"a\").b{}", "toBase64(".repeat(levels), ")".repeat(levels));
    assert_eq!(kind(&encoded(NESTING_MAX_OF_PARTS)), Ok(()));
    assert_eq!(kind(&encoded(NESTING_MAX_OF_PARTS + 1)), Err(ErrorKind::Limit));
    let path = |steps: usize| format!("fromJSON(secrets(\"a\").b){}", ".c".repeat(steps));
    assert_eq!(kind(&path(PATH_STEPS_MAX)), Ok(()));
    assert_eq!(kind(&path(PATH_STEPS_MAX + 1)), Err(ErrorKind::Limit));
}

/// The pieces that may be repeated around something: brackets, operators and pieces of syntax.
const PIECES: &[(&str, &str, &str)] = &[
    ("(", "1", ")"),
    ("[", "1", "]"),
    ("{a: ", "1", "}"),
    ("a[", "1", "]"),
    ("a?.[", "1", "]"),
    ("a[:", "1", "]"),
    ("len(", "1", ")"),
    ("map(a, ", "#", ")"),
    ("map(a, {", "#", "})"),
    ("f(", "1", ")"),
    ("a.b(", "1", ")"),
    ("-", "1", ""),
    ("+", "1", ""),
    ("!", "true", ""),
    ("not ", "true", ""),
    ("", "a", ".b"),
    ("", "a", "?.b"),
    ("", "a", "[0]"),
    ("", "a", "?.[0]"),
    ("", "a", "[:]"),
    ("", "a", ".b()"),
    ("", "a", " | len()"),
    ("1 + ", "1", ""),
    ("1 - ", "1", ""),
    ("1 * ", "1", ""),
    ("1 / ", "1", ""),
    ("1 % ", "1", ""),
    ("1 ** ", "1", ""),
    ("1 ^ ", "1", ""),
    ("1 .. ", "1", ""),
    ("1 == ", "1", ""),
    ("1 < ", "1", ""),
    ("1 < (", "1", ")"),
    ("a && ", "a", ""),
    ("a || ", "a", ""),
    ("a and ", "a", ""),
    ("a or ", "a", ""),
    ("a ?? ", "a", ""),
    ("a ? b : ", "a", ""),
    ("a ? ", "b", " : c"),
    ("a ?: ", "a", ""),
    ("a in ", "a", ""),
    ("a not in ", "a", ""),
    ("a contains ", "a", ""),
    ("a matches ", "a", ""),
    ("a; ", "a", ""),
    ("let x = ", "1", "; x"),
    ("let x = 1; ", "x", ""),
    ("if a { ", "1", " } else { 2 }"),
    ("if a { 1 } else ", "{ 2 }", ""),
    ("if ", "a", " { 1 } else { 2 }"),
    ("'a' + ", "'b'", ""),
    ("/* */ ", "1", ""),
    ("{(", "'a'", "): 1}"),
    ("::len(", "a", ")"),
    ("a < b < ", "c", ""),
    ("map(map(", "a", ", #), #)"),
    ("reduce(a, ", "#acc", ", 0)"),
    ("secrets(\"a\").b + ", "1", ""),
    ("(secrets(\"a\").b ", "", ")"),
    ("`", "", "`"),
    ("\"", "", "\""),
    ("#", "", ""),
    (".", "a", ""),
    ("?.", "a", ""),
    ("::", "a", ""),
];

/// The bound for work that takes no more than some milliseconds on an idle machine.
const HANDLED_WITHIN: Duration = Duration::from_millis(250);

/// How long everything takes that is done with a source.
fn handle(source: &str, kind: FieldKind) -> Duration {
    let start = Instant::now();
    if let Ok(template) = Template::parse(source, kind) {
        let world = World::sample();
        let _ = template.resolve(&world);
        let _ = template.evaluate(&world, &Safe::sample());
        let _ = (template.mentions(), template.names(), template.secret_refs(), template.unknown_names());
    }
    start.elapsed()
}

/// Ten thousand of every bracket and operator: an error, or a result, and quickly, in a debug build
/// too.
#[test]
fn ten_thousand_of_anything_neither_overflow_the_stack_nor_take_long() {
    let small_stack = std::thread::Builder::new().stack_size(1024 * 1024);
    let walk = || {
        for (open, inner, close) in PIECES {
            for count in [59, 99, 1_000, 10_000] {
                let source = format!("{}{inner}{}", open.repeat(count), close.repeat(count));
                for (source, kind) in
                    [(format!("{{{{ {source} }}}}"), FieldKind::Typed), (source, FieldKind::Expression)]
                {
                    // Other processes may hold it up some times, and hardly ten times.
                    let took = (0..10).map(|_| handle(&source, kind)).find(|took| *took < HANDLED_WITHIN);
                    assert!(
                        took.is_some(),
                        "{count} of {open:?} {close:?} take longer than {HANDLED_WITHIN:?}"
                    );
                }
            }
        }
    };
    small_stack.spawn(walk).unwrap().join().unwrap();
}

#[test]
fn unclosed_brackets_are_errors() {
    for open in ["(", "[", "{", "{{", "a[", "len(", "map(a, {", "'", "\"", "`x", "/*", "{{ '", "if a {"] {
        for kind in [FieldKind::Expression, FieldKind::Typed] {
            let source = if kind == FieldKind::Typed {
                format!("{{{{ {} }}}}", open.repeat(500))
            } else {
                open.repeat(500)
            };
            assert!(Template::parse(&source, kind).is_err(), "{open}");
        }
    }
}
