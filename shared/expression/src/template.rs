//! Templates: strings of a configuration with `{{ }}` in them.

use std::sync::Arc;

use jiff::Timestamp;
use secret_text::{Encoding, FieldKind, Part as SecretPart};

use crate::{
    analysis,
    ast::{Id, Kind},
    builtins::{Builtin, json, print::check_is_sendable},
    error::{Error, ErrorKind, Span},
    eval::{Budget, Machine, Vault},
    lexer::Until,
    limits::SOURCE_BYTES_MAX,
    opaque::{Pieces, refused},
    parser::{Parser, Tree},
    placement, url,
    value::Value,
};

/// A parsed string of a configuration. Parsed once, cheap to clone.
#[derive(Clone, Debug)]
pub struct Template(Arc<Parsed>);

#[derive(Debug)]
struct Parsed {
    source: String,
    kind: FieldKind,
    tree: Tree,
    parts: Vec<Part>,
    /// Whether the whole string is one expression that keeps its type.
    whole: bool,
    origin: UrlOrigin,
}

/// A piece of the string.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// Literal text, as a range of the source.
    Literal(Span),
    /// A `{{ }}` (or the whole of a bare expression), as a range of the source, and its root.
    Expression(Span, Id),
}

/// The references of a template to things outside of itself, found without an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Nodes named by `$["Name"]` or `$.Name`, each place once.
    pub nodes: Vec<(String, Span)>,
    /// Places of a node's data that are named by literal steps, `$["Name"].data.a[0]`: the node's
    /// name and a JSON pointer.
    pub places: Vec<(String, String, Span)>,
    /// `root()` is called.
    pub root: bool,
    /// The largest `n` of `previous(n)`, where `previous()` is `previous(1)`. 0: not used.
    /// `u32::MAX`: `n` is computed.
    pub previous_max: u32,
    /// `$` is used with a computed name, or as a whole.
    pub dynamic_nodes: bool,
    /// Inputs of a blueprint, named by `inputs.name`, each place once.
    pub inputs: Vec<(String, Span)>,
    /// `inputs` is used with a computed name, or as a whole.
    pub dynamic_inputs: bool,
    /// `run()` is called.
    pub run: bool,
    /// `workflow()` or `app()` is called.
    pub workflow: bool,
    /// `now()` is called.
    pub now: bool,
    /// `item()` is called.
    pub item: bool,
    /// `iteration()` is called.
    pub iteration: bool,
    /// `request(…)` is called, each place once.
    pub requests: Vec<Span>,
}

/// A reference to one key of one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    /// The secret's name.
    pub name: String,
    /// The key in it.
    pub key: String,
    /// The place of the reference in the source.
    pub span: Span,
    /// The use of the secret at that place.
    pub role: SecretRole,
}

/// The use of a referenced secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretRole {
    /// The secret is placed into the field's text.
    Placed,
    /// The secret is the key of an `hmac`. The key itself is never sent.
    Signing,
    /// The secret is placed into a URL.
    InUrl(Encoding),
}

/// The source of a URL's scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlOrigin {
    /// The author's literal text.
    Literal {
        /// `http` or `https`, in lower case.
        scheme: String,
        /// The host, in lower case; an IPv6 address in brackets.
        host: String,
        /// The port, if one is written.
        port: Option<u16>,
    },
    /// The whole URL is exactly one secret.
    Secret(SecretRef),
    /// The whole URL is one `{{ }}` of another kind. Also given for fields that are no URLs.
    Data,
}

/// The result of a template without its secrets.
pub struct Resolution {
    /// The value as people see it: everything is resolved, and each secret is shown as the
    /// reference that the author wrote.
    pub display: serde_json::Value,
    /// The texts in the value that hold secrets.
    pub placed: Vec<Placed>,
}

/// A text that holds secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// JSON pointer into the template's value; empty for the whole.
    pub pointer: String,
    /// The parts of the text.
    pub parts: Vec<SecretPart>,
}

/// Values of secrets, for trials and tests.
pub trait Secrets {
    /// The value of `key` in the secret `name`.
    fn get(&self, name: &str, key: &str) -> Option<&str>;

