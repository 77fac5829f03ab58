//! From a delivery to an event: known, authenticated, read, stored, and only then sent.

use domain::ids::{EventId, ItemId};
use std::sync::Arc;

use axum::http::HeaderMap;
use components::webhook::{WebhookConfiguration, WebhookRequest, event_data};
use definition::{ResolveError, RootEnvironment, resolve_deduplication_key, resolve_run_name};
use domain::definition::{DEFAULT_CHANNEL, Definition};
use domain::limits::DEDUPLICATION_KEY_BYTES_MAX;
use domain::message::Message;
use domain::request_headers::{HOPS_HEADER, hop_count};
use jiff::Timestamp;
use queue::Outgoing;
use serde_json::{Value, json};
use store::StoreError;
use store::intake::{Intake, NewRootEvent, StoredWebhook, load_webhook, take_webhook_event};

use crate::answer::Answer;
use crate::authenticate::{Credential, KnownCredentials, authenticate};
use crate::cache::KnownWebhook;
use crate::{Delivery, Deps};

/// Characters of a webhook's address.
const ADDRESS_CHARS: usize = 32;

/// Takes a delivery.
pub async fn take(delivery: &Delivery, deps: &Deps) -> Answer {
    if !is_address(&delivery.address) {
        return Answer::NotFound;
    }
    let header = delivery.headers.get(HOPS_HEADER).and_then(|value| value.to_str().ok());
    let Ok(hops) = hop_count(header) else { return Answer::TooManyHops };
    let now = deps.clock.now();
    let webhook = match authenticated(delivery, now, deps).await {
        Ok(webhook) => webhook,
        Err(answer) => return answer,
    };
    if let Err(too_fast) = deps.rates.take(webhook.stored.id, now) {
        return Answer::TooFast(too_fast);
    }
    let event_id = deps.ids.next(now);
    match store_event(delivery, &webhook, event_id, hops, now, deps).await {
        Stored::Answer(answer) => answer,
        // The webhook or its workflow changed: reload once, and check the credential again with what it is now.
        Stored::Stale => match reloaded(delivery, now, deps).await {
            Ok(webhook) => match store_event(delivery, &webhook, event_id, hops, now, deps).await {
                Stored::Answer(answer) => answer,
                Stored::Stale => Answer::Unavailable,
            },
            Err(answer) => answer,
        },
    }
}

