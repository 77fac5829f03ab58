//! The law of partial evaluation: evaluating everything at once gives what folding and then evaluating the residual
//! gives, for generated expressions, environments and placements of secrets, through a JSON round trip.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use expression::{Environment, FieldKind, Folded, Residual, Template};
use proptest::{prelude::*, test_runner::Config};
use serde_json::Value as Json;
use support::{Safe, World};

/// Cases of one run. `PROPTEST_CASES` in the environment raises or lowers it.
const CASES: u32 = 12_000;

/// Makes an expression out of bytes: each byte is a choice, and where they end the simplest is chosen, so that
/// shrinking the bytes shrinks the expression.
struct Maker<'b> {
    bytes: std::slice::Iter<'b, u8>,
    closures: usize,
    reduces: bool,
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

    /// An expression of any type, mostly of the one that is asked for.
    fn any(&mut self) -> String {
        match self.choose(8) {
            0 | 1 => self.text(),
            2 => self.number(),
            3 => self.truth(),
            4 | 5 => self.list(),
            6 => self.map(),
            _ => self.pick(&["nil", "$", "root()", "$[\"Nobody\"]", "now()", "duration(\"90m\")"]),
        }
    }

    fn deeper<T>(&mut self, make: impl FnOnce(&mut Self) -> T, leaf: impl FnOnce(&mut Self) -> T) -> T {
        if self.depth >= 6 {
            return leaf(self);
        }
        self.depth += 1;
        let made = make(self);
        self.depth -= 1;
        made
    }

    fn text_leaf(&mut self) -> String {
        if self.closures > 0 && self.choose(3) == 1 {
            return self.pick(&["#", "#.name", ".name", "#?.name", "string(#)"]);
        }
        if self.lets > 0 && self.choose(4) == 1 {
            return format!("v{}", self.choose(self.lets));
        }
        self.pick(&[
            "secrets(\"github\").token",
            "\"a\"",
            "$[\"Push\"].data.name",
            "$.Push.data.text",
            "secrets(\"db\")[\"flag\"]",
            "secrets(\"github\").list",
            "secrets(\"db\").json",
            "secrets(\"gone\").key",
            "previous().data.s",
            "$[\"Push\"].data.unicode",
            "root().data.after",
            "$[\"Push\"][secrets(\"db\").flag]",
            "$[\"Nobody\"]?.data.name",
            "run().id",
            "\"\"",
        ])
    }

    fn text(&mut self) -> String {
        let deep = |m: &mut Self| match m.choose(18) {
            0 => m.text_leaf(),
            1 => format!("{} + {}", m.text(), m.text()),
            2 => format!("upper({})", m.text()),
            3 => format!("({} ? {} : {})", m.truth(), m.text(), m.text()),
            4 => format!("({} ?? {})", m.any(), m.text()),
            5 => format!("string({})", m.any()),
            6 => format!("toJSON({})", m.any()),
            7 => format!("join({}, {})", m.list(), m.text_leaf()),
            8 => format!("{}[{}:{}]", m.text_leaf(), m.number_leaf(), m.number_leaf()),
            9 => format!("replace({}, {}, {})", m.text(), m.text_leaf(), m.text_leaf()),
            10 => format!("toBase64({})", m.text()),
            11 => {
                m.lets += 1;
                let (value, body) = (m.any(), m.text());
                m.lets -= 1;
                format!("(let v{} = {value}; {body})", m.lets)
            }
            12 => format!("({} | split(\",\") | first())", m.text()),
            13 => format!("if {} {{ {} }} else {{ {} }}", m.truth(), m.text(), m.text()),
            14 => format!("({}?.[{}]?.name)", m.any(), m.any()),
            15 => format!("({}; {})", m.any(), m.text()),
            16 => format!("date({}).Format({})", m.any(), m.text_leaf()),
            _ => format!("escapeXML({})", m.any()),
        };
        let text = self.deeper(deep, Self::text_leaf);
        if text.starts_with("if ") { format!("({text})") } else { text }
    }

    fn number_leaf(&mut self) -> String {
        if self.reduces && self.choose(3) == 1 {
            return self.pick(&["#acc", "#index", "#"]);
        }
        self.pick(&[
            "1",
            "0",
            "2.5",
            "-3",
            "$[\"Push\"].data.id",
            "$.Push.data.ratio",
            "int(secrets(\"db\").number)",
            "4",
            "previous(2).data.n",
            "$.Push.data.big",
        ])
    }

    fn number(&mut self) -> String {
        let deep = |m: &mut Self| match m.choose(12) {
            0 => m.number_leaf(),
            1 => format!("({} {} {})", m.number(), m.pick(&["+", "-", "*", "/", "%", "**"]), m.number()),
            2 => format!("len({})", m.any()),
            3 => format!(
                "{}({}, {{{}}})",
                m.pick(&["count", "findIndex", "findLastIndex"]),
                m.list(),
                m.body(Self::truth)
            ),
            4 => format!("sum({}, {})", m.list(), m.body(Self::number)),
            5 => format!(
                "{}({})",
                m.pick(&["max", "min", "mean", "median", "abs", "int", "float", "round"]),
                m.any()
            ),
            6 => m.reduce(),
            7 => format!("indexOf({}, {})", m.text(), m.text()),
            8 => format!("-{}", m.number()),
            9 => format!("({} ?? {})", m.any(), m.number()),
            10 => format!("date({}).Unix()", m.any()),
            _ => format!("({} ? {} : {})", m.truth(), m.number(), m.number()),
        };
        self.deeper(deep, Self::number_leaf)
    }

    fn reduce(&mut self) -> String {
        let list = self.list();
        let before = std::mem::replace(&mut self.reduces, true);
        let body = self.body(Self::number);
        self.reduces = before;
        let start = if self.choose(2) == 0 { format!(", {}", self.number()) } else { String::new() };
        format!("reduce({list}, {body}{start})")
    }

    fn truth(&mut self) -> String {
        let leaf = |m: &mut Self| {
            m.pick(&[
                "true",
                "false",
                "$[\"Push\"].data.ok",
                "secrets(\"db\").flag == \"yes\"",
                "secrets(\"db\").flag == \"no\"",
                "$.Nobody == nil",
            ])
        };
        let deep = |m: &mut Self| match m.choose(12) {
            0 => leaf(m),
            1 => format!("({} == {})", m.any(), m.any()),
            2 => format!(
                "({} {} {})",
                m.text(),
                m.pick(&["contains", "startsWith", "not endsWith", "matches"]),
                m.text()
            ),
            3 => format!("({} {} {})", m.number(), m.pick(&["<", "<=", ">", ">="]), m.number()),
            4 => format!("({} && {})", m.truth(), m.truth()),
            5 => format!("({} || {})", m.truth(), m.any()),
            6 => format!("not ({})", m.truth()),
            7 => format!("({} in {})", m.any(), m.list()),
            8 => format!("{}({}, {})", m.pick(&["any", "all", "none", "one"]), m.list(), m.body(Self::truth)),
            9 => format!("({} not in {})", m.text(), m.map()),
            10 => format!("({} < {} < {})", m.number(), m.number(), m.number()),
            _ => format!("({} ?: {})", m.truth(), m.truth()),
        };
        self.deeper(deep, leaf)
    }

    fn body(&mut self, make: fn(&mut Self) -> String) -> String {
        self.closures += 1;
        let body = make(self);
        self.closures -= 1;
        body
    }

    fn list(&mut self) -> String {
        let leaf = |m: &mut Self| {
            m.pick(&[
                "$[\"Push\"].data.items",
                "$[\"Push\"].data.users",
                "split(secrets(\"github\").list, \",\")",
                "[]",
                "$.Push.data.words",
                "$.Push.data.mixed",
                "1..3",
                "fromJSON(secrets(\"db\").json).tags",
            ])
        };
        let deep = |m: &mut Self| match m.choose(12) {
            0 => leaf(m),
            1 => format!("[{}, {}]", m.any(), m.any()),
            2 => format!("map({}, {})", m.list(), m.body(Self::any)),
            3 => format!("filter({}, {})", m.list(), m.body(Self::truth)),
            4 => format!(
                "({} | sortBy({}, {}))",
                m.list(),
                m.body(Self::any),
                m.pick(&["\"asc\"", "\"desc\"", "secrets(\"db\").flag"])
            ),
            5 => format!("concat({}, {})", m.list(), m.list()),
            6 => format!(
                "{}({})",
                m.pick(&["reverse", "uniq", "flatten", "sort", "keys", "values", "toPairs"]),
                m.any()
            ),
            7 => format!("{}[{}:]", m.list(), m.number()),
            8 => format!("({} ? {} : {})", m.truth(), m.list(), m.list()),
            9 => format!("take({}, {})", m.list(), m.number()),
            10 => format!("[{}, ...0]", m.text()).replace(", ...0", ""),
            _ => format!("map({}, {{a: {}}})", m.list(), m.body(Self::any)),
        };
        self.deeper(deep, leaf)
    }

    fn map(&mut self) -> String {
        let leaf = |m: &mut Self| {
            m.pick(&["$[\"Push\"].data", "{a: 1}", "{}", "fromJSON(secrets(\"db\").json)", "$"])
        };
        let deep = |m: &mut Self| match m.choose(6) {
            0 => leaf(m),
            1 => format!("{{a: {}, b: {}}}", m.any(), m.any()),
            2 => format!("{{({}): {}}}", m.text(), m.any()),
            3 => format!("groupBy({}, {})", m.list(), m.body(Self::any)),
            4 => format!("fromPairs([[{}, {}]])", m.any(), m.any()),
            _ => format!("fromJSON({})", m.text()),
        };
        self.deeper(deep, leaf)
    }
}

