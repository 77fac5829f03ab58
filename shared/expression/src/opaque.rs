//! Secrets during an evaluation: values that can be placed into a text, but not looked at.
//!
//! A reference evaluates to an [`Opaque`], a list of parts. [`call`] and [`binary`] have the closed
//! list of operations that are allowed on it. Every other operation is refused, so that no success,
//! failure, message or duration depends on a secret.

use std::sync::Arc;

use secret_text::{
    Algorithm, Context, Encoding, MacFormat, NESTING_MAX, PATH_STEPS_MAX, Part, Reference, RequestPart, Step,
    TimeFormat, append,
};

use crate::{
    ast::BinaryOp,
    builtins::{Builtin, Outcome, json},
    error::ErrorKind,
    eval::{Budget, Fault},
    template::Secrets,
    value::{List, Text, Value},
};

/// A value that holds a secret. Cheap to clone.
#[derive(Clone)]
pub struct Opaque {
    kind: OpaqueKind,
    parts: Arc<Vec<Part>>,
}

/// The kind of an [`Opaque`]: the uses that are still open to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpaqueKind {
    /// A text.
    Text,
    /// The JSON in a secret; a path leads from it to a text.
    Json,
    /// Bytes: the key or the data of a MAC.
    Bytes,
    /// No secret, but a place that was blanked. Its one part is the name of the place.
    Redacted,
}

/// The error of an `hmac` with a key that is no secret: its result would let people guess secrets
/// in its data.
pub(crate) const HMAC_KEY: &str =
    "the key of `hmac` is a secret, `fromBase64` of one, a place in its JSON, or another `hmac` as \"bytes\"";

const ALGORITHMS: &str = "an algorithm is one of sha1, sha256, sha384, sha512";
const FORMATS: &str = "a format is one of hex, base64, base64url, bytes";
const TIME_FORMATS: &str = "a format is one of unix, unix_ms, rfc3339, basic, http, date";
const REQUEST_PARTS: &str = "a part of a request is one of method, path, query, body, body_sha256";

/// Refuses a word that a builtin doesn't know as this argument.
pub(crate) fn check_word(builtin: Builtin, argument: usize, text: &str) -> Result<(), Fault> {
    let (is_known, otherwise) = match (builtin, argument) {
        (Builtin::Hmac, 0) => (Algorithm::named(text).is_some(), ALGORITHMS),
        (Builtin::Hmac, 3) => (MacFormat::named(text).is_some(), FORMATS),
        (Builtin::SentAt, 0) => (TimeFormat::named(text).is_some(), TIME_FORMATS),
        (Builtin::Request, 0) => (RequestPart::named(text).is_some(), REQUEST_PARTS),
        _ => return Ok(()),
    };
    if is_known { Ok(()) } else { Err(Fault::other(otherwise)) }
}

/// Work and memory that a part costs, in addition to its text.
const PART_BYTES: usize = 64;

impl Opaque {
    /// A reference to the value of a key.
    pub(crate) fn reference(name: &str, key: &str) -> Opaque {
        Opaque::of(OpaqueKind::Text, vec![Part::Secret(Reference::to(name, key))])
    }

    /// A place that was blanked.
    pub(crate) fn redacted(label: &str) -> Opaque {
        Opaque::of(OpaqueKind::Redacted, vec![Part::Text(label.to_owned())])
    }

    /// The error of reading a place that was blanked; None for a secret.
    pub(crate) fn redaction(&self) -> Option<Fault> {
        let [Part::Text(label)] = self.parts.as_slice() else { return None };
        (self.kind == OpaqueKind::Redacted).then(|| {
            let message = format!("{label} was redacted before it was stored: what stands there is no data");
            Fault::new(ErrorKind::Redacted, message)
        })
    }

    fn of(kind: OpaqueKind, parts: Vec<Part>) -> Opaque {
        Opaque { kind, parts: Arc::new(parts) }
    }