/// 128 bits in hex. Anything else is nobody's, and is not looked up: the database refuses some of it loudly.
fn is_address(text: &str) -> bool {
    text.len() == ADDRESS_CHARS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

async fn authenticated(
    delivery: &Delivery,
    now: Timestamp,
    deps: &Deps,
) -> Result<Arc<KnownWebhook>, Answer> {
    let known = match deps.cache.get(&delivery.address, now) {
        Some(known) => known.ok_or(Answer::NotFound)?,
        None => load(delivery, now, deps).await?,
    };
    let credential = authenticate(delivery, &known, now, deps).await;
    // Perhaps its key was rotated since, or moved to another KMS key: look, but at most once a second for each address.
    if credential != Credential::Good && deps.cache.may_reload(&delivery.address, now) {
        return reloaded(delivery, now, deps).await;
    }
    known_by(credential, known)
}

async fn reloaded(delivery: &Delivery, now: Timestamp, deps: &Deps) -> Result<Arc<KnownWebhook>, Answer> {
    let webhook = load(delivery, now, deps).await?;
    known_by(authenticate(delivery, &webhook, now, deps).await, webhook)
}

fn known_by(credential: Credential, webhook: Arc<KnownWebhook>) -> Result<Arc<KnownWebhook>, Answer> {
    match credential {
        Credential::Good => Ok(webhook),
        Credential::Bad => Err(Answer::Unauthorized),
        Credential::Unknown => Err(Answer::Unavailable),
    }
}

async fn load(delivery: &Delivery, now: Timestamp, deps: &Deps) -> Result<Arc<KnownWebhook>, Answer> {
    let stored = load_webhook(&deps.store, &delivery.address).await.map_err(|error| unavailable(&error))?;
    let webhook = stored.map(|stored| Arc::new(know(stored)));
    deps.cache.insert(&delivery.address, webhook.clone(), now);
    webhook.ok_or(Answer::NotFound)
}

/// What is made of a stored webhook.
fn know(mut stored: StoredWebhook) -> KnownWebhook {
    let (nodes, edges) = (stored.nodes.take(), stored.edges.take());
    let definition_bytes = nodes.to_string().len() + edges.to_string().len();
    let definition: Option<Definition> = serde_json::from_value(json!({
        "name": stored.workflow_name,
        "description": stored.workflow_description,
        "nodes": nodes,
        "edges": edges,
    }))
    .ok();
    let compiled = definition.map(|definition| definition::compile(&definition));
    KnownWebhook { stored, compiled, definition_bytes }
}

fn unavailable(error: &StoreError) -> Answer {
    if error.is_retryable() {
        // That there is no connection was told where it was tried.
        tracing::warn!(%error, "the database is unavailable");
    } else {
        tracing::error!(%error, "the database can't be used as it is");
    }
    Answer::Unavailable
}

enum Stored {
    Answer(Answer),
    Stale,
}

async fn store_event(
    delivery: &Delivery,
    webhook: &KnownWebhook,
    event_id: EventId,
    hops: i32,
    now: Timestamp,
    deps: &Deps,
) -> Stored {
    let Some(compiled) = &webhook.compiled else { return Stored::Answer(Answer::Unavailable) };
    let stored = &webhook.stored;
    let credentials = KnownCredentials::of(delivery, stored, deps.cache.keys.get(stored, now));
    let data = match read_data(delivery, webhook, &credentials) {
        Ok(data) => data,
        Err(answer) => return Stored::Answer(answer),
    };
    let Ok(header_key) = deduplication_key(&delivery.headers, stored.deduplication_header.as_deref()) else {
        return Stored::Answer(Answer::BadKey);
    };
    let header_key = header_key.filter(|key| !credentials.stand_in(key));
    let (custom_name, template_key) = templates(webhook, &data, now);
    let key = header_key.or(template_key);
    let targets: Vec<(String, ItemId)> = compiled
        .targets(&stored.node_id, DEFAULT_CHANNEL)
        .map(|target| (target.to_owned(), deps.ids.next(now)))
        .collect();
    let event = NewRootEvent {
        id: event_id,
        webhook: stored,
        data: &data,
        custom_name: custom_name.as_deref(),
        targets: &targets,
        hops,
        deduplication_key: key.as_deref(),
    };
    Stored::Answer(match take_webhook_event(&deps.store, &event, now).await {
        Ok(Intake::Taken) => {
            tracing::info!(
                run_id = %event_id,
                workflow_id = %stored.workflow_id,
                organization_id = %stored.organization_id,
                "accepted"
            );
            if !targets.is_empty() {
                let message = Outgoing::now(stored.organization_id, Message::Event { event_id });
                if !deps.queue.send(vec![message]).await.unsent.is_empty() {
                    tracing::warn!(run_id = %event_id, "the wake was not sent; the sweeper makes it good");
                }
            }
            Answer::Accepted(event_id)
        }
        Ok(Intake::Duplicate(first)) => Answer::Accepted(first),
        Ok(Intake::Full) => Answer::Full,
        Ok(Intake::Stale) => return Stored::Stale,
        Err(error) => unavailable(&error),
    })
}

fn read_data(
    delivery: &Delivery,
    webhook: &KnownWebhook,
    credentials: &KnownCredentials<'_>,
) -> Result<Value, Answer> {
    let node = webhook.compiled.as_ref().and_then(|compiled| compiled.stored_node(&webhook.stored.node_id));
    let configuration = node
        .and_then(|node| WebhookConfiguration::read(&node.configuration).ok())
        .ok_or(Answer::Unavailable)?;
    let headers: Vec<(String, String)> = delivery
        .headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let request = WebhookRequest {
        method: delivery.method.as_str(),
        headers: &headers,
        query: &delivery.query,
        body: &delivery.body,
        holds_credential: &|text| credentials.stand_in(text),
    };
    let data = event_data(&configuration, &request).map_err(Answer::BadBody)?;
    // Headers and query come on top of the body's limit.
    if domain::json::compact_bytes(&data) > domain::limits::EVENT_DATA_BYTES_MAX {
        return Err(Answer::TooLarge);
    }
    Ok(data)
}

/// Read after authentication, scoped to the one webhook.
fn deduplication_key(headers: &HeaderMap, header: Option<&str>) -> Result<Option<String>, ()> {
    let Some(name) = header else { return Ok(None) };
    let value = headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    match value {
        Some(value) if value.len() > DEDUPLICATION_KEY_BYTES_MAX => Err(()),
        value => Ok(value.map(str::to_owned)),
    }
}

/// What the trigger's templates come to: the run's name and the deduplication key. One that fails leaves the run without a name, or
/// the event without a key; neither ever refuses an event.
fn templates(webhook: &KnownWebhook, data: &Value, now: Timestamp) -> (Option<String>, Option<String>) {
    let node_id = &webhook.stored.node_id;
    let Some(Ok(node)) = webhook.compiled.as_ref().and_then(|compiled| compiled.node(node_id)) else {
        return (None, None);
    };
    let environment = RootEnvironment { data, event_type: "webhook", created_at: now };
    let failed = |error: &ResolveError| {
        tracing::info!(node_id, field = error.field, "a template of the trigger can't be resolved");
    };
    let name = resolve_run_name(node, &environment).and_then(|name| name.inspect_err(failed).ok());
    (name, resolve_deduplication_key(node, &environment).inspect_err(failed).ok().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deduplication_key_has_a_limit_on_both_sides_i10() {
        let key = |bytes: usize| {
            let mut headers = HeaderMap::new();
            headers.insert("x-delivery", "k".repeat(bytes).parse().unwrap());
            deduplication_key(&headers, Some("x-delivery")).map(|key| key.map(|key| key.len()))
        };
        assert_eq!(key(DEDUPLICATION_KEY_BYTES_MAX), Ok(Some(DEDUPLICATION_KEY_BYTES_MAX)));
        assert_eq!(key(DEDUPLICATION_KEY_BYTES_MAX + 1), Err(()));
        assert_eq!(key(0), Ok(None), "an empty header is none");
        assert_eq!(deduplication_key(&HeaderMap::new(), Some("x-delivery")), Ok(None));
        assert_eq!(deduplication_key(&HeaderMap::new(), None), Ok(None));
    }
}
