//! From a delivery to an event. The webhook is loaded, the delivery is authenticated and read, the
//! event is stored, and only then its message is sent.

use domain::ids::{EventId, ItemId};
use domain::json::weight;
use std::sync::Arc;

use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, HeaderValue, Method};
use components::webhook::{
    Asked, FASTEST, RESPONSE, WebhookConfiguration, WebhookRequest, WebhookResponse, event_data,
    handshake_answer,
};
use definition::plan_root;
use domain::definition::Definition;
use domain::limits::{DEDUPLICATION_KEY_BYTES_MAX, WEBHOOK_BODY_BYTES_MAX};
use domain::message::Message;
use domain::request_headers::{HOPS_HEADER, hop_count};
use http_content::{CodingError, decode};
use jiff::Timestamp;
use queue::Outgoing;
use serde_json::{Value, json};
use store::StoreError;
use store::intake::{BeginOutcome, NewRun, StoredWebhook, WebhookDelivery, begin_run, load_webhook};

use crate::answer::Answer;
use crate::authenticate::{Credential, KnownCredentials, authenticate};
use crate::cache::KnownWebhook;
use crate::{Delivery, Deps, callback};

/// Characters of a webhook's address.
const ADDRESS_CHARS: usize = 32;

/// Accepts or refuses a delivery.
pub async fn take(delivery: &Delivery, deps: &Deps) -> Answer {
    if let Some(execution_id) = callback::execution_of(&delivery.address) {
        return callback::take(execution_id, delivery, deps).await;
    }
    if !is_hex(&delivery.address, ADDRESS_CHARS) {
        return Answer::NotFound;
    }
    if let Some(answer) = unauthenticated_handshake(delivery, deps).await {
        return answer;
    }
    let header = delivery.headers.get(HOPS_HEADER).and_then(|value| value.to_str().ok());
    let Ok(hops) = hop_count(header) else { return Answer::TooManyHops };
    let now = deps.clock.now();
    let webhook = match authenticated(delivery, now, deps).await {
        Ok(webhook) => webhook,
        Err(answer) => return answer,
    };
    if webhook.stored.is_suspended {
        return Answer::Suspended;
    }
    let rate = webhook.configuration.as_ref().map_or(FASTEST, |configuration| configuration.rate);
    let rate = rate.at_most(deps.rate_max);
    if let Err(too_fast) = deps.rates.take(webhook.stored.id, rate, now) {
        return Answer::TooFast(too_fast);
    }
    if let Some(answer) = authenticated_handshake(delivery, &webhook) {
        return answer;
    }
    let event_id = deps.ids.next(now);
    // A delivery that is not wanted is looked at by no statement that compares versions, so only a
    // webhook that was just loaded may say so.
    let is_fresh = !deps.cache.may_reload(&delivery.address, now);
    match store_event(delivery, &webhook, event_id, hops, is_fresh, now, deps).await {
        Stored::Answer(answer) => answer,
        // The webhook or its workflow changed: reload once, and check the credential against the
        // new row.
        Stored::Stale => match reloaded(delivery, now, deps).await {
            Ok(webhook) => match store_event(delivery, &webhook, event_id, hops, true, now, deps).await {
                Stored::Answer(answer) => answer,
                Stored::Stale => Answer::Unavailable,
            },
            Err(answer) => answer,
        },
    }
}

/// The answer to a handshake that comes without a credential, and to any other request that is no
/// delivery.
async fn unauthenticated_handshake(delivery: &Delivery, deps: &Deps) -> Option<Answer> {
    let is_asked = delivery.method != Method::POST;
    if is_asked && !matches!(delivery.method, Method::GET | Method::HEAD) {
        return Some(Answer::WrongMethod);
    }
    if !is_asked && delivery.query.is_empty() {
        return None;
    }
    let now = deps.clock.now();
    let webhook = match deps.cache.get(&delivery.address, now) {
        Some(Some(known)) => known,
        Some(None) => return Some(Answer::NotFound),
        None => match load(delivery, now, deps).await {
            Ok(known) => known,
            Err(answer) => return Some(answer),
        },
    };
    let configuration = webhook.configuration.as_ref()?;
    handshake(delivery, configuration, None).or(is_asked.then_some(Answer::WrongMethod))
}

fn handshake(
    delivery: &Delivery,
    configuration: &WebhookConfiguration,
    body: Option<&[u8]>,
) -> Option<Answer> {
    let header =
        |name: &str| Some(String::from_utf8_lossy(delivery.headers.get(name)?.as_bytes()).into_owned());
    let (method, query) = (delivery.method.as_str(), delivery.query.as_str());
    let asked = Asked { method, query, header: &header, body };
    handshake_answer(configuration, &asked).map(Answer::Handshake)
}

