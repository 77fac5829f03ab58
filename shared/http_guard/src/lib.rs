//! The HTTP client for the outside world: every socket address is checked before a connection to
//! it.
//!
//! - Addresses of the special-purpose ranges, of metadata services, of the Lambda runtime and of
//!   the operator's own ranges are refused, whether they are written in the URL in any spelling,
//!   answered by DNS or reached by a redirect. A name is resolved once for each connection, so the
//!   client connects to exactly the checked addresses.
//! - The client uses no proxy from the environment. No connection outlives its request, and no task
//!   runs in the background.
//! - Redirects are followed here, so that each hop passes the same checks.
//! - Errors have our own texts: they quote no URL, header, body or foreign error.

mod address;
mod allowed_hosts;
mod allowed_target;
mod client;
mod connect;
mod cookies;
mod error;
mod exchange;
mod network;
mod redirects;
mod request;
mod settings;
mod target;
mod tls;

pub use allowed_target::AllowedTarget;
pub use client::GuardedClient;
pub use error::{Failed, Head, HttpError};
pub use network::{Network, NetworkFuture, SystemNetwork};
pub use request::{HEADERS_MAX, HOPS_HEADER, REQUEST_BYTES_MAX, Redirects, Request, Response};
pub use settings::{CONNECT_TIMEOUT, GuardSettings, IpRange, SettingsError, TIMEOUT_MAX};
pub use tls::{ClientCertificate, RequestTls};