    /// The parts of a text.
    ///
    /// # Errors
    /// A value that is no text: JSON without a path, or bytes.
    pub(crate) fn text_parts(&self) -> Result<&[Part], Fault> {
        match (self.kind, self.parts.as_slice()) {
            (OpaqueKind::Text, parts) => Ok(parts),
            (OpaqueKind::Redacted, _) => {
                Err(self.redaction().unwrap_or_else(|| refused("a printed list or map")))
            }
            (OpaqueKind::Json, [Part::Secret(reference)]) if !reference.path.is_empty() => Ok(&self.parts),
            (OpaqueKind::Json, _) => Err(Fault::new(
                ErrorKind::Secret,
                "the JSON in a secret can't be placed as a whole; take a text out of it by its path, as in `fromJSON(secrets(\"a\").b).key`",
            )),
            (OpaqueKind::Bytes, _) => Err(Fault::new(
                ErrorKind::Secret,
                "bytes are no text: they can be the key or the data of `hmac`, and `fromJSON(fromBase64(…)).key` reads JSON in them",
            )),
        }
    }

    /// The reference, if the value is a single one.
    fn as_reference(&self) -> Option<&Reference> {
        match self.parts.as_slice() {
            [Part::Secret(reference)] => Some(reference),
            _ => None,
        }
    }

    /// `fromJSON(reference)[step]`
    ///
    /// # Errors
    /// A value that is no JSON, or a path that is too long.
    pub(crate) fn step(&self, step: Step) -> Result<Opaque, Fault> {
        let Some(reference) = self.as_reference().filter(|_| self.kind == OpaqueKind::Json) else {
            return Err(refused("[…]"));
        };
        if reference.path.len() >= PATH_STEPS_MAX {
            return Err(Fault::limit(format!("a path into a secret has at most {PATH_STEPS_MAX} steps")));
        }
        let mut reference = reference.clone();
        reference.path.push(step);
        Ok(Opaque::of(OpaqueKind::Json, vec![Part::Secret(reference)]))
    }

    /// Bytes that the value costs.
    fn weight(&self) -> usize {
        let bytes = |part: &Part| match part {
            Part::Text(text) => text.len(),
            _ => PART_BYTES,
        };
        self.parts.iter().map(bytes).sum()
    }
}

/// The refusal of an operation that would have to look at a secret.
pub(crate) fn refused(what: &str) -> Fault {
    let message =
        format!("a secret can be placed into a text, not looked at: `{what}` would have to{}", advice(what));
    Fault::new(ErrorKind::Secret, message)
}

/// The advice after a refusal: another way to do it.
fn advice(what: &str) -> &'static str {
    match what {
        "split" | "splitAfter" | "[…]" | "[…:…]" | "indexOf" | "lastIndexOf" | "replace" | "trimPrefix"
        | "trimSuffix" => {
            "; keep its parts in keys of their own, or take them out of JSON by a path: `fromJSON(secrets(\"a\").b).key`"
        }
        "trim" | "upper" | "lower" | "int" | "float" | "string" | "abs" | "round" => {
            "; store it as it is to be sent"
        }
        "??" => "; a secret that is missing fails the execution",
        "+" => "; `+` joins a secret with text, and `string(1)` makes text of a number",
        "len" | "max" | "min" | "sum" | "date" | "duration" | "type" | "*" | "/" | "-" | "%" | "**" => {
            "; keep what has to be known of it beside it, as data"
        }
        "a printed list" | "a printed map" | "a printed list or map" => {
            "; name the text in it that is meant, or use `join` or `toJSON`"
        }
        _ => {
            "; decide by data, and let that choose among references: `cond ? secrets(\"a\").b : secrets(\"a\").c`"
        }
    }
}

/// Applies an operator of which one side holds a secret.
pub(crate) fn binary<'a>(
    op: BinaryOp,
    left: &Value<'a>,
    right: &Value<'a>,
    budget: &mut Budget,
) -> Result<Value<'a>, Fault> {
    let is_text = |value: &Value<'_>| matches!(value, Value::Text(_) | Value::Opaque(_));
    if op != BinaryOp::Add || !is_text(left) || !is_text(right) {
        return Err(refused(op.symbol()));
    }
    let mut pieces = Pieces::default();
    pieces.place(left, budget)?;
    pieces.place(right, budget)?;
    Ok(pieces.into_value())
}