fn expression_of(bytes: &[u8]) -> String {
    let mut maker = Maker { bytes: bytes.iter(), closures: 0, reduces: false, lets: 0, depth: 0 };
    maker.any()
}

/// What folding, storing, reading and evaluating gives.
fn in_two_steps(template: &Template, world: &World, safe: &Safe) -> Result<Json, String> {
    match template.fold(world).map_err(|error| error.to_string())? {
        Folded::Value(value) => Ok(value),
        Folded::Residual { residual, .. } => {
            let stored = serde_json::to_string(&residual).map_err(|error| error.to_string())?;
            let read: Residual =
                serde_json::from_str(&stored).map_err(|error| format!("{error}: {stored}"))?;
            assert_eq!(serde_json::to_string(&read).unwrap(), stored, "a residual reads back as it was");
            assert!(!read.refs().is_empty(), "what needs no secret is no residual");
            let evaluated = read.eval(safe).map_err(|error| error.to_string())?;
            assert_told(&evaluated.value, &evaluated.derived, safe);
            Ok(evaluated.value)
        }
    }
}

/// Every text of the result that holds a secret is among those that are told for scrubbing.
fn assert_told(value: &Json, derived: &[String], safe: &Safe) {
    match value {
        Json::String(text) => {
            let holds = safe.0.values().any(|secret| secret.len() >= 8 && text.contains(&**secret));
            assert!(!holds || derived.contains(text), "{text} is not told");
        }
        Json::Array(items) => items.iter().for_each(|item| assert_told(item, derived, safe)),
        Json::Object(entries) => {
            for (key, item) in entries {
                assert_told(&Json::String(key.clone()), derived, safe);
                assert_told(item, derived, safe);
            }
        }
        _ => {}
    }
}

