//! The services that send, and how each of them does it.

use domain::webhook::{Authentication, Handshake, MacAlgorithm, MacEncoding, Sender};

use super::scheme::{
    KeyForm, SignatureScheme, Signed, SignedPart, TOLERANCE_SECONDS_DEFAULT, TimestampAt, TimestampRule,
};

/// The settings of a sender's preset.
pub(super) struct Preset {
    pub(super) authentication: Authentication,
    /// Lower case; None for bearer.
    pub(super) header: Option<&'static str>,
    pub(super) scheme: Option<SignatureScheme>,
    pub(super) deduplication: Deduplication,
    pub(super) handshakes: &'static [Handshake],
}

/// The place of a delivery's id, which a retry repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deduplication {
    /// In a header, lower case.
    Header(&'static str),
    /// In the event's data, a JSON pointer.
    Data(&'static str),
    /// The sender has none.
    None,
}

impl Preset {
    /// The preset of a sender; None for a generic one.
    pub(super) fn of(sender: Sender) -> Option<Self> {
        let signed = |header, scheme, deduplication| Preset {
            authentication: Authentication::Signature,
            header: Some(header),
            scheme: Some(scheme),
            deduplication,
            handshakes: &[],
        };
        let plain = SignatureScheme::default;
        let bare = || SignatureScheme { prefix: String::new(), is_prefix_optional: false, ..plain() };
        let stamped = |prefix: &str, parts: Vec<SignedPart>, at: TimestampAt| SignatureScheme {
            prefix: prefix.to_owned(),
            signed: Signed::Parts(parts),
            timestamp: Some(TimestampRule { at, tolerance_seconds: TOLERANCE_SECONDS_DEFAULT }),
            ..bare()
        };
        let text = |text: &str| SignedPart::Text(text.to_owned());
        Some(match sender {
            Sender::Generic => return None,
            Sender::Github => {
                signed("x-hub-signature-256", plain(), Deduplication::Header("x-github-delivery"))
            }
            Sender::Gitlab => Preset {
                authentication: Authentication::HeaderToken,
                header: Some("x-gitlab-token"),
                scheme: None,
                deduplication: Deduplication::Header("idempotency-key"),
                handshakes: &[],
            },
            Sender::Stripe => {
                let parts = vec![SignedPart::Timestamp, text("."), SignedPart::Body];
                let at = TimestampAt::Field("t".to_owned());
                let scheme = SignatureScheme { separator: Some(','), ..stamped("v1=", parts, at) };
                signed("stripe-signature", scheme, Deduplication::Data("/body/id"))
            }
            Sender::Slack => {
                let parts = vec![text("v0:"), SignedPart::Timestamp, text(":"), SignedPart::Body];
                let at = TimestampAt::Header("x-slack-request-timestamp".to_owned());
                let scheme = stamped("v0=", parts, at);
                Preset {
                    handshakes: &[Handshake::UrlVerification],
                    ..signed("x-slack-signature", scheme, Deduplication::Data("/body/event_id"))
                }
            }
            Sender::Shopify => {
                let scheme = SignatureScheme { encoding: MacEncoding::Base64, ..bare() };
                signed("x-shopify-hmac-sha256", scheme, Deduplication::Header("x-shopify-webhook-id"))
            }
            Sender::Pagerduty => {
                let scheme = SignatureScheme { prefix: "v1=".to_owned(), separator: Some(','), ..bare() };
                signed("x-pagerduty-signature", scheme, Deduplication::Header("x-webhook-id"))
            }
            Sender::Bitbucket => signed("x-hub-signature", plain(), Deduplication::Header("x-request-uuid")),
            Sender::Alertmanager => Preset {
                authentication: Authentication::Bearer,
                header: None,
                scheme: None,
                deduplication: Deduplication::None,
                handshakes: &[],
            },
            Sender::Twilio => {
                let scheme = SignatureScheme {
                    algorithm: MacAlgorithm::Sha1,
                    encoding: MacEncoding::Base64,
                    signed: Signed::UrlAndForm,
                    ..bare()
                };
                signed("x-twilio-signature", scheme, Deduplication::Header("i-twilio-idempotency-token"))
            }
            Sender::Linear => {
                let at = TimestampAt::BodyMilliseconds("webhookTimestamp");
                let timestamp = Some(TimestampRule { at, tolerance_seconds: 60 });
                let scheme = SignatureScheme { timestamp, ..bare() };
                signed("linear-signature", scheme, Deduplication::Header("linear-delivery"))
            }
            Sender::StandardWebhooks => {
                let id = SignedPart::Header("webhook-id".to_owned());
                let parts = vec![id, text("."), SignedPart::Timestamp, text("."), SignedPart::Body];
                let at = TimestampAt::Header("webhook-timestamp".to_owned());
                let scheme = SignatureScheme {
                    encoding: MacEncoding::Base64,
                    separator: Some(' '),
                    key_form: KeyForm::Base64,
                    ..stamped("v1,", parts, at)
                };
                signed("webhook-signature", scheme, Deduplication::Header("webhook-id"))
            }
        })
    }
}
