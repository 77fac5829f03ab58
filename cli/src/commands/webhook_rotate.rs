use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use crate::api::{Body, segment};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Format, emit, print_json, printable, text, time};

/// Make a new signing key or token for a webhook; it is shown once. The present one is accepted for a
/// while too.
#[derive(Args)]
pub(crate) struct Rotate {
    #[command(flatten)]
    pub(super) webhook: Webhook,
    #[command(flatten)]
    pub(super) keep: Keep,
}

/// Which webhook.
#[derive(Args)]
pub(crate) struct Webhook {
    /// The webhook: WORKFLOW/NODE, or its id.
    #[arg(value_name = "WEBHOOK")]
    pub(super) webhook: String,
}

/// For how long the key before is accepted.
#[derive(Args)]
pub(crate) struct Keep {
    /// Seconds for which the present key or token is accepted too, until all senders have the new one;
    /// 0 ends it at once. Not given: a day.
    #[arg(long, value_name = "SECONDS")]
    pub(super) keep_previous: Option<u32>,
}

impl Webhook {
    /// The API path of `what` (such as `rotate` or `key`) under this webhook. A workflow's name may
    /// have slashes; a node's id has none.
    pub(super) fn path(&self, what: &str) -> String {
        match self.webhook.rsplit_once('/') {
            Some((workflow, node)) => format!("/v1/webhooks/{}/{}/{what}", segment(workflow), segment(node)),
            None => format!("/v1/webhooks/{}/{what}", segment(&self.webhook)),
        }
    }
}

impl Rotate {
    pub(crate) fn run(&self, context: &Context) -> Result<(), Failure> {
        let body = self
            .keep
            .keep_previous
            .map_or_else(|| json!({}), |seconds| json!({ "keep_previous_seconds": seconds }));
        let answer = context.api.post(&self.webhook.path("rotate"), &Body::json(&body))?;
        match context.format {
            Format::Json => print_json(&answer),
            Format::Human => emit(&render(&answer["webhook"])),
        }
        Ok(())
    }
}

/// The text about the keys after a rotation.
pub(super) fn render(hook: &Value) -> String {
    let mut out = String::new();
    let (node, url) = (printable(&text(hook, "node_id")), printable(&text(hook, "url")));
    let _ = writeln!(out, "webhook {node}: {url} ({})", printable(&text(hook, "authentication")));
    for (field, name) in [("signing_key", "signing key"), ("token", "token")] {
        if let Some(value) = hook[field].as_str() {
            let _ = writeln!(out, "  new {name}, shown only now: {}", printable(value));
        }
    }
    let until = time(hook, "previous_until");
    let _ = match until.as_str() {
        "" => writeln!(out, "  the one before it is accepted no more"),
        until => writeln!(out, "  the one before it is accepted until {}", printable(until)),
    };
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_named_by_id_or_by_workflow_and_node() {
        let check = |webhook: &str, expected: &str| {
            assert_eq!(Webhook { webhook: webhook.to_owned() }.path("rotate"), expected);
        };
        check("0190", "/v1/webhooks/0190/rotate");
        check("notify/push", "/v1/webhooks/notify/push/rotate");
        check("a/b c/push", "/v1/webhooks/~YS9iIGM/push/rotate");
    }

    #[test]
    fn the_answer_shows_the_key_once_and_says_what_became_of_the_old_one() {
        let mut hook = json!({ "node_id": "push", "url": "https://x/hooks/1", "authentication": "signature",
            "signing_key": "k", "previous_until": null });
        assert_eq!(
            render(&hook),
            "webhook push: https://x/hooks/1 (signature)\n  new signing key, shown only now: k\n  \
             the one before it is accepted no more\n"
        );
        hook["previous_until"] = json!("2026-01-02T03:04:05Z");
        assert!(render(&hook).contains("is accepted until 2026-01-0"));
    }
}