fn check(source: &str, kind: FieldKind, variant: u8) -> Result<(), TestCaseError> {
    // Secrets in what is given to the environment are refused at once, and so is nesting that is too deep.
    let Ok(template) = Template::parse(source, kind) else { return Ok(()) };
    let (world, safe) = (World::variant(variant), Safe::variant(variant / 3));
    let full = template.evaluate(&world, &safe);
    world.heard.lock().unwrap().clear();
    let stepwise = in_two_steps(&template, &world, &safe);
    match (&full, &stepwise) {
        (Ok(full), Ok(stepwise)) => prop_assert_eq!(full, stepwise, "{}", source),
        (Err(_), Err(_)) => {}
        (full, stepwise) => {
            prop_assert!(false, "{source}\n  at once: {full:?}\n  in two steps: {stepwise:?}")
        }
    }
    for secret in safe.0.values().filter(|secret| secret.len() >= 8) {
        prop_assert!(
            !world.heard.lock().unwrap().contains(&**secret),
            "the environment heard a secret: {source}"
        );
        if let Err(error) = &stepwise {
            prop_assert!(!error.contains(&**secret), "an error holds a secret: {source}\n{error}");
        }
    }
    Ok(())
}

fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    Config { cases, failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn folding_and_evaluating_the_rest_gives_what_evaluating_at_once_gives(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        form in 0..4_u8,
        variant in 0..9_u8,
    ) {
        let expression = expression_of(&bytes);
        match form {
            0 => check(&expression, FieldKind::Expression, variant)?,
            1 => check(&format!("{{{{ {expression} }}}}"), FieldKind::Typed, variant)?,
            2 => check(&format!("a {{{{ {expression} }}}} b {{{{ secrets(\"github\").token }}}}"), FieldKind::Text, variant)?,
            _ => check(&format!("https://h.test/{{{{ {expression} }}}}?q={{{{ {expression} }}}}"), FieldKind::Url, variant)?,
        }
    }
}

#[test]
fn most_generated_expressions_are_worth_it() {
    let mut state = 7_u64;
    let (mut parsed, mut fine, mut residuals) = (0, 0, 0);
    for _ in 0..2_000 {
        let bytes: Vec<u8> = (0..80)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as u8
            })
            .collect();
        let Ok(template) = Template::parse(&expression_of(&bytes), FieldKind::Expression) else { continue };
        parsed += 1;
        let world = World::sample();
        fine += usize::from(template.evaluate(&world as &dyn Environment, &Safe::sample()).is_ok());
        residuals += usize::from(matches!(template.fold(&world), Ok(Folded::Residual { .. })));
    }
    assert!(
        parsed > 1_800 && fine > 400 && residuals > 700,
        "{parsed} parsed, {fine} fine, {residuals} residuals"
    );
}