/// The body without its content coding; None where it has none. Only the body of a delivery that is
/// authentic is inflated, for the signature is of the bytes on the wire.
fn inflated(delivery: &Delivery) -> Result<Option<Vec<u8>>, CodingError> {
    let codings = delivery.headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    decode(codings, &delivery.body, WEBHOOK_BODY_BYTES_MAX)
}

/// The answer to a handshake that carries the webhook's credential.
fn authenticated_handshake(delivery: &Delivery, webhook: &KnownWebhook) -> Option<Answer> {
    let configuration = webhook.configuration.as_ref()?;
    if configuration.handshakes.is_empty() {
        return None;
    }
    let inflated = inflated(delivery).ok()?;
    let body = inflated.as_deref().unwrap_or(&delivery.body);
    handshake(delivery, configuration, Some(body))
}

/// Whether a text is so many digits in hex. Another text is no address, and is not looked up: the
/// database would log an error for some of them.
pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
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
    // The key may have been rotated, or moved to another KMS key: reload, at most once a second for
    // each address.
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
        Credential::Old => Err(Answer::TooOld),
        Credential::Unknown => Err(Answer::Unavailable),
    }
}

async fn load(delivery: &Delivery, now: Timestamp, deps: &Deps) -> Result<Arc<KnownWebhook>, Answer> {
    let stored = load_webhook(&deps.store, &delivery.address).await.map_err(|error| unavailable(&error))?;
    let webhook = stored.map(|stored| Arc::new(know(stored)));
    deps.cache.insert(&delivery.address, webhook.clone(), now);
    webhook.ok_or(Answer::NotFound)
}

/// The webhook for the cache, made of the stored one.
fn know(mut stored: StoredWebhook) -> KnownWebhook {
    let (nodes, edges) = (stored.nodes.take(), stored.edges.take());
    let definition_weight = weight(&nodes) + weight(&edges);
    let definition: Option<Definition> = serde_json::from_value(json!({
        "name": stored.workflow_name,
        "description": stored.workflow_description,
        "nodes": nodes,
        "edges": edges,
    }))
    .ok();
    let compiled = definition.map(|definition| definition::compile(&definition));
    let node = compiled.as_ref().and_then(|compiled| compiled.stored_node(&stored.node_id));
    let configuration = node.and_then(|node| WebhookConfiguration::read(&node.configuration).ok());
    KnownWebhook { stored, compiled, configuration, definition_weight }
}

