//! The management API: what tokens of an organization may see and change.
//!
//! One file a resource under `routes`. Every handler takes the caller from its token, and every
//! statement in `store::api` takes the caller's organization (I6). The API seals secrets and can't
//! open them (I7): there is no way from here to a value.

mod apply;
mod auth;
mod body;
mod cursor;
mod error;
mod guessable;
mod limits;
mod query;
mod routes;
mod secret_body;
mod start;
mod token;
mod views;
mod wakes;
mod webhook_credential;

use definition_check::Deployment;
use process::{Clock, Ids, Metrics};
use queue::Queue;
use store::Store;
use vault_seal::Sealer;

pub use limits::RequestLimits;
pub use routes::{actions, router};

/// The dependencies of the API, made once.
pub struct Deps {
    /// Postgres, as the role `sealflow_api`.
    pub store: Store,
    /// The queues, for wakes.
    pub queue: Queue,
    /// The half of the vault that seals.
    pub sealer: Sealer,
    /// The clock.
    pub clock: Clock,
    /// The source of ids.
    pub ids: Ids,
    /// The base of webhook addresses, without a slash at its end.
    pub public_url: String,
    /// The operator's limits of what an author may ask for.
    pub deployment: Deployment,
    /// The operator's maximum of days for which a run is kept; None: there is none.
    pub retention_days_max: Option<i32>,
    /// How fast callers may be.
    pub limits: RequestLimits,
    /// Counters for the operator.
    pub metrics: Metrics,
}
