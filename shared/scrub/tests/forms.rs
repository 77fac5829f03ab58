//! I1: nothing of a secret is left, whatever form it stands in.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use scrub::{DEEP_BYTES_MAX, Scrubber};
use serde_json::{Value, json};

const LABEL: &str = "github.token";
const MARK: &str = "[secret:github.token]";

fn scrubber(value: &str) -> Scrubber {
    Scrubber::new(&[(LABEL, value)], &[])
}

fn percent(text: &str, keep: &str, upper: bool) -> String {
    let escape = |byte: u8| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
    text.bytes()
        .map(|byte| {
            let plain = byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte);
            if plain { char::from(byte).to_string() } else { escape(byte) }
        })
        .collect()
}

fn json_escaped(text: &str, ascii: bool) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    let inner = &quoted[1..quoted.len() - 1];
    let escape = |char: char| {
        let mut units = [0; 2];
        char.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>()
    };
    let must = |char: char| !char.is_ascii() || matches!(char, '<' | '>' | '&');
    inner.chars().map(|char| if ascii && must(char) { escape(char) } else { char.into() }).collect()
}

fn html(text: &str, style: usize) -> String {
    let named = |char: char| match char {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    };
    text.chars()
        .map(|char| match (style, named(char)) {
            (0, Some(name)) => name.to_owned(),
            (0, None) => char.to_string(),
            (1, _) => format!("&#{};", char as u32),
            _ => format!("&#x{:X};", char as u32),
        })
        .collect()
}

/// Every form of `text` that is scrubbed, as targets write them.
fn forms(text: &str) -> Vec<(String, String)> {
    let mut forms = vec![
        ("raw".into(), text.to_owned()),
        ("json".into(), json_escaped(text, false)),
        ("json, ascii".into(), json_escaped(text, true)),
        ("json, slashes".into(), json_escaped(text, false).replace('/', "\\/")),
        ("url".into(), percent(text, "-_.~", true)),
        ("url, lower".into(), percent(text, "-_.~", false)),
        ("url, component".into(), percent(text, "-_.!~*'()", true)),
        ("url, path".into(), percent(text, "-_.~/:@!$&'()*+,;=", true)),
        ("url, all".into(), text.bytes().map(|byte| format!("%{byte:02x}")).collect()),
        ("form".into(), percent(text, "-_.* ", true).replace(' ', "+")),
        ("html, names".into(), html(text, 0)),
        ("html, decimal".into(), html(text, 1)),
        ("html, hex".into(), html(text, 2)),
        ("hex".into(), hex::encode(text)),
        ("hex, upper".into(), hex::encode_upper(text)),
        ("hex, after a digit".into(), format!("0{}", hex::encode(text))),
    ];
    for before in 0..4 {
        for after in 0..4 {
            let padded = [vec![b'<'; before].as_slice(), text.as_bytes(), &vec![b'>'; after]].concat();
            for (name, engine) in [
                ("base64", &STANDARD),
                ("base64url", &URL_SAFE),
                ("bare", &STANDARD_NO_PAD),
                ("bare url", &URL_SAFE_NO_PAD),
            ] {
                forms.push((format!("{name} {before} {after}"), engine.encode(&padded)));
            }
        }
    }
    let mut wrapped = STANDARD.encode(text);
    for at in (0..wrapped.len()).rev().filter(|at| at % 19 == 18) {
        wrapped.insert_str(at, "\r\n");
    }
    forms.push(("base64, wrapped".into(), wrapped));
    forms
}

/// Whether the rest of a form is left. The base64 digits that hold neighbours' bits too are not
/// counted.
fn left(form: &str, scrubbed: &str) -> bool {
    let middle: String =
        form.trim_end_matches('=').chars().skip(6).take(form.chars().count().max(18) - 14).collect();
    middle.len() >= 6 && scrubbed.contains(&middle)
}