/// Calls a builtin of which an argument holds a secret, or whose result is to be placed.
pub(crate) fn call<'a>(
    builtin: Builtin,
    arguments: &[Value<'a>],
    opened: Option<&dyn Secrets>,
    budget: &mut Budget,
) -> Outcome<'a> {
    let is_opaque = |value: &Value<'_>| matches!(value, Value::Opaque(_));
    match builtin {
        Builtin::Hmac => hmac(arguments, opened, budget),
        Builtin::SentAt => sent_at(&arguments[0], opened),
        Builtin::Request => request(&arguments[0], opened),
        Builtin::Join => join(arguments, budget),
        Builtin::ToBase64 => encode(Encoding::Base64, &arguments[0], builtin, budget),
        Builtin::EscapeUrl => encode(Encoding::Url, &arguments[0], builtin, budget),
        Builtin::UrlPath => encode(Encoding::UrlPath, &arguments[0], builtin, budget),
        Builtin::EscapeXml => encode(Encoding::Xml, &arguments[0], builtin, budget),
        Builtin::ToJson => {
            let mut pieces = Pieces::default();
            json::write(&arguments[0], 0, &mut pieces, budget)?;
            Ok(pieces.into_value())
        }
        Builtin::FromJson => from_json(&arguments[0]),
        Builtin::FromBase64 => from_base64(&arguments[0]),
        // Builtins that move values about, or count them, without looking inside.
        Builtin::Len
        | Builtin::First
        | Builtin::Last
        | Builtin::Take
        | Builtin::Reverse
        | Builtin::Concat
        | Builtin::Flatten
        | Builtin::Keys
        | Builtin::Values
        | Builtin::ToPairs
        | Builtin::Get
            if !arguments.iter().any(is_opaque)
                && !arguments[1..].iter().any(|value| builtin != Builtin::Concat && value.holds_opaque()) =>
        {
            builtin.call(arguments, budget)
        }
        _ => Err(refused(builtin.name())),
    }
}

/// Puts a text under an encoding.
///
/// # Errors
/// A value that is no text, or whose encodings are nested too deeply.
pub(crate) fn encode_text(encoding: Encoding, opaque: &Opaque, budget: &mut Budget) -> Result<Opaque, Fault> {
    let parts = opaque.text_parts()?;
    check_dots(encoding, parts)?;
    if parts.iter().any(|part| matches!(part, Part::Request(_))) {
        return Err(Fault::other("a part of the request is signed as it is sent; it can't be encoded"));
    }
    budget.grow(opaque.weight() + PART_BYTES)?;
    let part = Part::Encoded(encoding, parts.to_vec());
    check_nesting(&part)?;
    Ok(Opaque::of(OpaqueKind::Text, vec![part]))
}

fn encode<'a>(encoding: Encoding, value: &Value<'a>, builtin: Builtin, budget: &mut Budget) -> Outcome<'a> {
    match value {
        Value::Opaque(opaque) => encode_text(encoding, opaque, budget).map(Value::Opaque),
        Value::Map(_) => Err(refused("a printed map")),
        Value::List(_) => Err(refused("a printed list")),
        _ => Err(refused(builtin.name())),
    }
}

fn check_nesting(part: &Part) -> Result<(), Fault> {
    if part.nesting() > NESTING_MAX {
        return Err(Fault::limit(format!("encodings of a secret are nested more than {NESTING_MAX} deep")));
    }
    Ok(())
}

/// Refuses a text of dots alone beside a secret in a path. Together they could be `..`, and a check
/// of that would look at the secret.
fn check_dots(encoding: Encoding, parts: &[Part]) -> Result<(), Fault> {
    let is_path = encoding == Encoding::UrlPath;
    if !is_path && encoding != Encoding::Segment {
        return Ok(());
    }
    for (at, part) in parts.iter().enumerate() {
        let Part::Text(text) = part else { continue };
        let segments: Vec<&str> = if is_path { text.split('/').collect() } else { vec![text] };
        let last = segments.len() - 1;
        for (index, segment) in segments.iter().enumerate() {
            let is_open = (index == 0 && at > 0) || (index == last && at + 1 < parts.len());
            let is_dots = !segment.is_empty() && segment.chars().all(|c| c == '.');
            if is_dots && is_open {
                return Err(Fault::other("text of dots alone can't stand beside a secret in a path"));
            }
            if is_path && matches!(*segment, "." | "..") {
                return Err(Fault::other("a path must not hold the segments `.` and `..`"));
            }
        }
    }
    Ok(())
}