    /// The instant that `sent_at` gives.
    fn sent_at(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// The data that a template may read. No secret is in it.
pub trait Environment {
    /// The value of a variable: `$`, and in test harnesses others. `None`: no such variable.
    fn variable(&self, name: &str) -> Option<Value<'_>>;

    /// Calls `root()`, `previous(n)`, `run()`, `workflow()`, `app()`, `now()`. `None`: no such
    /// function.
    ///
    /// The method of a variable has a name with a dot: `memory.find(x)` calls `memory.find`.
    fn call(&self, name: &str, args: &[Value<'_>]) -> Option<Result<Value<'_>, String>>;

    /// Whether some of the data is marked.
    fn holds_marks(&self) -> bool {
        false
    }

    /// The data for a field in which a secret may stand: texts with a scrubbed secret are marked in
    /// it. `None`: the same data as for every field.
    fn for_secret_field(&self) -> Option<&dyn Environment> {
        None
    }
}

impl Template {
    /// Parses a string of a configuration.
    ///
    /// # Errors
    /// Syntax, limits, and secret references that are not allowed, with their place in `source`.
    pub fn parse(source: &str, kind: FieldKind) -> Result<Template, Error> {
        parse(source, kind).map_err(|error| error.in_source(source))
    }

    /// Whether the string has no expression.
    pub fn is_literal(&self) -> bool {
        self.0.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    }

    /// The string as the author wrote it.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The kind of field, which decides how the string is read.
    pub fn kind(&self) -> FieldKind {
        self.0.kind
    }

    /// The references to things outside of the template.
    pub fn mentions(&self) -> Mentions {
        analysis::mentions(&self.0.tree)
    }

    /// The secrets that the template refers to, with their places.
    pub fn secret_refs(&self) -> Vec<SecretRef> {
        placement::secret_refs(&self.0.tree)
    }

    /// Whether the result is surely composed: text beside an expression, an encoding, an HMAC or
    /// joined texts.
    pub fn is_composed(&self) -> bool {
        match self.0.parts.as_slice() {
            [Part::Expression(_, root)] => placement::is_composed(&self.0.tree, *root),
            [] => false,
            _ => true,
        }
    }

    /// The source of scheme, host and port, for [`FieldKind::Url`].
    pub fn url_origin(&self) -> UrlOrigin {
        self.0.origin.clone()
    }

    /// Free variables and called functions that are no builtins, with their places.
    pub fn names(&self) -> Vec<(String, Span)> {
        analysis::names(&self.0.tree)
    }

    /// The first free variables and called functions that sealflow does not register. Each error
    /// has the place and, where one is near, the name that was perhaps meant. A workflow with such
    /// a name can't be applied.
    pub fn unknown_names(&self) -> Vec<Error> {
        let found = analysis::unknown_names(&self.0.tree);
        found.into_iter().map(|error| error.in_source(&self.0.source)).collect()
    }

    /// Evaluates the template. A reference to a secret stays a reference, which is placed into a
    /// text.
    ///
    /// # Errors
    /// The error of the expression, with its place; also where it would have to look at a secret.
    pub fn resolve(&self, env: &dyn Environment) -> Result<Resolution, Error> {
        self.resolve_within(env, &mut Budget::default())
    }

    /// [`Template::resolve`] within the rest of a budget that several templates share.
    ///
    /// # Errors
    /// The error of the expression, with its place; also where the budget is used up.
    pub fn resolve_within(&self, env: &dyn Environment, budget: &mut Budget) -> Result<Resolution, Error> {
        self.run(env, None, budget).map_err(|error| error.in_source(&self.0.source))
    }

    /// Evaluates the template with the secrets' values, which are then plain texts.
    ///
    /// For trials and tests. Where [`Template::resolve`] succeeds, the value equals the rendered
    /// parts.
    ///
    /// # Errors
    /// The error of the expression.
    pub fn evaluate(&self, env: &dyn Environment, secrets: &dyn Secrets) -> Result<serde_json::Value, Error> {
        self.run(env, Some(secrets), &mut Budget::default()).map(|resolution| resolution.display)
    }

    fn run(
        &self,
        env: &dyn Environment,
        secrets: Option<&dyn Secrets>,
        budget: &mut Budget,
    ) -> Result<Resolution, Error> {
        let parsed = &*self.0;
        let vault = Vault { refs: &parsed.tree.refs, secrets };
        let mut machine = Machine::new(&parsed.tree.nodes, parsed.tree.slots.len(), Some(env), vault);
        machine.budget = budget.clone();
        let resolution = self.run_parts(&mut machine);
        *budget = machine.budget;
        resolution.map_err(|error| if env.holds_marks() { self.of_marks(error) } else { error })
    }

    /// The error in terms of redaction, if the template refers to no secret: then only a blanked
    /// place can have caused it.
    fn of_marks(&self, error: Error) -> Error {
        if error.kind != ErrorKind::Secret || !self.0.tree.refs.is_empty() {
            return error;
        }
        let message = "it would look into data, or copy it as a whole, of which a place was redacted before it was stored; name the places \
                       that are meant";
        Error::new(ErrorKind::Redacted, message, error.span)
    }

    fn run_parts<'a>(&'a self, machine: &mut Machine<'a>) -> Result<Resolution, Error> {
        let parsed = &*self.0;
        let mut pieces = Pieces::default();
        for part in &parsed.parts {
            match part {
                Part::Literal(span) => pieces.text.push_str(&parsed.source[span.start..span.end]),
                Part::Expression(_, root) => {
                    let value = machine.eval(*root).map_err(|error| *error)?;
                    if parsed.whole {
                        if parsed.kind != FieldKind::Expression {
                            check_is_sendable(&value, &mut machine.budget)
                                .map_err(|fault| *machine.fault(*root, fault))?;
                        }
                        return finish_whole(value, *root, machine);
                    }
                    add(&value, *root, &mut pieces, machine).map_err(|error| *error)?;
                }
            }
        }
        Ok(match pieces.into_parts() {
            Ok(parts) => Resolution {
                display: serde_json::Value::String(secret_text::show(&parts)),
                placed: vec![Placed { pointer: String::new(), parts }],
            },
            Err(text) => Resolution { display: serde_json::Value::String(text), placed: Vec::new() },
        })
    }
}

fn finish_whole<'a>(value: Value<'a>, root: Id, machine: &mut Machine<'a>) -> Result<Resolution, Error> {
    let mut placed = Vec::new();
    let display = if value.holds_opaque() {
        json::encode_placed(&value, &mut String::new(), &mut placed, &mut machine.budget)
    } else {
        json::encode_result(value, &mut machine.budget)
    };
    match display {
        Ok(display) => Ok(Resolution { display, placed }),
        Err(fault) => Err(*machine.fault(root, fault)),
    }
}

/// Adds a value to a mixed text.
fn add<'a>(
    value: &Value<'a>,
    root: Id,
    pieces: &mut Pieces,
    machine: &mut Machine<'a>,
) -> Result<(), Box<Error>> {
    match value {
        Value::Opaque(_) => {
            pieces.place(value, &mut machine.budget).map_err(|fault| machine.fault(root, fault))
        }
        Value::List(_) if value.holds_opaque() => Err(machine.fault(root, refused("a printed list"))),
        Value::Map(_) if value.holds_opaque() => Err(machine.fault(root, refused("a printed map"))),
        value => machine.print(root, value, &mut pieces.text),
    }
}

fn parse(source: &str, kind: FieldKind) -> Result<Template, Error> {
    let template = read(source, kind)?;
    let Parsed { tree, parts, whole, .. } = &*template.0;
    let roots = parts.iter().filter_map(|part| match part {
        Part::Expression(_, root) => Some(*root),
        Part::Literal(_) => None,
    });
    let values = if *whole { placement::Values::Whole } else { placement::Values::Printed };
    placement::check(tree, roots, values)?;
    Ok(template)
}

/// Reads a template without the check of its secrets.
fn read(source: &str, kind: FieldKind) -> Result<Template, Error> {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("a field is at most {SOURCE_BYTES_MAX} bytes long");
        return Err(Error::new(ErrorKind::Limit, message, Span::new(0, source.len())));
    }
    let mut parser = Parser::new(source);
    let mut parts = Vec::new();
    if kind == FieldKind::Expression {
        let start = source.len() - source.trim_start().len();
        if source[start..].starts_with("{{") {
            let message = "an expression stands here by itself: leave out `{{` and `}}`";
            return Err(Error::new(ErrorKind::Syntax, message, Span::new(start, start + 2)));
        }
        let (root, _) = parser.parse(0, Until::End)?;
        parts.push(Part::Expression(Span::new(0, source.len()), root));
    } else {
        split(source, &mut parser, &mut parts)?;
    }
    let whole = is_whole(source, kind, &parts);
    let mut origin = UrlOrigin::Data;
    if kind == FieldKind::Url {
        origin = if whole {
            read_whole_url(&parser, &mut parts)
        } else {
            read_url(source, &mut parser, &mut parts)?
        };
    }
    let tree = parser.finish();
    Ok(Template(Arc::new(Parsed {
        source: source.to_owned(),
        kind,
        tree,
        parts,
        whole: whole && kind != FieldKind::Url,
        origin,
    })))
}