pub(crate) fn unavailable(error: &StoreError) -> Answer {
    if error.is_retryable() {
        // A failed connection was already logged where it was tried.
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
    is_fresh: bool,
    now: Timestamp,
    deps: &Deps,
) -> Stored {
    let (Some(compiled), Some(configuration)) = (&webhook.compiled, &webhook.configuration) else {
        return Stored::Answer(Answer::Unavailable);
    };
    let stored = &webhook.stored;
    let opened = deps.cache.keys.get(stored, now);
    let credentials = KnownCredentials::of(delivery, stored, configuration, opened);
    let data = match read_data(delivery, configuration, &|text| credentials.stand_in(text)) {
        Ok(data) => data,
        Err(answer) => return Stored::Answer(answer),
    };
    let Ok(header_key) = deduplication_key(&delivery.headers, stored.deduplication_header.as_deref()) else {
        return Stored::Answer(Answer::BadKey);
    };
    let header_key = header_key.filter(|key| !credentials.stand_in(key));
    let Some(node) = compiled.stored_node(&stored.node_id) else {
        return Stored::Answer(Answer::Unavailable);
    };
    let Some(trigger) = compiled.node(&stored.node_id) else { return Stored::Answer(Answer::Unavailable) };
    let plan = plan_root(node, trigger, compiled.edges(), &data, now);
    for field in &plan.failed {
        tracing::info!(node_id = node.id, field, "a template of the trigger can't be resolved");
    }
    let said = plan.response.as_ref().and_then(WebhookResponse::of);
    if !plan.is_wanted && !is_fresh {
        return Stored::Stale;
    }
    if !plan.is_wanted {
        // A trigger with a `response` has a sender that reads it: an empty one says nothing.
        let has_response = node.configuration.pointer(RESPONSE).is_some();
        let nothing = WebhookResponse { status: 200, headers: Vec::new(), body: String::new() };
        return Stored::Answer(if has_response { Answer::Said(nothing) } else { Answer::NotWanted });
    }
    let data_key = || data_key(&data, configuration.deduplication_data);
    let key = header_key.or(plan.deduplication_key).or_else(data_key);
    let item_ids: Vec<ItemId> = plan.root.targets.iter().map(|_| deps.ids.next(now)).collect();
    let run = NewRun {
        event_id,
        organization_id: stored.organization_id,
        workflow_id: stored.workflow_id,
        version_planned: stored.workflow_version,
        node_id: &stored.node_id,
        planned: &plan.root,
        data: &data,
        item_ids: &item_ids,
        hops,
        delivery: Some(WebhookDelivery {
            webhook_id: stored.id,
            version: stored.version,
            deduplication_key: key.as_deref(),
        }),
        now,
    };
    Stored::Answer(match begin_run(&deps.store, &run).await {
        Ok(BeginOutcome::Begun(due)) => {
            tracing::info!(
                run_id = %event_id,
                workflow_id = %stored.workflow_id,
                organization_id = %stored.organization_id,
                "accepted"
            );
            if !item_ids.is_empty() {
                let message = Outgoing::now(stored.organization_id, Message::Event { event_id });
                let run = Message::Run { run_id: event_id.into() };
                let later = due.and_then(|due| Outgoing::after(stored.organization_id, run, due));
                let messages = std::iter::once(message).chain(later).collect();
                if !deps.queue.send(messages).await.unsent.is_empty() {
                    tracing::warn!(run_id = %event_id, "the wake was not sent; the sweeper sends it again");
                }
            }
            said.map_or(Answer::Accepted(event_id), Answer::Said)
        }
        Ok(BeginOutcome::Duplicate(first)) => said.map_or(Answer::Repeated(first), Answer::Said),
        Ok(BeginOutcome::Full) => Answer::Full,
        Ok(BeginOutcome::Outdated) => return Stored::Stale,
        Err(error) => unavailable(&error),
    })
}

pub(crate) fn read_data(
    delivery: &Delivery,
    configuration: &WebhookConfiguration,
    holds_credential: &dyn Fn(&str) -> bool,
) -> Result<Value, Answer> {
    let headers: Vec<(String, String)> = delivery
        .headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let inflated = match inflated(delivery) {
        Ok(inflated) => inflated,
        Err(CodingError::TooLarge) => return Err(Answer::TooLarge),
        Err(error @ CodingError::Invalid) => return Err(Answer::BadBody(error.into())),
    };
    let request = WebhookRequest {
        method: delivery.method.as_str(),
        headers: &headers,
        query: &delivery.query,
        body: inflated.as_deref().unwrap_or(&delivery.body),
        holds_credential,
    };
    let data = event_data(configuration, &request).map_err(Answer::BadBody)?;
    // The limit of the body does not count headers and query.
    if domain::json::compact_bytes(&data) > domain::limits::EVENT_DATA_BYTES_MAX {
        return Err(Answer::TooLarge);
    }
    Ok(data)
}

/// The deduplication key of a sender that puts the delivery's id into its body. A value that can be
/// none refuses no event.
fn data_key(data: &Value, pointer: Option<&str>) -> Option<String> {
    let key = match data.pointer(pointer?)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (1..=DEDUPLICATION_KEY_BYTES_MAX).contains(&key.len()).then_some(key)
}

/// The deduplication key from a header. It is read after authentication, and is compared only with
/// keys of the same webhook. Err: it is too long.
fn deduplication_key(headers: &HeaderMap, header: Option<&str>) -> Result<Option<String>, ()> {
    let Some(name) = header else { return Ok(None) };
    let value = headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty());
    match value {
        Some(value) if value.len() > DEDUPLICATION_KEY_BYTES_MAX => Err(()),
        value => Ok(value.map(str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_the_body_is_text_or_a_number_within_its_limit_on_both_sides_i10() {
        let key = |id: Value| data_key(&json!({ "body": { "id": id } }), Some("/body/id"));
        assert_eq!(key(json!("evt_1")).as_deref(), Some("evt_1"));
        assert_eq!(key(json!(7)).as_deref(), Some("7"));
        assert!(key(json!("k".repeat(DEDUPLICATION_KEY_BYTES_MAX))).is_some());
        assert!(key(json!("k".repeat(DEDUPLICATION_KEY_BYTES_MAX + 1))).is_none());
        for none in [json!(""), json!(null), json!([1]), json!({})] {
            assert_eq!(key(none), None);
        }
        assert_eq!(data_key(&json!({}), Some("/body/id")), None);
        assert_eq!(data_key(&json!({ "body": { "id": 1 } }), None), None);
    }

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