fn join<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Outcome<'a> {
    let Value::List(items) = &arguments[0] else { return Err(refused("join")) };
    if let Some(glue) = arguments.get(1).filter(|glue| !matches!(glue, Value::Text(_) | Value::Opaque(_))) {
        return Err(Fault::of_type(format!("argument 2 must be a string, not {}", glue.type_name())));
    }
    let mut pieces = Pieces::default();
    for (index, item) in List::iter(items).enumerate() {
        if let Some(glue) = arguments.get(1).filter(|_| index > 0) {
            pieces.place(glue, budget)?;
        }
        pieces.place(&item, budget)?;
    }
    Ok(pieces.into_value())
}

/// `fromJSON(reference)`. A path then names a place in the JSON.
fn from_json<'a>(value: &Value<'a>) -> Outcome<'a> {
    let is_source = |opaque: &Opaque| {
        opaque.kind != OpaqueKind::Json
            && opaque.as_reference().is_some_and(|reference| reference.path.is_empty())
    };
    match value {
        Value::Opaque(opaque) if is_source(opaque) => {
            Ok(Value::Opaque(Opaque { kind: OpaqueKind::Json, parts: opaque.parts.clone() }))
        }
        _ => Err(Fault::new(
            ErrorKind::Secret,
            "JSON is read of one whole secret: `fromJSON(secrets(\"a\").b).key` or `fromJSON(fromBase64(secrets(\"a\").b)).key`",
        )),
    }
}

/// `fromBase64(reference)`
fn from_base64<'a>(value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Opaque(opaque) if opaque.kind == OpaqueKind::Text => match opaque.as_reference() {
            Some(reference) if reference.is_whole() => {
                let reference = Reference { is_base64: true, ..reference.clone() };
                Ok(Value::Opaque(Opaque::of(OpaqueKind::Bytes, vec![Part::Secret(reference)])))
            }
            _ => Err(whole_base64()),
        },
        _ => Err(whole_base64()),
    }
}

fn whole_base64() -> Fault {
    Fault::new(ErrorKind::Secret, "base64 is read of one whole secret: `fromBase64(secrets(\"a\").b)`")
}

/// `hmac(algorithm, key, data, format)`
fn hmac<'a>(arguments: &[Value<'a>], opened: Option<&dyn Secrets>, budget: &mut Budget) -> Outcome<'a> {
    let algorithm = word(&arguments[0], Algorithm::named, ALGORITHMS)?;
    let format = word(&arguments[3], MacFormat::named, FORMATS)?;
    let key = match &arguments[1] {
        Value::Opaque(opaque) if is_key(opaque) => opaque.parts.to_vec(),
        // In a trial, references have their values.
        Value::Text(text) if opened.is_some() => vec![Part::Text((**text).to_owned())],
        _ => {
            return Err(Fault::new(ErrorKind::Secret, HMAC_KEY));
        }
    };
    let data = match &arguments[2] {
        Value::Text(text) => vec![Part::Text((**text).to_owned())],
        Value::Opaque(opaque) if opaque.kind == OpaqueKind::Bytes => opaque.parts.to_vec(),
        Value::Opaque(opaque) => opaque.text_parts()?.to_vec(),
        other => {
            return Err(Fault::of_type(format!(
                "the data of `hmac` must be a string, not {}",
                other.type_name()
            )));
        }
    };
    let part = Part::Mac { algorithm, format, key, data };
    check_nesting(&part)?;
    let kind = if format == MacFormat::Bytes { OpaqueKind::Bytes } else { OpaqueKind::Text };
    let code = Opaque::of(kind, vec![part]);
    budget.grow(arguments[2].as_str().map_or(PART_BYTES, str::len) + PART_BYTES)?;
    if let (Some(secrets), OpaqueKind::Text) = (opened, kind) {
        return rendered(&code, secrets);
    }
    Ok(Value::Opaque(code))
}