fn check(value: &str) {
    let scrubber = scrubber(value);
    for (name, form) in forms(value) {
        for (before, after) in [
            ("", ""),
            ("{\"a\": \"", "\"}"),
            ("x\\\\", "%"),
            ("Bearer ", "&x"),
            ("a", ""),
            ("ab", ""),
            ("abc", ""),
            ("=", "\n"),
            ("\u{e4}", "\u{e4}"),
        ] {
            let text = format!("{before}{form}{after}");
            let (scrubbed, places) = scrubber.scrub_text(&text);
            assert!(places >= 1, "{name}: {value:?} stays in {text:?}");
            assert!(scrubbed.contains(MARK), "{name}: {scrubbed:?}");
            assert!(!left(&form, &scrubbed), "{name}: {value:?}: {text:?} became {scrubbed:?}");
            assert!(!scrubbed.contains(value), "{name}");
            let (again, places) = scrubber.scrub_text(&scrubbed);
            assert_eq!((again, places), (scrubbed, 0), "{name}: something was left");
            let (bytes, _) = scrubber.scrub_bytes(text.as_bytes());
            assert_eq!(bytes, scrubber.scrub_text(&text).0.into_bytes());
        }
    }
}

#[test]
fn known_secrets_are_found_in_every_form() {
    for value in [
        "12345678",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "p\u{e4}ss w\u{f6}rd & <\"quotes\"> / back\\slash + 100%",
        "\u{1f600}\u{1f600}\u{1f600} emoji",
        "%41%42%43%44 looks encoded",
        "&amp;&lt; looks encoded too",
        "\\u0041\\n looks escaped",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "tab\tand\u{1}control",
    ] {
        check(value);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn random_secrets_are_found_in_every_form(value in "[ -~\u{e0}-\u{ff}\u{1f600}\n]{8,60}") {
        prop_assume!(value.trim().len() >= 8);
        check(&value);
    }

    #[test]
    fn a_secret_at_any_offset_of_any_text_is_found(
        value in "[ -~]{8,40}", before in "[ -~\u{e4}\n]{0,80}", after in "[ -~\u{e4}\n]{0,80}",
    ) {
        let (scrubbed, places) = scrubber(&value).scrub_text(&format!("{before}{value}{after}"));
        prop_assert!(places >= 1);
        prop_assert!(!scrubbed.replace(MARK, "").contains(&value) || before.contains(&value) || after.contains(&value));
    }

    #[test]
    fn texts_without_secrets_stay_as_they_are(text in "[ -~\u{e4}\n]{0,200}") {
        let (scrubbed, places) = scrubber("never-in-the-text-\u{2603}").scrub_text(&text);
        prop_assert_eq!((scrubbed, places), (text, 0));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), value in "[%&+a-f0-9\\\\;#x]{8,12}") {
        let _ = scrubber(&value).scrub_bytes(&bytes);
    }
}

#[test]
fn two_layers_of_encoding_are_undone() {
    let value = "s3cr\"t/value+&more";
    let layers: [fn(&str) -> String; 5] = [
        |text| json_escaped(text, true),
        |text| percent(text, "-_.~", true),
        |text| html(text, 0),
        |text| STANDARD.encode(text),
        |text| hex::encode(text),
    ];
    for outer in layers {
        for inner in layers {
            let text = outer(&inner(value));
            let (scrubbed, places) = scrubber(value).scrub_text(&text);
            assert_eq!((scrubbed.contains(MARK), places), (true, 1), "{text}");
        }
    }
}

#[test]
fn texts_over_the_limit_are_searched_under_one_layer_i10() {
    let value = "s3cr\"t/value+&more";
    let twice = json_escaped(&json_escaped(value, false), false);
    let once = json_escaped(value, false);
    let places = |form: &str, bytes: usize| {
        let text = format!("{}{form}", " ".repeat(bytes - form.len()));
        scrubber(value).scrub_text(&text).1
    };
    assert_eq!(places(&twice, DEEP_BYTES_MAX), 1);
    assert_eq!(places(&twice, DEEP_BYTES_MAX + 1), 0);
    assert_eq!(places(&once, DEEP_BYTES_MAX + 1), 1);
}

