//! Webhooks.

use std::collections::BTreeMap;
use std::fmt;

use domain::ids::{WebhookId, WorkflowId};
use domain::webhook::{Authentication, Sender};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A credential, in the one answer that shows it.
// Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ShownOnce(pub String);

impl fmt::Debug for ShownOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[shown once]")
    }
}

/// A webhook. A key or token stands there once: in the answer of the apply or rotation that made
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The workflow's name; in lists only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_name: Option<String>,
    /// The trigger node.
    pub node_id: String,
    /// The URL that deliveries are posted to.
    pub url: String,
    /// The proof that senders give.
    pub authentication: Authentication,
    /// The header of the signature or token, lower case.
    pub header_name: Option<String>,
    /// The header whose value makes deliveries the same, lower case.
    pub deduplication_header: Option<String>,
    /// The time until which the key or token before a rotation is accepted.
    pub previous_until: Option<Timestamp>,
    /// The service that sends; in the answer of an apply only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Sender>,
    /// The counts of its deliveries; in lists only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<Deliveries>,
    /// The signing key, shown here only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<ShownOnce>,
    /// The token, shown here only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<ShownOnce>,
}

/// The counts of a webhook's deliveries, up to a minute late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Deliveries {
    /// Those that were taken, repeated ones too.
    pub accepted: i64,
    /// Those that were refused, by reason: `unauthorized`, `too_old`, `too_large`, `bad_body`,
    /// `bad_key`, `too_many_hops`, `queue_full`, `too_fast`, `wrong_method`, `unavailable`.
    pub refused: BTreeMap<String, i64>,
    /// When one was refused last.
    pub refused_last_at: Option<Timestamp>,
    /// Why that was.
    pub refused_last_reason: Option<String>,
}

/// A page of webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct WebhookList {
    /// Live ones, without keys and tokens.
    pub webhooks: Vec<Webhook>,
    /// The `cursor` of the next page; nil on the last one.
    pub next_cursor: Option<String>,
}

/// The answer of a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct WebhookAnswer {
    /// The webhook as it is now.
    pub webhook: Webhook,
}
