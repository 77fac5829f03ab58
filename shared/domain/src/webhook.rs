//! The authentication of a webhook's senders.

use crate::words::words;

words! {
    /// The proof that a sender must give: `webhooks.authentication`.
    pub enum Authentication {
        /// HMAC-SHA256 of the raw body in a header, in hex after `sha256=`.
        Signature = "signature",
        /// `Authorization: Bearer …`.
        Bearer = "bearer",
        /// The token alone in a header.
        HeaderToken = "header_token",
        /// No proof: anybody who knows the address may send.
        None = "none",
    }
}

words! {
    /// The hash of a signature's HMAC.
    pub enum MacAlgorithm {
        /// SHA-256.
        Sha256 = "sha256",
        /// SHA-512.
        Sha512 = "sha512",
        /// SHA-1: older senders know no other. As an HMAC it is not broken.
        Sha1 = "sha1",
    }
}

words! {
    /// The text form of a signature.
    pub enum MacEncoding {
        /// Hexadecimal digits.
        Hex = "hex",
        /// Base64 (RFC 4648, section 4).
        Base64 = "base64",
    }
}

words! {
    /// The service that sends to a webhook. Its public description says how it signs.
    pub enum Sender {
        /// Any sender: everything is said by hand.
        Generic = "generic",
        /// GitHub: "Validating webhook deliveries".
        Github = "github",
        /// GitLab: "Webhooks", secret token.
        Gitlab = "gitlab",
        /// Stripe: "Verify webhook signatures manually".
        Stripe = "stripe",
        /// Slack: "Verifying requests from Slack".
        Slack = "slack",
        /// Shopify: "Validate the origin of your webhook".
        Shopify = "shopify",
        /// PagerDuty: "Verifying webhook signatures" (v3).
        Pagerduty = "pagerduty",
        /// Bitbucket Cloud: "Manage webhooks", secret token.
        Bitbucket = "bitbucket",
        /// Prometheus Alertmanager: `http_config` with `authorization`.
        Alertmanager = "alertmanager",
        /// Twilio: "Webhooks security".
        Twilio = "twilio",
        /// Linear: "Webhooks", securing.
        Linear = "linear",
        /// Senders that follow the Standard Webhooks specification: Svix and those that use it, and
        /// GitLab with a signing token.
        StandardWebhooks = "standard_webhooks",
    }
}

words! {
    /// A request by which a sender asks whether somebody is there. It is answered at once and makes
    /// no run.
    pub enum Handshake {
        /// A JSON body with `type: url_verification`: its `challenge` is the answer (Slack).
        UrlVerification = "url_verification",
        /// `GET` and `HEAD` are answered with 200 (Trello, Mailchimp).
        Probe = "probe",
        /// `GET` with `hub.challenge` in the query, which is the answer (WebSub, section 5.3; Meta).
        HubChallenge = "hub_challenge",
        /// `POST` with `validationToken` in the query, which is the answer (Microsoft Graph).
        ValidationToken = "validation_token",
    }
}

/// The kinds of credential that authentications have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A key that signs bodies. A check needs the key in the clear.
    SigningKey,
    /// A token that the sender sends. Its hash is enough for a check.
    Token,
}

impl Authentication {
    /// The kind of credential; None: no credential.
    #[must_use]
    pub fn credential_kind(self) -> Option<CredentialKind> {
        match self {
            Self::Signature => Some(CredentialKind::SigningKey),
            Self::Bearer | Self::HeaderToken => Some(CredentialKind::Token),
            Self::None => None,
        }
    }
}
