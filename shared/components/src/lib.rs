//! The components and triggers: one file each, found through one registry.
//!
//! This crate does no I/O. Each kind of component has a trait: a [`Pure`] one is a plain function
//! from its resolved configuration and its input to an outcome; an [`Effect`] uses its declared
//! capabilities through a [`Host`], which the executor implements over the guarded HTTP client; a
//! [`Held`] one stays open, and plain functions open and wake it; a [`Join`] stays open until branches
//! have arrived. The crate must have no client, no
//! clock and no secret store.
//!
//! A new component needs its own file, a line here, and a line in the list of `registry.rs`.

pub mod approval;
mod blueprint;
mod civil;
mod component;
pub mod credential;
mod credential_names;
mod effect;
mod filter;
mod for_each;
mod headers;
mod held;
mod host;
mod http;
#[path = "if.rs"]
mod if_;
mod join;
mod levels;
#[path = "loop/mod.rs"]
mod loop_;
mod merge;
mod merges;
mod noop;
pub mod on_error;
mod owner;
mod pure;
mod registry;
pub mod run_workflow;
pub mod schedule;
mod shape;
mod start;
mod stop;
pub mod suggest;
mod switch;
mod time_gate;
mod transform;
mod trigger;
mod wait;
mod wait_for_callback;
pub mod webhook;

pub use component::{Component, FieldRule, FieldSpec, Problem, field_rule};
pub use effect::{Call, Effect, SecretPlace};
pub use held::{Emission, EmissionData, Held, HeldCall, Opening, Step, Then, Woken};
pub use host::{
    BoxFuture, Capability, Host, HttpBody, HttpClient, HttpFailure, HttpHead, HttpRequest, HttpResponse,
};
pub use join::{Arrival, Join, Joined, JoinedEvent};
pub use levels::Levels;
pub use merges::merges_of;
pub use owner::{EndedSubRun, Owned, Owner, OwnerOpening, OwnerStep, Results, SubRunStart};
pub use pure::Pure;
pub use registry::{
    AnyComponent, blueprint_entry, component, component_names, concurrency_max, effect, held, join, owner,
    owner_names, pure, trigger, trigger_names,
};
pub use trigger::{Resource, Trigger, trigger_template_kind};
pub use wait_for_callback::{CALLBACK_SCHEMA, address_digest};
