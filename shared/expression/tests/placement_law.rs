//! The law of placement: rendering what a template came to gives what evaluating it with the values
//! of the secrets as plain texts gives, for generated templates, environments and secrets, through
//! a JSON round trip.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use domain::limits::SECRET_VALUE_BYTES_MIN;
use expression::{ErrorKind, FieldKind, Resolution, Secrets as _, Template};
use proptest::{prelude::*, test_runner::Config};
use secret_text::{Context, Part, Rendered};
use serde_json::Value as Json;
use support::{Safe, World};

/// Cases of one run. `PROPTEST_CASES` in the environment raises or lowers it.
const CASES: u32 = 12_000;

/// Makes an expression out of bytes: each byte is a choice, and where they end the simplest is
/// chosen, so that shrinking the bytes shrinks the expression.
struct Maker<'b> {
    bytes: std::slice::Iter<'b, u8>,
    closures: usize,
    lets: usize,
    depth: usize,
}

impl Maker<'_> {
    fn choose(&mut self, of: usize) -> usize {
        self.bytes.next().map_or(0, |byte| *byte as usize % of)
    }

    fn pick(&mut self, from: &[&str]) -> String {
        let index = self.choose(from.len());
        from[index].to_owned()
    }

    fn deeper<T>(&mut self, make: impl FnOnce(&mut Self) -> T, leaf: impl FnOnce(&mut Self) -> T) -> T {
        if self.depth >= 5 {
            return leaf(self);
        }
        self.depth += 1;
        let made = make(self);
        self.depth -= 1;
        made
    }

    /// A secret, or known text.
    fn leaf(&mut self) -> String {
        if self.closures > 0 && self.choose(3) == 1 {
            return "#".to_owned();
        }
        if self.lets > 0 && self.choose(4) == 1 {
            return format!("v{}", self.choose(self.lets));
        }
        self.pick(&[
            "secrets(\"github\").token",
            "\"a\"",
            "$[\"Push\"].data.name",
            "secrets(\"db\")[\"flag\"]",
            "$.Push.data.text",
            "secrets(\"github\").list",
            "secrets(\"odd\")[\"{{ braces }}\"]",
            "fromJSON(secrets(\"db\").json).user",
            "fromJSON(secrets(\"db\").json).tags[1]",
            "fromJSON(fromBase64(secrets(\"db\").json64)).user",
            "secrets(\"gone\").key",
            "previous().data.s",
            "run().id",
            "\"../x\"",
            "\"\"",
        ])
    }

    /// A text, mostly one that may hold a secret.
    fn text(&mut self) -> String {
        let deep = |m: &mut Self| match m.choose(20) {
            0 => m.leaf(),
            1 | 2 => format!("({} + {})", m.text(), m.text()),
            3 => format!("({} ? {} : {})", m.truth(), m.text(), m.text()),
            4 => format!("toBase64({})", m.text()),
            5 => format!("escapeURL({})", m.text()),
            6 => format!("escapeXML({})", m.text()),
            7 => format!("urlPath({})", m.text()),
            8 => format!("toJSON({})", m.any()),
            9 => format!("join({}, {})", m.list(), m.leaf()),
            10 => {
                m.lets += 1;
                let (value, body) = (m.text(), m.text());
                m.lets -= 1;
                format!("(let v{} = {value}; {body})", m.lets)
            }
            11 => format!("[{}, {}][{}]", m.text(), m.text(), m.choose(2)),
            12 => format!(
                "{{\"a\": {}, \"b\": {}}}[{}]",
                m.text(),
                m.text(),
                m.pick(&["\"a\"", "\"b\"", "\"c\"", "root().data.after"])
            ),
            13 => format!("first({})", m.list()),
            14 => format!(
                "hmac({}, secrets(\"github\").token, {}, {})",
                m.pick(&["\"sha256\"", "\"sha1\""]),
                m.text(),
                m.pick(&["\"hex\"", "\"base64\"", "\"base64url\""])
            ),
            15 => format!("sent_at({})", m.pick(&["\"unix\"", "\"rfc3339\"", "\"basic\""])),
            16 => format!("({} ?? {})", m.pick(&["nil", "$.Nobody", "\"known\""]), m.text()),
            17 => format!("reduce({}, #acc + #, {})", m.list(), m.leaf()),
            18 => m.looking(),
            _ => format!("({}; {})", m.any(), m.text()),
        };
        self.deeper(deep, Self::leaf)
    }

    /// An expression that would have to look at a secret where one is in it.
    fn looking(&mut self) -> String {
        match self.choose(8) {
            0 => format!("upper({})", self.text()),
            1 => format!("({})[0:3]", self.text()),
            2 => format!("string({})", self.any()),
            3 => format!("split({}, \",\")[0]", self.text()),
            4 => format!("({} == \"a\" ? \"yes\" : \"no\")", self.text()),
            5 => format!("string(len({}))", self.any()),
            6 => format!("join(sort({}), \"\")", self.list()),
            _ => format!("toJSON({{({}): 1}})", self.text()),
        }
    }

    fn truth(&mut self) -> String {
        self.pick(&["true", "false", "$[\"Push\"].data.ok", "$.Nobody == nil", "root().data.count > 3"])
    }

    fn any(&mut self) -> String {
        match self.choose(6) {
            0 | 1 => self.text(),
            2 => self.list(),
            3 => format!(
                "{{\"a/b\": {}, \"c~\": {}}}",
                self.text(),
                self.pick(&["1", "nil", "$.Push.data.items"])
            ),
            4 => self.pick(&["1", "2.5", "nil", "true", "$.Push.data"]),
            _ => format!("[{}, {{\"x\": {}}}]", self.text(), self.text()),
        }
    }

    fn list(&mut self) -> String {
        let leaf = |m: &mut Self| m.pick(&["[secrets(\"github\").token, \"b\"]", "$.Push.data.words", "[]"]);
        let deep = |m: &mut Self| match m.choose(9) {
            0 => leaf(m),
            1 => format!("[{}, {}]", m.text(), m.text()),
            2 => {
                let list = m.list();
                m.closures += 1;
                let body = m.text();
                m.closures -= 1;
                format!("map({list}, {body})")
            }
            3 => format!("reverse({})", m.list()),
            4 => format!("concat({}, {})", m.list(), m.list()),
            5 => format!("take({}, 1)", m.list()),
            6 => format!("values({{\"a\": {}, \"b\": {}}})", m.text(), m.text()),
            7 => format!("flatten([{}, [{}]])", m.list(), m.text()),
            _ => format!("filter({}, {})", m.list(), m.truth()),
        };
        self.deeper(deep, leaf)
    }
}

