//! The field `tls`: for targets inside a company.
//!
//! | field | value |
//! |---|---|
//! | `authorities` | PEM of the authorities that are trusted in place of the public ones |
//! | `certificate` | PEM of the certificate that is shown to the target, with those that lead to its authority |
//! | `key` | PEM of the certificate's private key, a secret |

use serde_json::Value;

use crate::host::{HttpClientCertificate, HttpTls};
use crate::shape::{Reader, child};

const AT: &str = "/tls";

/// Reads the field.
pub(super) fn read(reader: &mut Reader, value: &Value) -> Option<HttpTls> {
    let map = reader.object(AT, value, &["authorities", "certificate", "key"])?;
    if map.is_empty() {
        reader.problem(AT, "must have `authorities`, or `certificate` and `key`");
    }
    for (one, other) in [("certificate", "key"), ("key", "certificate")] {
        if map.contains_key(one) && !map.contains_key(other) {
            reader.problem(AT, format!("`{one}` stands without `{other}`"));
        }
    }
    let mut pem = |field: &str, label: &str| match map.get(field) {
        None => Some(None),
        Some(value) => {
            let text = reader.text(&child(AT, field), value)?;
            // A text out of a secret is checked where the request is made, without a word on why.
            if reader.is_template_stage() && !text.contains(label) {
                reader.problem(&child(AT, field), format!("must be PEM: {label}-----"));
            }
            Some(Some(text))
        }
    };
    let authorities = pem("authorities", "-----BEGIN CERTIFICATE");
    let (chain, key) = (pem("certificate", "-----BEGIN CERTIFICATE"), pem("key", "-----BEGIN "));
    let client = chain?.zip(key?).map(|(chain, key)| HttpClientCertificate { chain, key });
    Some(HttpTls { authorities: authorities?, client })
}
