//! Texts with secrets in them: a list of [`Part`]s that the builder makes and stores, and that the
//! executor renders.
//!
//! A secret can be placed into a text, and never looked at. An expression that refers to one comes
//! to a list of parts: known text, references, and a closed set of encodings. Everything that
//! depends on data was decided before. What renders them ([`render()`]) knows no expression, no
//! template and no event.
//!
//! # What a value can be refused for
//!
//! Each question is asked of one value alone, never of the text around it, so that nobody can ask
//! about a part of a value: a control character where the text is a line (outside of base64, URL
//! encoding, JSON and hashes); a path segment `.` or `..`; a colon in a user name; JSON with the
//! path that is named; base64 where bytes are wanted. A refusal ([`Refused`]) says none of it.
//!
//! # Lengths
//!
//! Limits are held by [`rendered_bytes_max`], which counts each value at the largest size that its
//! encodings could give it. A limit on what was rendered would tell how many characters of a value
//! an encoder escaped.
//!
//! This crate does no I/O, reads no clock and knows no key of the vault.

mod escape;
mod field;
mod field_kind;
mod json_path;
mod length;
mod mac;
mod part;
mod render;
mod request_part;
mod residual;
mod show;
mod time_format;

pub use escape::{json_text, percent_encode, xml};
pub use field::{SecretField, Unreadable, put, read_fields, references};
pub use field_kind::FieldKind;
pub use length::{OPENED_BYTES_MAX, RENDERED_BYTES_MAX, Secrets, rendered_bytes_max, url_bytes_max};
pub use mac::{Algorithm, MacFormat};
pub use part::{Encoding, NESTING_MAX, PATH_STEPS_MAX, Part, Reference, Step, append};
pub use render::{Context, Made, Refused, Rendered, RequestText, Values, hides_no_value, render};
pub use request_part::RequestPart;
pub use residual::read_residuals;
pub use show::show;
pub use time_format::TimeFormat;