fn maker(bytes: &[u8]) -> Maker<'_> {
    Maker { bytes: bytes.iter(), closures: 0, lets: 0, depth: 0 }
}

/// The value with its secrets, through the form in which it is stored. None where a value is
/// missing or can't be placed.
fn rendered(resolution: &Resolution, safe: &Safe) -> Option<Json> {
    let mut value = resolution.display.clone();
    for placed in &resolution.placed {
        let stored = serde_json::to_string(&placed.parts).unwrap();
        let parts: Vec<Part> = serde_json::from_str(&stored).unwrap();
        assert_eq!(parts, placed.parts, "parts read back as they were");
        let most = secret_text::rendered_bytes_max(&parts, safe);
        let Rendered { text, .. } = secret_text::render(&parts, Context::Free, safe.sent_at(), safe).ok()?;
        assert!(text.len() <= most, "{} of {most} bytes: {stored}", text.len());
        let place = value.pointer_mut(&placed.pointer).unwrap();
        assert_eq!(*place, Json::String(secret_text::show(&parts)), "the text is shown in its place");
        *place = Json::String(text.to_string());
    }
    Some(value)
}

/// Whether a value that is too short to be searched for is made into one text with a longer one.
fn hides_a_longer_one(resolution: &Resolution, safe: &Safe) -> bool {
    fn is_mixed(part: &Part, safe: &Safe) -> bool {
        let (is_made, inner) = match part {
            Part::Encoded(_, parts) => (parts.iter().any(|part| part.nesting() > 0), parts.clone()),
            Part::Mac { key, data, .. } => (true, [key.clone(), data.clone()].concat()),
            Part::Text(_) | Part::Secret(_) | Part::SentAt(_) | Part::Request(_) => return false,
        };
        let mut lengths = Vec::new();
        part.each_reference(&mut |reference| {
            let alone = [Part::Secret(reference.clone())];
            let text =
                secret_text::render(&alone, Context::Free, safe.sent_at(), safe).map(|all| all.text.len());
            lengths.push(text.unwrap_or_else(|_| secret_text::rendered_bytes_max(&alone, safe)));
        });
        let is_short = |bytes: &usize| *bytes < SECRET_VALUE_BYTES_MIN;
        let is_mixed_here = is_made && lengths.iter().any(is_short) && !lengths.iter().all(is_short);
        is_mixed_here || inner.iter().any(|part| is_mixed(part, safe))
    }
    resolution.placed.iter().flat_map(|placed| &placed.parts).any(|part| is_mixed(part, safe))
}

