//! The expression language of sealflow: Go's `expr`, in which a secret can be placed but not looked
//! at.
//!
//! A string of a configuration is parsed once into a [`Template`]. The builder evaluates it
//! ([`Template::resolve`]); a reference to a secret stays a reference, in a list of parts that the
//! executor renders (`secret_text`). The crate does no I/O and reads no clock: `now()` and all data
//! come from the [`Environment`]. The language is described for authors in [`guide`].
//!
//! ```
//! use expression::{Environment, FieldKind, Template, Value};
//!
//! struct Run(serde_json::Value);
//!
//! impl Environment for Run {
//!     fn variable(&self, name: &str) -> Option<Value<'_>> {
//!         (name == "$").then(|| Value::json(&self.0))
//!     }
//!     fn call(&self, _: &str, _: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
//!         None
//!     }
//! }
//!
//! let source = r#"{{ $["Push"].user }}:{{ secrets("github").token }}"#;
//! let template = Template::parse(source, FieldKind::Text)?;
//! let run = Run(serde_json::json!({"Push": {"user": "ada"}}));
//! let resolution = template.resolve(&run)?;
//! assert_eq!(resolution.display, r#"ada:{{ secrets("github").token }}"#);
//! let parts = serde_json::to_string(&resolution.placed[0].parts).unwrap();
//! assert_eq!(parts, r#"["ada:",{"secret":["github","token"]}]"#);
//! # Ok::<(), expression::Error>(())
//! ```
//!
//! # The law
//!
//! For every accepted template and every environment, the parts rendered with the secrets equal the
//! template evaluated with the secrets' values as plain texts ([`Template::evaluate`]). Numbers and
//! booleans out of a secret's JSON count as texts, as they are written. For two secrets of any
//! values the parts, the display and every error are the same.
//!
//! # Invariants
//!
//! - Texts from data and from secrets are never parsed (I2). Only [`Template::parse`] parses, and
//!   only the author's text.
//! - A secret is named by literals, `secrets("name").key` or `secrets("name")["key"]`. The parser
//!   checks this.
//! - Only [`Template::evaluate`] has values of secrets, and the environment never gets one.
//! - An operation that would have to look at a secret is refused: by the parser where the tree
//!   shows it, else by the evaluator.
//! - No error holds a value.
//! - No input causes a panic, a stack overflow or unbounded work; see [`limits`].
//!
//! # Where it differs from Go's `expr` 1.17.7
//!
//! Measured by `tests/golden.rs` over Go's own results: of 367 expressions that people wrote 365
//! agree (99.4 %), of 4,542 generated ones 4,528 (99.7 %). The differences, with their reasons:
//!
//! | expression | Go | here | why |
//! |---|---|---|---|
//! | `keys({a: 1, b: 2}) == ["a", "b"]` | false, by chance | true | Go's order of a map is random, ours is that of the keys |
//! | `fromPairs([["a", 1]]) == {a: 1}` | error | true | Go has two types of map, which never compare |
//! | `sort(max(array))` and 8 more of `sort` of what is no list | nil | error | nil instead of a list hides a mistake |
//! | `concat(array \| take(0))` | nil | `[]` | Go's empty list of nothing is nil in JSON |
//! | `groupBy(groupBy(array, ok).i, …)` | an empty map | error | a missing group is nil here, in Go an empty list |
//! | `groupBy(list, str)?.[i]` and 2 more with a key of another type | nil | error | a map whose keys are all texts is a map of texts, so that it is the same after it was stored |
//!
//! Differences that these data do not show:
//!
//! - JSON numbers without a fraction are integers, in Go floats: `string(1000000)` is `1000000`,
//!   and `%` works on them.
//! - Texts are UTF-8. A slice through a character gives U+FFFD for each byte of it, as Go does
//!   where it writes JSON.
//! - Left out: the `bit…` functions; in patterns `\p{…}` and Unicode case folding; `$env`; dates
//!   with layouts.
//! - `date()` is the origin's: RFC 3339, days, Unix times; a second argument names the zone; no
//!   time without a zone.
//! - Accepted beyond Go: a map as the body of a closure without a second pair of braces, `map(x,
//!   {a: #})`.
//! - Sorting is stable.
//! - Infinite numbers and NaN are the texts `+Inf`, `-Inf`, `NaN` in JSON.

mod analysis;
mod ast;
mod builtins;
mod error;
mod eval;
pub mod guide;
mod lexer;
pub mod limits;
mod marks;
mod opaque;
mod parser;
mod placement;
mod suggest;
mod template;
mod text;
mod time;
mod url;
mod value;

pub use error::{Error, ErrorKind, Span};
pub use eval::Budget;
pub use marks::Marks;
pub use opaque::Opaque;
pub use secret_text::FieldKind;
pub use template::{
    Environment, Mentions, Placed, Resolution, SecretRef, SecretRole, Secrets, Template, UrlOrigin,
};
pub use time::Time;
pub use value::{Calendar, FloatKey, Key, List, Lookup, Map, Nested, Text, Value};

/// Names (functions, variables) that sealflow registers. For suggestions.
pub const SEALFLOW_NAMES: &[&str] =
    &["$", "root", "previous", "run", "workflow", "app", "now", "secrets", "inputs", "item", "iteration"];

/// The name that was perhaps meant by `name`: a registered name or a builtin, if one is near.
pub fn suggest_name(name: &str) -> Option<&'static str> {
    suggest::name(name)
}
