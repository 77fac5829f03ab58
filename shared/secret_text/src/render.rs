//! Rendering: from parts and opened values to a text, without an evaluator.

use base64::engine::general_purpose::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use domain::limits::SECRET_VALUE_BYTES_MIN;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::json_path;
use crate::length::{Secrets, rendered_bytes_max};
use crate::part::{Encoding, Part, Reference};
use crate::request_part::RequestPart;
use crate::{escape, mac::MacFormat};

/// Base64 as `fromBase64` reads it: padded, with any value in the unused bits.
const FROM_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The opened values of one execution.
pub trait Values: Secrets {
    /// The value of `key` in the secret `name`.
    fn get(&self, name: &str, key: &str) -> Option<&str>;

    /// A part of the request that the text belongs to. None: there is no request yet.
    fn request(&self, _part: RequestPart) -> Option<RequestText<'_>> {
        None
    }
}

/// A part of a request.
pub struct RequestText<'a> {
    /// The bytes of the part, as they are sent.
    pub bytes: &'a [u8],
    /// The lengths of the secret values that may stand in it.
    pub value_bytes: &'a [usize],
}

/// The kind of field that a text stands in. It decides which values are refused there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A line, such as a header's value: a value with a control character is refused.
    Line,
    /// A line that ends at a colon, such as the user name of basic authorization.
    UserName,
    /// A line for a request that is already made: MACs in it may have [`Part::Request`] in their
    /// data.
    Signature,
    /// A key that signs: one whole secret, or a text out of its JSON. Other text around the
    /// secret is not allowed: an author could vary it and learn the secret letter by letter, from
    /// whether the whole is still a key.
    Key,
    /// A text of any characters, such as a body, or one that is encoded as a whole.
    Free,
}

/// The error of a value that can't be placed. It names neither the value nor the reason, for the
/// reason could reveal something of the value (I1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret can't be placed here")]
pub struct Refused;

/// A text that holds secrets. The type has no `Debug`, and its texts are wiped when they are
/// dropped.
pub struct Rendered {
    /// The text.
    pub text: Zeroizing<String>,
    /// Texts made of secrets that hide their values even after one decoding: MACs, and each level
    /// of nested encodings. The scrubber searches for these texts as a whole. Texts made only of
    /// values that are too short for a search are left out. A text of such a short value and a
    /// longer one is refused.
    pub made: Vec<Made>,
    /// Texts that a path took out of values. The scrubber searches for them like values.
    pub leaves: Vec<Made>,
    /// The lengths of the values, or of the texts in them, that were placed.
    pub value_bytes: Vec<usize>,
}

/// A text that was made of secrets.
pub struct Made {
    /// The label of a secret in it, such as `github.token`.
    pub label: String,
    /// The text.
    pub text: Zeroizing<String>,
}

/// Renders parts. `sent_at` is the instant of the attempt.
///
/// # Errors
/// [`Refused`].
pub fn render(
    parts: &[Part],
    context: Context,
    sent_at: Timestamp,
    values: &dyn Values,
) -> Result<Rendered, Refused> {
    let mut renderer = Renderer {
        sent_at,
        values,
        made: Vec::new(),
        leaves: Vec::new(),
        value_bytes: Vec::new(),
        lengths: Lengths::default(),
    };
    let text = renderer.text(parts, Questions::of(context))?;
    let Renderer { made, leaves, value_bytes, .. } = renderer;
    Ok(Rendered { text, made, leaves, value_bytes })
}

/// The checks of a value before it is placed.
#[derive(Clone, Copy, Default)]
struct Questions {
    no_controls: bool,
    no_colon: bool,
    no_dots: Option<Dots>,
}

/// The parts of a path that must not be `.` or `..`.
#[derive(Clone, Copy)]
enum Dots {
    /// The value as a whole.
    Whole,
    /// Each part between slashes.
    EachSegment,
}

