//! The example workflow, its webhook, and how GitHub signs.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use ring::hmac;
use serde_json::Value;

/// The host in the example, which stands for a service of the user's.
const EXAMPLE_ORIGIN: &str = "https://api.example.com";

/// The address to post to, and the key to sign with.
pub(super) struct Webhook {
    pub(super) url: String,
    pub(super) signing_key: String,
}

impl Webhook {
    /// The one webhook in the answer to `apply`, which is the only one that has its key.
    pub(super) fn of_answer(answer: &Value) -> Result<Self> {
        let part = |name: &str| {
            let part = answer["webhooks"][0][name].as_str().map(str::to_owned);
            part.with_context(|| format!("the answer to apply has no webhook with {name}"))
        };
        Ok(Self { url: part("url")?, signing_key: part("signing_key")? })
    }
}

/// The text of a workflow file with the target's address for the example's.
pub(super) fn with_target(workflow: &Path, target_url: &str) -> Result<String> {
    let text =
        std::fs::read_to_string(workflow).with_context(|| format!("cannot read {}", workflow.display()))?;
    ensure!(text.contains(EXAMPLE_ORIGIN), "{} calls no {EXAMPLE_ORIGIN}", workflow.display());
    Ok(text.replace(EXAMPLE_ORIGIN, target_url))
}

/// The body of a push: that of a file, with another commit and message.
pub(super) fn push(file: &Path, commit: &str, message: &str) -> Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut push: Value =
        serde_json::from_str(&text).with_context(|| format!("no JSON in {}", file.display()))?;
    push["after"] = commit.into();
    push["head_commit"]["id"] = commit.into();
    push["head_commit"]["message"] = message.into();
    Ok(push.to_string())
}

/// `sha256=` and the HMAC-SHA256 of the raw body in hex: GitHub's `X-Hub-Signature-256`.
pub(super) fn signature(signing_key: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, signing_key.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in GitHub's documentation of webhook signatures.
    #[test]
    fn a_signature_is_as_github_makes_it() {
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(signature("It's a Secret to Everybody", b"Hello, World!"), expected);
    }
}
