//! Texts with secrets in them: a list of [`Part`]s that the builder makes and stores, and that the
//! executor renders.
//!
//! A secret can be placed into a text, and never looked at. An expression that refers to a secret
//! evaluates to a list of parts: known text, references, and a closed set of encodings. The builder
//! decided everything that depends on data. The renderer ([`render()`]) has no expression, no
//! template and no event.
//!
//! # Reasons to refuse a value
//!
//! Each check looks at one value alone, never at the text around it, so that nobody can test a part
//! of a value. A value is refused for: a control character in a line (outside of base64, URL
//! encoding, JSON and hashes); a path segment `.` or `..`; a colon in a user name; JSON without the
//! named path; no base64 where bytes are wanted. A refusal ([`Refused`]) does not name its reason.
//!
//! # Lengths
//!
//! [`rendered_bytes_max`] holds the limits. It counts each value at the largest size that its
//! encodings could give it. A limit on the rendered text would reveal how many characters of a
//! value an encoder escaped.
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
