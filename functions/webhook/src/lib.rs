//! The public intake: `POST /hooks/{address}` → 202 with the event's id.
//!
//! The intake is apart from the API. Its database role reads no secret, no execution and no event.
//! It opens signing keys of webhooks and nothing else. A refused delivery leaves nothing stored.

mod answer;
mod authenticate;
mod cache;
mod callback;
mod deliveries;
mod intake;
mod keys;

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::any;
use domain::ids::WebhookId;
use domain::limits::WEBHOOK_BODY_BYTES_MAX;
use domain::rate::Rate;
use futures_util::FutureExt as _;
use process::{Clock, Ids, Metric, Metrics, RateLimits};
use queue::Queue;
use store::Store;
use vault_open::Opener;

pub use answer::Answer;
pub use cache::WebhookCache;
pub use deliveries::Deliveries;

/// The dependencies of the function, made once.
pub struct Deps {
    /// Postgres.
    pub store: Store,
    /// The queues.
    pub queue: Queue,
    /// Opens signing keys.
    pub opener: Opener,
    /// The clock.
    pub clock: Clock,
    /// The source of ids.
    pub ids: Ids,
    /// The webhooks that this instance has cached.
    pub cache: WebhookCache,
    /// The rate limits of the webhooks.
    pub rates: RateLimits<WebhookId>,
    /// The operator's maximum for each webhook.
    pub rate_max: Rate,
    /// The counts of deliveries.
    pub deliveries: Deliveries,
    /// Counters for the operator.
    pub metrics: Metrics,
}

/// A request as it arrived.
pub(crate) struct Delivery {
    pub address: String,
    pub method: Method,
    pub headers: HeaderMap,
    pub query: String,
    /// The whole URL, as far as the sender's own spelling is known.
    pub url: String,
    pub body: Bytes,
}

/// The routes of the function.
pub fn router(deps: &'static Deps) -> Router {
    Router::new()
        .route("/hooks/{address}", any(receive))
        .fallback(async || Answer::NotFound)
        // `receive` checks the limit and answers; this layer only stops the reading of a larger
        // body.
        .layer(DefaultBodyLimit::max(WEBHOOK_BODY_BYTES_MAX + 1))
        .layer(from_fn_with_state(deps, around))
        .with_state(deps)
}

/// Writes the metrics after each request.
async fn around(State(deps): State<&'static Deps>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    deps.metrics.count(Metric::KmsCalls, deps.opener.take_calls());
    deps.metrics.count(Metric::DatabaseConnects, deps.store.take_connects());
    deps.metrics.write(deps.clock.now());
    response
}

/// The URL that the sender called, which some senders sign. A gateway ends TLS, and says so.
fn called_url(headers: &HeaderMap, address: &str, query: &str) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = text("x-forwarded-proto").unwrap_or("http");
    let host = text("host").unwrap_or_default();
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    format!("{scheme}://{host}/hooks/{address}{query}")
}

async fn receive(
    State(deps): State<&'static Deps>,
    Path(address): Path<String>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Answer {
    let now = deps.clock.now();
    let answer = match body {
        Ok(body) if body.len() <= WEBHOOK_BODY_BYTES_MAX => {
            let query = query.unwrap_or_default();
            let url = called_url(&headers, &address, &query);
            let delivery = Delivery { address: address.clone(), method, headers, query, url, body };
            // A panic's message may quote the body, and the runtime would send the message on. The
            // panic hook has logged the place.
            let taking = AssertUnwindSafe(intake::take(&delivery, deps)).catch_unwind();
            taking.await.unwrap_or(Answer::Unavailable)
        }
        _ => Answer::TooLarge,
    };
    // A made-up address is of nobody, and costs no write.
    if let Some(Some(known)) = deps.cache.get(&address, now) {
        deps.deliveries.note(known.stored.id, &answer, now, &deps.store).await;
    }
    answer
}