#[test]
fn lines_and_leaves_are_found_alone() {
    let pem = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n";
    let account = json!({"id": 1234567890, "precise": 12345678901234567_u64, "private_key": pem, "list": ["first-leaf", {"x": "second-leaf"}], "ok": true});
    let scrubber = scrubber(&account.to_string());
    for part in [
        "MIIEvQIBADANBgkq",
        "hkiG9w0BAQEFAASC",
        "1234567890",
        "12345678901234567",
        "first-leaf",
        "second-leaf",
    ] {
        assert_eq!(scrubber.scrub_text(&format!("<{part}>")), (format!("<{MARK}>"), 1), "{part}");
    }
    assert_eq!(scrubber.scrub_text("true private_key x"), ("true private_key x".into(), 0));
    let (indented, places) = scrubber.scrub_text("key: |\n    MIIEvQIBADANBgkq\r\n    hkiG9w0BAQEFAASC\r\n");
    assert_eq!(
        (indented.as_str(), places),
        ("key: |\n    [secret:github.token]\r\n    [secret:github.token]\r\n", 2)
    );
}

#[test]
fn strings_keys_and_numbers_of_json_are_scrubbed() {
    let scrubber = Scrubber::new(
        &[
            (LABEL, "s3cr3t-value"),
            ("bank.account", "12345678"),
            ("big.number", "10000000000"),
            ("large.number", "100000000000000000000"),
        ],
        &[],
    );
    let value = json!({
        "s3cr3t-value": "s3cr3t-value", "large": 1e20,
        "nested": [{"x s3cr3t-value": ["a s3cr3t-value b"]}],
        "number": 12345678, "negative": -12345678.5, "exponent": 1e10, "other": 1234567, "flag": true, "none": null,
    });
    let (scrubbed, places) = scrubber.scrub_json(value);
    let expected = json!({
        MARK: MARK, "large": "[secret:large.number]",
        "nested": [{format!("x {MARK}"): [format!("a {MARK} b")]}],
        "number": "[secret:bank.account]", "negative": "-[secret:bank.account].5", "exponent": "[secret:big.number].0",
        "other": 1234567, "flag": true, "none": null,
    });
    assert_eq!((scrubbed, places), (expected, 8));
}

#[test]
fn keys_that_look_alike_afterwards_keep_their_values() {
    let scrubber = Scrubber::new(&[("a.b", "first-secret"), ("a.b", "second-secret")], &[]);
    let (scrubbed, _) = scrubber.scrub_json(json!({"first-secret": 1, "second-secret": 2}));
    let mut values: Vec<_> = scrubbed.as_object().unwrap().values().filter_map(Value::as_i64).collect();
    values.sort_unstable();
    assert_eq!(values, [1, 2]);
}

#[test]
fn overlapping_secrets_leave_no_end_behind() {
    let scrubber =
        Scrubber::new(&[("a.one", "ABCDEFGHIJ"), ("a.two", "GHIJKLMNOPQR"), ("a.three", "DEFGHIJK")], &[]);
    assert_eq!(scrubber.scrub_text("<ABCDEFGHIJKLMNOPQR>"), ("<[secret:a.two]>".into(), 1));
    assert_eq!(scrubber.scrub_text("ABCDEFGHIJGHIJKLMNOPQR"), ("[secret:a.one][secret:a.two]".into(), 2));
}

#[test]
fn a_long_secret_is_replaced_once() {
    let value: String = (0..5000).map(|i| format!("{i:05}\u{e4}")).collect();
    let scrubber = scrubber(&value);
    assert_eq!(scrubber.scrub_text(&format!("\u{e4}{value}\u{e4}")), (format!("\u{e4}{MARK}\u{e4}"), 1));
    assert_eq!(scrubber.scrub_text(&STANDARD.encode(&value)).1, 1);
    // A target that cut it shows what is shorter than a part at most.
    let cut = &value[..value.floor_char_boundary(9_999)];
    let (left, _) = scrubber.scrub_text(cut);
    assert!(left.len() < 160, "{left}");
}

