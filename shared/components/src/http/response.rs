//! From the answer of a target to an outcome.

use std::{collections::BTreeMap, ops::RangeInclusive};

use domain::{
    execution::ResultReason,
    json::{parse_lenient, storable_text},
    limits::HTTP_STORED_BYTES_MAX,
    outcome::{Failure, Outcome, Output},
};
use serde_json::{Value, json};

use super::SUCCESS;
use crate::credential_names::is_credential;
use crate::headers::canonical_header_name;
use crate::host::{HttpBody, HttpResponse};

/// The outcome of an answer: `status`, `headers` and `body`, and on failure `error` too.
pub(super) fn outcome(answer: HttpResponse, success: &[RangeInclusive<u16>]) -> Outcome {
    let status = answer.status;
    let too_large = match &answer.body {
        HttpBody::Text(text) => Some(text.len()).filter(|bytes| *bytes > HTTP_STORED_BYTES_MAX),
        HttpBody::Binary { .. } => None,
    };
    let body = match (answer.body, too_large) {
        (_, Some(bytes)) => json!({ "bytes": bytes }),
        (HttpBody::Binary { sha256: Some(sha256), bytes }, None) => {
            json!({ "sha256": sha256, "bytes": bytes })
        }
        (HttpBody::Binary { sha256: None, bytes }, None) => json!({ "bytes": bytes }),
        (HttpBody::Text(text), None) => {
            parse_lenient(&text).unwrap_or_else(|| Value::String(storable_text(text)))
        }
    };
    let data = json!({ "status": status, "headers": kept_headers(answer.headers), "body": body });
    let failed = |code: &str, message: String, retryable| {
        Outcome::Failed(Failure {
            data: data.clone(),
            retryable,
            answered: true,
            ..Failure::new(ResultReason::ComponentError, code, message)
        })
    };
    if !success.iter().any(|range| range.contains(&status)) {
        return failed(
            "http_status",
            format!("the server answered with status {status}"),
            is_passing(status),
        );
    }
    if let Some(bytes) = too_large {
        let message = format!(
            "the server answered with status {status} and a body of {bytes} bytes; at most {HTTP_STORED_BYTES_MAX} can be stored"
        );
        return failed("response_too_large_to_store", message, false);
    }
    Outcome::Passed(Some(Output { channel: SUCCESS, data }))
}

/// Whether a later attempt may get another status: after time-outs, `Too Early`, `Too Many
/// Requests`, and errors of the server.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

fn kept_headers(headers: Vec<(String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut kept: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if !is_credential(&name) {
            kept.entry(canonical_header_name(&name)).or_default().push(storable_text(value));
        }
    }
    kept
}