impl Questions {
    fn of(context: Context) -> Self {
        match context {
            Context::Line | Context::Signature => Self { no_controls: true, ..Self::default() },
            Context::UserName => Self { no_controls: true, no_colon: true, no_dots: None },
            Context::Key | Context::Free => Self::default(),
        }
    }

    /// The checks that are left below an encoding.
    fn under(self, encoding: Encoding) -> Self {
        match encoding {
            Encoding::Xml => self,
            Encoding::UrlPath => Self { no_dots: Some(Dots::EachSegment), ..Self::default() },
            Encoding::Segment => Self { no_dots: Some(Dots::Whole), ..Self::default() },
            Encoding::Base64 | Encoding::Url | Encoding::Query | Encoding::Json => Self::default(),
        }
    }

    fn ask(self, value: &str) -> Result<(), Refused> {
        let is_dots = |segment: &str| matches!(segment, "." | "..");
        let refused = (self.no_controls && value.chars().any(char::is_control))
            || (self.no_colon && value.contains(':'))
            || match self.no_dots {
                None => false,
                Some(Dots::Whole) => is_dots(value),
                Some(Dots::EachSegment) => value.split('/').any(is_dots),
            };
        if refused { Err(Refused) } else { Ok(()) }
    }
}

struct Renderer<'a> {
    sent_at: Timestamp,
    values: &'a dyn Values,
    made: Vec<Made>,
    leaves: Vec<Made>,
    value_bytes: Vec<usize>,
    /// The lengths of the values that were placed since this field was reset.
    lengths: Lengths,
}

/// The two kinds of values in a text: long enough for the scrubber's search, and too short.
#[derive(Clone, Copy, Default)]
struct Lengths {
    is_some_long: bool,
    is_some_short: bool,
}

impl Lengths {
    fn note(&mut self, bytes: usize) {
        self.is_some_long |= bytes >= SECRET_VALUE_BYTES_MIN;
        self.is_some_short |= bytes < SECRET_VALUE_BYTES_MIN;
    }

    fn join(&mut self, other: Self) {
        self.is_some_long |= other.is_some_long;
        self.is_some_short |= other.is_some_short;
    }
}

