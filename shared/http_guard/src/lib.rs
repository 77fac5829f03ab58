//! The HTTP client that meets the outside world: every socket address is checked before it is
//! connected to.
//!
//! - Addresses of the special-purpose ranges, of metadata services, of the Lambda runtime and of
//!   the operator's own ranges are refused, whether they are written in the URL in any spelling,
//!   answered by DNS or reached by a redirect. A name is resolved once for each connection, and
//!   what was checked is what is connected to.
//! - No proxy from the environment, no connection that outlives its request, no task in the
//!   background.
//! - Redirects are followed here, so that each hop passes the same checks.
//! - Errors are our own texts: no URL, header, body or foreign error shows in them.

mod address;
mod client;
mod connect;
mod decode;
mod error;
mod exchange;
mod network;
mod request;
mod settings;
mod target;

pub use client::GuardedClient;
pub use error::HttpError;
pub use network::{Network, NetworkFuture, SystemNetwork};
pub use request::{HEADERS_MAX, HOPS_HEADER, REQUEST_BYTES_MAX, Request, Response};
pub use settings::{CONNECT_TIMEOUT, GuardSettings, HEADERS_TIMEOUT, IpRange, SettingsError, TIMEOUT_MAX};