/// Literal text and expressions in turn.
fn split(source: &str, parser: &mut Parser<'_>, parts: &mut Vec<Part>) -> Result<(), Error> {
    let mut at = 0;
    while let Some(found) = source[at..].find("{{") {
        let start = at + found;
        if start > at {
            parts.push(Part::Literal(Span::new(at, start)));
        }
        let (root, end) = parser.parse(start + 2, Until::Braces)?;
        parts.push(Part::Expression(Span::new(start, end), root));
        at = end;
    }
    if at < source.len() {
        parts.push(Part::Literal(Span::new(at, source.len())));
    }
    Ok(())
}

/// Whether the string is one expression with nothing around it but white space.
fn is_whole(source: &str, kind: FieldKind, parts: &[Part]) -> bool {
    let blank =
        |part: &&Part| matches!(part, Part::Literal(span) if source[span.start..span.end].trim().is_empty());
    let expressions = parts.iter().filter(|part| matches!(part, Part::Expression(..))).count();
    let blanks = parts.iter().filter(blank).count();
    match kind {
        FieldKind::Expression => true,
        FieldKind::Text => false,
        FieldKind::Typed | FieldKind::Url => expressions == 1 && blanks == parts.len() - 1,
    }
}

/// Reads the origin of a URL that is one expression.
fn read_whole_url(parser: &Parser<'_>, parts: &mut Vec<Part>) -> UrlOrigin {
    parts.retain(|part| matches!(part, Part::Expression(..)));
    let Some(Part::Expression(_, root)) = parts.first() else { return UrlOrigin::Data };
    match parser.kind(*root) {
        Kind::Secret(index) => UrlOrigin::Secret(parser.secret_ref(*index, *root)),
        _ => UrlOrigin::Data,
    }
}