impl Renderer<'_> {
    fn text(&mut self, parts: &[Part], questions: Questions) -> Result<Zeroizing<String>, Refused> {
        // The whole capacity at once: a text that grows would leave copies behind that are not
        // wiped.
        let mut text = Zeroizing::new(String::with_capacity(rendered_bytes_max(parts, self.values)));
        for part in parts {
            match part {
                Part::Text(known) => text.push_str(known),
                Part::Secret(reference) => {
                    let value = self.value(reference)?;
                    questions.ask(&value)?;
                    self.note_length(value.len());
                    self.note_leaf(reference, &value);
                    text.push_str(&value);
                }
                Part::SentAt(format) => text.push_str(&format.write(self.sent_at)),
                // As text, a part of the request could carry its secrets to a place where they may
                // not stand.
                Part::Request(_) => return Err(Refused),
                Part::Encoded(encoding, inner) => {
                    let before = std::mem::take(&mut self.lengths);
                    let plain = self.text(inner, questions.under(*encoding))?;
                    let start = text.len();
                    encoding.write(&plain, &mut text);
                    if inner.iter().any(|part| part.nesting() > 0) {
                        self.note(inner, &text[start..])?;
                    }
                    self.lengths.join(before);
                }
                Part::Mac { algorithm, format, key, data } => {
                    let before = std::mem::take(&mut self.lengths);
                    let code = algorithm.sign(&self.bytes(key)?, &self.bytes(data)?);
                    let written = Zeroizing::new(format.write(code.as_ref()).ok_or(Refused)?);
                    text.push_str(&written);
                    self.note(key, &written)?;
                    self.lengths.join(before);
                }
            }
        }
        Ok(text)
    }

    /// Notes a text that was made of the secrets in `parts`, for the scrubber.
    ///
    /// # Errors
    /// [`Refused`] where the text has a value too short for a search beside a longer one. A search
    /// for the text would confirm guesses of the short value; without a search, the text could give
    /// the longer one away.
    fn note(&mut self, parts: &[Part], text: &str) -> Result<(), Refused> {
        let Some(label) = label(parts) else { return Ok(()) };
        match self.lengths {
            Lengths { is_some_long: true, is_some_short: true } => return Err(Refused),
            Lengths { is_some_long: true, is_some_short: false } => {
                self.made.push(Made { label, text: Zeroizing::new(text.to_owned()) });
            }
            Lengths { is_some_long: false, .. } => {}
        }
        Ok(())
    }

    fn note_length(&mut self, bytes: usize) {
        self.lengths.note(bytes);
        self.value_bytes.push(bytes);
    }

    /// Notes a text that was taken out of a value: the scrubber's own pieces of the value need not
    /// include it.
    fn note_leaf(&mut self, reference: &Reference, leaf: &str) {
        if !reference.is_whole() {
            let label = format!("{}.{}", reference.name, reference.key);
            self.leaves.push(Made { label, text: Zeroizing::new(leaf.to_owned()) });
        }
    }

    /// A value as text.
    fn value(&self, reference: &Reference) -> Result<Zeroizing<String>, Refused> {
        let whole = self.values.get(&reference.name, &reference.key).ok_or(Refused)?;
        if !reference.is_base64 {
            return leaf(whole, reference);
        }
        // Bytes without a path are no text; with a path they are JSON.
        if reference.path.is_empty() {
            return Err(Refused);
        }
        let decoded = decode(whole)?;
        leaf(std::str::from_utf8(&decoded).map_err(|_| Refused)?, reference)
    }

    /// The key or the data of a MAC, in which bytes may stand.
    fn bytes(&mut self, parts: &[Part]) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(rendered_bytes_max(parts, self.values)));
        for part in parts {
            match part {
                Part::Secret(reference) if reference.is_base64 && reference.path.is_empty() => {
                    let whole = self.values.get(&reference.name, &reference.key).ok_or(Refused)?;
                    self.note_length(whole.len());
                    bytes.extend_from_slice(&decode(whole)?);
                }
                Part::Request(part) => {
                    let RequestText { bytes: sent, value_bytes } =
                        self.values.request(*part).ok_or(Refused)?;
                    value_bytes.iter().for_each(|value| self.lengths.note(*value));
                    bytes.extend_from_slice(sent);
                }
                Part::Mac { algorithm, format: MacFormat::Bytes, key, data } => {
                    let code = algorithm.sign(&self.bytes(key)?, &self.bytes(data)?);
                    bytes.extend_from_slice(code.as_ref());
                }
                part => {
                    let text = self.text(std::slice::from_ref(part), Questions::default())?;
                    bytes.extend_from_slice(text.as_bytes());
                }
            }
        }
        Ok(bytes)
    }
}

fn leaf(text: &str, reference: &Reference) -> Result<Zeroizing<String>, Refused> {
    if reference.path.is_empty() {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    json_path::follow(text, &reference.path).ok_or(Refused)
}

fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let plain = Zeroizing::new(text.replace(['\r', '\n'], ""));
    FROM_BASE64.decode(plain.as_bytes()).map(Zeroizing::new).map_err(|_| Refused)
}

/// The label of the first secret in parts; None where there is none.
fn label(parts: &[Part]) -> Option<String> {
    let mut label = None;
    for part in parts {
        part.each_reference(&mut |reference| {
            label.get_or_insert_with(|| format!("{}.{}", reference.name, reference.key));
        });
    }
    label
}

impl Encoding {
    /// Appends the encoded text to `out`.
    pub(crate) fn write(self, plain: &str, out: &mut String) {
        match self {
            Encoding::Base64 => STANDARD.encode_string(plain, out),
            Encoding::Url | Encoding::Segment | Encoding::Query => escape::percent_encode(plain, out),
            Encoding::UrlPath => {
                for (index, segment) in plain.split('/').enumerate() {
                    if index > 0 {
                        out.push('/');
                    }
                    escape::percent_encode(segment, out);
                }
            }
            Encoding::Xml => escape::xml(plain, out),
            Encoding::Json => escape::json_text(plain, out),
        }
    }
}

