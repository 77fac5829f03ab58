//! The form of a sealed secret at rest, its binding, and the meaning of KMS's error codes. This
//! crate has no client of KMS and no key.
//!
//! `secrets.data` is [`Entries`]: a version byte and a list of [`Entry`], each sealed by itself.
//! Key names, allowed hosts and places are readable without an opened value. [`Scope`] makes the
//! encryption context and the associated data that bind an entry to its organization, secret,
//! purpose, key name, hosts and places. An entry that is moved elsewhere does not open (I6).

mod bounds;
mod entries;
mod kms_code;
mod scope;
mod value;

pub use bounds::Bounds;
pub use entries::{
    Entries, Entry, EntryError, FORMAT_VERSION, FORMAT_VERSION_PLACES, HOSTS_MAX, KEY_NAME_BYTES_MAX,
    NONCE_BYTES, PLACEMENTS_MAX, TAG_BYTES, WRAPPED_KEY_BYTES_MAX,
};
pub use kms_code::is_refusal;
pub use scope::{Purpose, Scope};
pub use value::{NotText, SecretValue};