fn check(source: &str, kind: FieldKind, variant: u8) -> Result<(), TestCaseError> {
    let Ok(template) = Template::parse(source, kind) else { return Ok(()) };
    let (world, safe) = (World::variant(variant), Safe::variant(variant / 3));
    let resolution = match template.resolve(&world) {
        Ok(resolution) => resolution,
        // Refused for the secrets in it, or wrong in any case.
        Err(error) if error.message.contains("encodings of a secret are nested") => return Ok(()),
        Err(error) => {
            prop_assert!(
                error.kind == ErrorKind::Secret
                    || is_about_dots(&error.message)
                    || template.evaluate(&world, &safe).is_err(),
                "{}: {:?}",
                source,
                error
            );
            return Ok(());
        }
    };
    prop_assert!(
        template.secret_refs().is_empty() || !world.heard.lock().unwrap().contains("SeCrEt"),
        "{}",
        source
    );
    match (rendered(&resolution, &safe), template.evaluate(&world, &safe)) {
        (Some(one), Ok(other)) => prop_assert_eq!(one, other, "{}", source),
        // A secret that is not placed is not opened. One that is missing, or is no JSON, fails only
        // the evaluation of everything.
        (Some(_), Err(error)) => prop_assert!(
            is_of_a_secret(&error.message) || is_about_dots(&error.message),
            "{}: {:?}",
            source,
            error
        ),
        (None, Ok(value)) => prop_assert!(
            value.to_string().contains("..") || hides_a_longer_one(&resolution, &safe),
            "{}: {}",
            source,
            value
        ),
        (None, Err(_)) => {}
    }
    Ok(())
}

/// Whether a message is about a secret that is missing, or that holds something else than is read
/// from it.
fn is_of_a_secret(message: &str) -> bool {
    let said = [
        "has no key",
        "the text is no JSON",
        "the text is no Base64",
        "no fields and no elements",
        "index is out of range",
    ];
    said.iter().any(|part| message.contains(part))
}

/// Whether a message refuses the text around a secret, so that nothing is asked of the two
/// together.
fn is_about_dots(message: &str) -> bool {
    message.contains("dots alone") || message.contains("segments `.` and `..`")
}

fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    Config { cases, failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn rendering_gives_what_evaluating_with_the_values_gives(
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
        form in 0..4_u8,
        variant in 0..9_u8,
    ) {
        let mut maker = maker(&bytes);
        match form {
            0 => check(&format!("{{{{ {} }}}}", maker.any()), FieldKind::Typed, variant)?,
            1 => check(&maker.any(), FieldKind::Expression, variant)?,
            2 => check(&format!("a {{{{ {} }}}} b {{{{ {} }}}}", maker.text(), maker.any()), FieldKind::Text, variant)?,
            _ => check(&format!("https://h.test/{{{{ {} }}}}?q={{{{ {} }}}}", maker.text(), maker.text()), FieldKind::Url, variant)?,
        }
    }
}

#[test]
fn most_generated_templates_are_worth_it() {
    let mut state = 7_u64;
    let (mut taken, mut placed, mut equal) = (0, 0, 0);
    for _ in 0..2_000 {
        let bytes: Vec<u8> = (0..60)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as u8
            })
            .collect();
        let source = maker(&bytes).any();
        let Ok(template) = Template::parse(&source, FieldKind::Expression) else { continue };
        let Ok(resolution) = template.resolve(&World::sample()) else { continue };
        taken += 1;
        placed += usize::from(!resolution.placed.is_empty());
        equal += usize::from(rendered(&resolution, &Safe::sample()).is_some());
    }
    assert!(taken > 1_000 && placed > 600 && equal > 700, "{taken} taken, {placed} placed, {equal} rendered");
}
