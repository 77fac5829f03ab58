//! The ways in which a value may be written.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// One written form of a secret.
pub(super) struct Needle {
    pub(super) form: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// All forms of a secret: raw, hex, base64 and base64url, JSON within bytes, each also as hex.
pub(super) fn of(secret: &str) -> Vec<Needle> {
    let raw = secret.as_bytes();
    let json = serde_json::to_string(secret).expect("a string is JSON");
    let mut forms: Vec<(&'static str, Vec<u8>)> = vec![
        ("raw", raw.to_vec()),
        // Some escapes of JSON stay in every view: those of a third level of JSON, of JSON within
        // URL or HTML escapes, and of JSON within hex.
        ("JSON", json.as_bytes()[1..json.len() - 1].to_vec()),
    ];
    for alignment in 0..3 {
        forms.push(("base64", base64_inside(raw, alignment, |bytes| STANDARD_NO_PAD.encode(bytes))));
        forms.push(("base64url", base64_inside(raw, alignment, |bytes| URL_SAFE_NO_PAD.encode(bytes))));
    }
    let as_hex = |bytes: &Vec<u8>| [("hex", hex::encode(bytes)), ("hex", hex::encode_upper(bytes))];
    let in_hex: Vec<_> = forms.iter().flat_map(|(_, bytes)| as_hex(bytes)).collect();
    forms.extend(in_hex.into_iter().map(|(form, text)| (form, text.into_bytes())));
    let mut seen = BTreeSet::new();
    forms.retain(|(_, bytes)| seen.insert(bytes.clone()));
    forms.into_iter().map(|(form, bytes)| Needle { form, bytes }).collect()
}

/// The characters that depend on `value` alone, if `value` starts `alignment` bytes after a
/// multiple of three. The first and last few are left out: they also depend on the bytes around it.
fn base64_inside(value: &[u8], alignment: usize, encode: impl Fn(&[u8]) -> String) -> Vec<u8> {
    let mut bytes = vec![0; alignment];
    bytes.extend_from_slice(value);
    let encoded = encode(&bytes).into_bytes();
    // Six bits a character: whole characters that begin at or after the value's first bit and end
    // before its last.
    let from = (alignment * 8).div_ceil(6);
    let to = bytes.len() * 8 / 6;
    encoded[from..to].to_vec()
}