/// Whether a text made of values of these lengths is safe: false where a value too short for the
/// scrubber's search stands beside a longer one. A search for the text would confirm guesses of the
/// short value; without a search, the text could give the longer one away.
#[must_use]
pub fn hides_no_value(value_bytes: &[usize]) -> bool {
    let mut lengths = Lengths::default();
    value_bytes.iter().for_each(|bytes| lengths.note(*bytes));
    !(lengths.is_some_long && lengths.is_some_short)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    struct Opened(&'static [(&'static str, &'static str)]);

    impl Secrets for Opened {
        fn value_bytes(&self, name: &str, key: &str) -> usize {
            self.get(name, key).map_or(0, str::len)
        }
    }

    impl Values for Opened {
        fn get(&self, name: &str, _: &str) -> Option<&str> {
            self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
        }
    }

    const VALUES: Opened = Opened(&[
        ("token", "s3cr\"t <v>/ü"),
        ("json", r#"{"user": "ada", "n": 1.0}"#),
        ("encoded", "eyJrIjogWyJ2Il19"),
        ("lines", "a\nb"),
        ("colon", "a:b"),
        ("dot", "."),
        ("dots", "a/../b"),
        ("key", "Jefe"),
        ("key64", "SmVm\nZQ=="),
    ]);

    fn rendered(parts: &Value, context: Context) -> Result<Rendered, Refused> {
        let parts: Vec<Part> = serde_json::from_value(parts.clone()).unwrap();
        let instant = Timestamp::from_second(1_767_225_600).unwrap();
        let rendered = render(&parts, context, instant, &VALUES)?;
        let most = rendered_bytes_max(&parts, &VALUES);
        assert!(rendered.text.len() <= most, "{parts:?}: {} of {most}", rendered.text.len());
        Ok(rendered)
    }

    fn check(parts: Value, expected: &str) {
        let rendered = rendered(&parts, Context::Free).unwrap_or_else(|_| panic!("{parts} is refused"));
        assert_eq!(*rendered.text, expected, "{parts}");
    }

    fn secret(name: &str) -> Value {
        json!({ "secret": [name, "k"] })
    }

    fn op(op: &str, parts: Value) -> Value {
        json!({ "op": op, "parts": parts })
    }

    #[test]
    fn parts_are_rendered_in_their_order() {
        check(json!(["Bearer ", secret("token"), "!"]), "Bearer s3cr\"t <v>/ü!");
        check(json!([]), "");
        check(json!([{ "sent_at": "basic" }]), "20260101T000000Z");
        check(json!([op("base64", json!(["u:", secret("key")]))]), "dTpKZWZl");
        check(json!([op("url", json!([secret("token")]))]), "s3cr%22t%20%3Cv%3E%2F%C3%BC");
        check(json!([op("urlPath", json!(["x/", secret("token")]))]), "x/s3cr%22t%20%3Cv%3E/%C3%BC");
        check(json!([op("xml", json!([secret("token")]))]), "s3cr&#34;t &lt;v&gt;/ü");
        check(
            json!(["{\"a\": ", op("json", json!([secret("token")])), "}"]),
            "{\"a\": \"s3cr\\\"t \\u003cv\\u003e/ü\"}",
        );
        check(
            json!([{ "secret": ["json", "k"], "path": ["user"] }, { "secret": ["json", "k"], "path": ["n"] }]),
            "ada1.0",
        );
        check(json!([{ "secret": ["encoded", "k"], "from": "base64", "path": ["k", 0] }]), "v");
    }

    /// [`VALUES`] with a request, in which values of these lengths stand.
    struct Sent(&'static [usize]);

    impl Secrets for Sent {
        fn value_bytes(&self, name: &str, key: &str) -> usize {
            VALUES.value_bytes(name, key)
        }
    }

    impl Values for Sent {
        fn get(&self, name: &str, key: &str) -> Option<&str> {
            VALUES.get(name, key)
        }

        fn request(&self, part: RequestPart) -> Option<RequestText<'_>> {
            let bytes: &[u8] = if part == RequestPart::Body { b"for nothing?" } else { b"" };
            Some(RequestText { bytes, value_bytes: self.0 })
        }
    }

    #[test]
    fn a_request_is_signed_and_never_a_text_itself_i1() {
        let code = |key: &str| {
            json!([{ "op": "hmac", "algorithm": "sha256", "format": "hex", "key": [secret(key)],
            "parts": ["what do ya want ", { "request": "body" }] }])
        };
        let made_of = |parts: Value, values: &dyn Values| {
            let parts: Vec<Part> = serde_json::from_value(parts).unwrap();
            render(&parts, Context::Signature, Timestamp::UNIX_EPOCH, values)
        };
        let made = made_of(code("key"), &Sent(&[])).ok().unwrap();
        assert_eq!(*made.text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(made_of(code("key"), &VALUES).is_err(), "there is no request");
        assert!(made_of(json!([{ "request": "body" }]), &Sent(&[])).is_err());
        assert!(made_of(json!([op("base64", json!([{ "request": "body" }]))]), &Sent(&[])).is_err());
        // A search for the MAC would confirm guesses of a short value in the body.
        assert_eq!(made_of(code("token"), &Sent(&[40])).ok().unwrap().made.len(), 1);
        assert!(made_of(code("token"), &Sent(&[40, 3])).is_err());
    }

    #[test]
    fn codes_are_made_of_text_and_of_bytes() {
        let code = |key: Value, data: Value, format: &str| json!({ "op": "hmac", "algorithm": "sha256", "format": format, "key": [key], "parts": data });
        let data = json!(["what do ya want ", "for nothing?"]);
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        check(json!([code(secret("key"), data.clone(), "hex")]), expected);
        let key64 = json!({ "secret": ["key64", "k"], "from": "base64" });
        check(json!([code(key64, data.clone(), "hex")]), expected);
        let inner = code(secret("key"), data.clone(), "bytes");
        let derived = code(inner.clone(), json!(["x"]), "base64url");
        let made = rendered(&json!([derived]), Context::Line).unwrap();
        assert_eq!((made.text.len(), made.made.len()), (43, 0), "the key has fewer than eight bytes");
        assert_eq!(rendered(&json!([inner]), Context::Line).err(), Some(Refused), "bytes are no text");
    }

    #[test]
    fn each_value_is_asked_alone_and_a_refusal_says_nothing_i1() {
        let refused =
            |parts: &Value, context| assert_eq!(rendered(parts, context).err(), Some(Refused), "{parts}");
        let taken = |parts: &Value, context| assert!(rendered(parts, context).is_ok(), "{parts}");
        for context in [Context::Line, Context::UserName] {
            refused(&json!([secret("lines")]), context);
            refused(&json!([op("xml", json!([secret("lines")]))]), context);
            for encoding in ["base64", "url", "urlPath", "segment", "query", "json"] {
                taken(&json!([op(encoding, json!([secret("lines")]))]), context);
            }
        }
        taken(&json!([secret("lines")]), Context::Free);
        refused(&json!([secret("colon")]), Context::UserName);
        taken(&json!([secret("colon")]), Context::Line);
        taken(&json!([secret("key"), ":"]), Context::UserName);
        refused(&json!([op("segment", json!([secret("dot")]))]), Context::Free);
        taken(&json!([op("segment", json!([secret("dots")]))]), Context::Free);
        refused(&json!([op("urlPath", json!(["x", secret("dots")]))]), Context::Free);
        // The text around a value changes none of its checks.
        taken(&json!([op("urlPath", json!([".", secret("token"), "./"]))]), Context::Free);
        taken(&json!([op("query", json!([secret("dot")]))]), Context::Free);
        for path in [json!([]), json!(["none"]), json!(["user", "x"])] {
            let parts = json!([{ "secret": ["token", "k"], "from": "base64", "path": path }]);
            refused(&parts, Context::Free);
        }
        refused(&json!([{ "secret": ["json", "k"], "path": ["none"] }]), Context::Free);
        refused(&json!([{ "secret": ["token", "k"], "path": ["user"] }]), Context::Free);
        refused(&json!([{ "secret": ["key64", "k"], "from": "base64" }]), Context::Free);
        refused(&json!([secret("gone")]), Context::Free);
    }

    #[test]
    fn codes_and_double_encodings_are_told_to_the_scrubber_i1() {
        let made = |parts: Value| {
            let rendered = rendered(&parts, Context::Free).unwrap();
            rendered.made.iter().map(|made| format!("{}: {}", made.label, *made.text)).collect::<Vec<_>>()
        };
        assert_eq!(made(json!([secret("token"), op("url", json!([secret("token")]))])), Vec::<String>::new());
        let double = op("url", json!([op("base64", json!([secret("key64")])), "x"]));
        assert_eq!(made(json!(["a", double])), ["key64.k: U21WbQpaUT09x"]);
        let triple = op("xml", json!([op("base64", json!([op("base64", json!([secret("key64")]))]))]));
        assert_eq!(made(json!([triple])), ["key64.k: VTIxV2JRcGFVVDA5", "key64.k: VTIxV2JRcGFVVDA5"]);
        let code = |key: &str| json!({ "op": "hmac", "algorithm": "sha1", "format": "hex", "key": [secret(key)], "parts": ["x"] });
        let label = made(json!(["t=", code("token")])).remove(0);
        assert!(label.starts_with("token.k: ") && label.len() == "token.k: ".len() + 40, "{label}");
        assert_eq!(made(json!([code("key")])), Vec::<String>::new(), "a code of a value under eight bytes");
        let short = op("url", json!([op("base64", json!([secret("key"), "x"]))]));
        assert_eq!(
            made(json!([short])),
            Vec::<String>::new(),
            "a value under eight bytes is all that is in it"
        );
        assert_eq!(made(json!([op("url", json!([op("base64", json!(["known"]))]))])), Vec::<String>::new());
    }

    #[test]
    fn a_value_too_short_to_be_searched_for_hides_no_longer_one_i1() {
        let double = |parts: Value| op("url", json!([op("base64", parts)]));
        let code = |key: &str, data: &str| json!({ "op": "hmac", "algorithm": "sha1", "format": "hex", "key": [secret(key)], "parts": [secret(data)] });
        for parts in [
            json!([double(json!([secret("token"), secret("key")]))]),
            json!([double(json!([secret("key"), "x", secret("token")]))]),
            json!([code("token", "key")]),
            json!([code("key", "token")]),
            json!([op("base64", json!([secret("key"), code("token", "token")]))]),
        ] {
            assert!(rendered(&parts, Context::Free).is_err(), "{parts}");
        }
        check(json!([op("base64", json!([secret("key"), op("url", json!(["x"]))]))]), "SmVmZXg=");
        let beside = json!([secret("key"), double(json!([secret("token")]))]);
        assert_eq!(rendered(&beside, Context::Free).unwrap().made.len(), 1, "they are not made into one");
    }

    #[test]
    fn what_a_path_takes_out_is_told_to_the_scrubber_as_a_value_i1() {
        let leaves = |parts: Value| {
            let rendered = rendered(&parts, Context::Free).unwrap();
            rendered.leaves.iter().map(|leaf| format!("{}: {}", leaf.label, *leaf.text)).collect::<Vec<_>>()
        };
        let user = json!({ "secret": ["json", "k"], "path": ["user"] });
        let encoded = json!({ "secret": ["encoded", "k"], "from": "base64", "path": ["k", 0] });
        assert_eq!(leaves(json!([user, op("base64", json!([encoded]))])), ["json.k: ada", "encoded.k: v"]);
        assert_eq!(leaves(json!([secret("token")])), Vec::<String>::new());
    }
}