#[test]
fn what_was_made_of_secrets_is_found_whole_and_in_its_forms() {
    let code = "9f86d081884c7d659a2feaa0c55ad015";
    let scrubber =
        Scrubber::new(&[("login.password", "hunter2")], &[("hook.key", code), ("hook.key", "short")]);
    let check = |text: &str, expected: &str| assert_eq!(scrubber.scrub_text(text).0, expected);
    check("hunter2", "hunter2");
    check(&format!("X-Signature: {code}"), "X-Signature: [secret:hook.key]");
    check(&format!("in a body: {}", STANDARD.encode(code)), "in a body: [secret:hook.key]=");
    check(&code[1..], &code[1..]);
    check("short", "short");
}

#[test]
fn marks_are_those_of_brute_force() {
    let mut state = 11_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for round in 0..20_000 {
        // Two letters that no encoding knows, so that strings overlap in every way and nothing is
        // undone.
        let mut word =
            |bytes: u64| (0..bytes).map(|_| if random(2) == 0 { '#' } else { '.' }).collect::<String>();
        let mut lengths = 8 + round % 5;
        let values: Vec<String> = (0..1 + round % 6)
            .map(|_| {
                lengths = 8 + (lengths * 7 + 3) % 11;
                word(lengths)
            })
            .collect();
        let text = word(60);
        let pairs: Vec<(&str, &str)> = values.iter().map(|value| ("a.b", value.as_str())).collect();
        let mut marked = vec![false; text.len()];
        for value in &values {
            let starts = (0..text.len()).filter(|at| text[*at..].starts_with(value.as_str()));
            starts.for_each(|at| marked[at..at + value.len()].fill(true));
        }
        let mut expected = String::new();
        for (at, letter) in text.char_indices() {
            match (marked[at], at > 0 && marked[at - 1]) {
                (false, _) => expected.push(letter),
                (true, false) => expected.push_str("[secret:a.b]"),
                (true, true) => {}
            }
        }
        assert_eq!(Scrubber::new(&pairs, &[]).scrub_text(&text).0, expected, "{values:?} in {text}");
    }
}

#[test]
fn a_label_that_holds_a_value_is_not_shown() {
    let scrubber = Scrubber::new(&[("github.hunter2-hunter2", "hunter2-hunter2")], &[]);
    assert_eq!(scrubber.scrub_text("hunter2-hunter2").0, "[secret:hidden]");
}

#[test]
fn nothing_to_search_for_changes_nothing() {
    let scrubber = Scrubber::new(&[("a.flag", "true"), ("a.empty", "")], &[("a.b", ""), ("a.b", "1")]);
    assert!(scrubber.is_empty());
    assert_eq!(scrubber.scrub_json(json!({"a": true, "b": "true"})), (json!({"a": true, "b": "true"}), 0));
}

#[test]
fn digits_that_share_bits_with_a_neighbour_are_taken_too() {
    for value in ["12345678", "123456789", "1234567890"] {
        let scrubber = scrubber(value);
        assert_eq!(scrubber.scrub_text(&STANDARD_NO_PAD.encode(value)).0, MARK);
        for before in 1..=2 {
            let encoded = STANDARD_NO_PAD.encode(format!("{}{value}", "\0".repeat(before)));
            assert_eq!(
                scrubber.scrub_text(&encoded).0,
                format!("A{}{MARK}", if before == 2 { "A" } else { "" })
            );
        }
    }
}

#[test]
fn a_part_of_a_long_secret_that_ends_inside_a_character_takes_it_whole() {
    let value = format!("{}\u{e4}{}", "x".repeat(127), "y".repeat(200));
    let start = value[..129].to_owned();
    assert_eq!(scrubber(&value).scrub_text(&format!("{start}|")).0, format!("{MARK}|"));
}