fn is_key(opaque: &Opaque) -> bool {
    match (opaque.kind, opaque.parts.as_slice()) {
        (OpaqueKind::Bytes, _) => true,
        (OpaqueKind::Text | OpaqueKind::Json, [Part::Secret(_)]) => opaque.text_parts().is_ok(),
        (OpaqueKind::Text | OpaqueKind::Json | OpaqueKind::Redacted, _) => false,
    }
}

/// `sent_at(format)`
fn sent_at<'a>(format: &Value<'a>, opened: Option<&dyn Secrets>) -> Outcome<'a> {
    let format = word(format, TimeFormat::named, TIME_FORMATS)?;
    match opened {
        Some(secrets) => Ok(Value::string(format.write(secrets.sent_at()))),
        None => Ok(Value::Opaque(Opaque::of(OpaqueKind::Text, vec![Part::SentAt(format)]))),
    }
}

/// `request(part)`
fn request<'a>(part: &Value<'a>, opened: Option<&dyn Secrets>) -> Outcome<'a> {
    let part = word(part, RequestPart::named, REQUEST_PARTS)?;
    if opened.is_some() {
        return Err(Fault::other(
            "what `request` gives is known when the request is made; it can't be tried out",
        ));
    }
    Ok(Value::Opaque(Opaque::of(OpaqueKind::Text, vec![Part::Request(part)])))
}

fn word<T>(value: &Value<'_>, named: fn(&str) -> Option<T>, otherwise: &'static str) -> Result<T, Fault> {
    value.as_str().and_then(named).ok_or_else(|| Fault::other(otherwise))
}

/// Renders a MAC whose texts are all known.
fn rendered<'a>(opaque: &Opaque, secrets: &dyn Secrets) -> Outcome<'a> {
    struct Nothing;
    impl secret_text::Secrets for Nothing {
        fn value_bytes(&self, _: &str, _: &str) -> usize {
            0
        }
    }
    impl secret_text::Values for Nothing {
        fn get(&self, _: &str, _: &str) -> Option<&str> {
            None
        }
    }
    let rendered = secret_text::render(&opaque.parts, Context::Free, secrets.sent_at(), &Nothing);
    rendered
        .map(|rendered| Value::string(rendered.text.as_str()))
        .map_err(|_| Fault::other("no code can be made of this"))
}

/// A text while it grows, known text and secrets in turn.
#[derive(Default)]
pub(crate) struct Pieces {
    parts: Vec<Part>,
    /// Known text after the parts.
    pub text: String,
}

impl Pieces {
    /// Adds a text, known or opaque.
    ///
    /// # Errors
    /// A value that is no text.
    pub fn place(&mut self, value: &Value<'_>, budget: &mut Budget) -> Result<(), Fault> {
        match value {
            Value::Text(text) => {
                budget.grow(text.len())?;
                self.text.push_str(text);
                Ok(())
            }
            Value::Opaque(opaque) => {
                let parts = opaque.text_parts()?;
                budget.grow(opaque.weight())?;
                self.flush();
                parts.iter().for_each(|part| append(&mut self.parts, part.clone()));
                Ok(())
            }
            other => Err(Fault::of_type(format!("every item must be a string, not {}", other.type_name()))),
        }
    }

    /// Adds an opaque value as a JSON text in quotes.
    pub fn place_json(&mut self, opaque: &Opaque, budget: &mut Budget) -> Result<(), Fault> {
        let encoded = encode_text(Encoding::Json, opaque, budget)?;
        self.place(&Value::Opaque(encoded), budget)
    }

    /// The parts; `Err` with the text where all of it is known.
    pub fn into_parts(mut self) -> Result<Vec<Part>, String> {
        if self.parts.is_empty() {
            return Err(self.text);
        }
        self.flush();
        Ok(self.parts)
    }

    /// The text as a value.
    pub fn into_value(self) -> Value<'static> {
        match self.into_parts() {
            Ok(parts) => Value::Opaque(Opaque::of(OpaqueKind::Text, parts)),
            Err(text) => Value::Text(Text::string(text)),
        }
    }

    fn flush(&mut self) {
        append(&mut self.parts, Part::Text(std::mem::take(&mut self.text)));
    }
}
