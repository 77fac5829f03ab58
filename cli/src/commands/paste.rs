//! Hints for the sender's side, for a person who has just made a webhook.

use domain::webhook::Sender;

/// The steps at a sender. Some services take the key that was made; others make one, which is set
/// here.
pub(super) fn hint(sender: Sender, webhook: &str) -> Option<String> {
    let take = |place: &str| Some(format!("paste the address and the key: {place}"));
    let give = |place: &str, key: &str| {
        Some(format!(
            "paste the address: {place}; then set its {key}: printf %s \"$KEY\" | sealflow webhook set {webhook} --keep-previous 0 -"
        ))
    };
    match sender {
        Sender::Generic => None,
        Sender::Github => take("the repository's or app's Settings, Webhooks; content type application/json"),
        Sender::Gitlab => take("the project's Settings, Webhooks, as URL and secret token"),
        Sender::Bitbucket => take("Repository settings, Webhooks, as URL and secret"),
        Sender::Alertmanager => {
            take("receivers, webhook_configs, as url and http_config.authorization.credentials")
        }
        Sender::Stripe => give("Developers, Webhooks, Add endpoint", "signing secret (whsec_…)"),
        Sender::Slack => {
            give("the app's Slash Commands or Event Subscriptions, as Request URL", "app's signing secret")
        }
        Sender::Shopify => give("the app's webhook subscription", "app's client secret"),
        Sender::Pagerduty => give("Integrations, Generic Webhooks (v3)", "secret, which is shown once"),
        Sender::Twilio => give("the number's or service's webhook URL", "account's auth token"),
        Sender::Linear => give("Settings, API, Webhooks", "signing secret"),
        Sender::StandardWebhooks => give("the service's webhook settings", "signing secret (whsec_…)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sender_says_where() {
        for sender in Sender::ALL.iter().copied() {
            assert_eq!(hint(sender, "w/hook").is_none(), sender == Sender::Generic, "{sender}");
        }
        let stripe = hint(Sender::Stripe, "pay/hook").unwrap();
        assert!(stripe.contains("sealflow webhook set pay/hook --keep-previous 0 -"), "{stripe}");
        assert!(!hint(Sender::Github, "pay/hook").unwrap().contains("webhook set"));
    }
}