/// Reads the origin of a URL and puts each expression under an encoding for its place.
fn read_url(source: &str, parser: &mut Parser<'_>, parts: &mut [Part]) -> Result<UrlOrigin, Error> {
    let Some(Part::Literal(head)) = parts.first().copied() else {
        let message = "a URL begins with literal text up to its host, or is one whole `{{ }}`";
        let end = parts.first().map_or(0, |part| part.span().end);
        return Err(Error::new(ErrorKind::Other, message, Span::new(0, end)));
    };
    let (origin, path_begins) = url::origin(&source[head.start..head.end])?;
    // The literal text so far, without the expressions.
    let mut before = String::new();
    for index in 0..parts.len() {
        match parts[index] {
            Part::Literal(span) => before.push_str(&source[span.start..span.end]),
            Part::Expression(span, root) => {
                let literal = |at: Option<&Part>| match at {
                    Some(Part::Literal(span)) => &source[span.start..span.end],
                    _ => "",
                };
                let last = literal(index.checked_sub(1).and_then(|before| parts.get(before)));
                let after = literal(parts.get(index + 1));
                let refuse = |message: &str| Error::new(ErrorKind::Other, message, span);
                let place = url::place(&before, path_begins, last, after).map_err(refuse)?;
                parts[index] = Part::Expression(span, encoded(parser, root, place)?);
            }
        }
    }
    Ok(origin)
}

/// Puts an expression under its encoding. `urlPath` and `escapeURL` as the whole expression encode
/// once, not twice.
fn encoded(parser: &mut Parser<'_>, root: Id, place: Encoding) -> Result<Id, Error> {
    let (place, child) = match parser.kind(root) {
        Kind::Builtin(Builtin::UrlPath, arguments) if place == Encoding::Segment => {
            (Encoding::UrlPath, arguments[0])
        }
        Kind::Builtin(Builtin::UrlPath | Builtin::EscapeUrl, arguments) => (place, arguments[0]),
        _ => (place, root),
    };
    let first = parser.first(root);
    let span = parser.span(root);
    parser.wrap(Kind::Encode(place, child), span, first)
}

impl Part {
    fn span(self) -> Span {
        match self {
            Part::Literal(span) | Part::Expression(span, _) => span,
        }
    }
}

/// The value as JSON, within the limits of one evaluation; null where it is larger.
pub(crate) fn to_json(value: &Value<'_>) -> serde_json::Value {
    json::encode(value, &mut Budget::default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    struct Nothing;

    impl Environment for Nothing {
        fn variable(&self, _: &str) -> Option<Value<'_>> {
            Some(Value::Nil)
        }
        fn call(&self, _: &str, _: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
            Some(Ok(Value::Nil))
        }
    }

    /// The evaluator itself refuses the expressions that the check at apply refuses.
    #[test]
    fn the_evaluator_itself_looks_at_no_secret_i1() {
        for line in include_str!("../tests/vectors/looked_at.txt").lines() {
            let (_, expression) = line.split_once('\t').unwrap();
            let template = read(expression, FieldKind::Expression).unwrap();
            match template.resolve(&Nothing) {
                Ok(resolution) => panic!("{expression}: {}", resolution.display),
                Err(error) => assert_eq!(error.kind, ErrorKind::Secret, "{expression}: {error}"),
            }
        }
    }
}
