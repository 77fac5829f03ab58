//! Loopback ports.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::child::Process;

/// A loopback port that was free a moment ago. Another process may take it before it is used, so
/// callers that hand it to a child try again with another.
///
/// # Errors
///
/// When the machine has none left.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free loopback port")?;
    Ok(listener.local_addr()?.port())
}

/// Waits until something accepts connections on a loopback port.
///
/// # Errors
///
/// When the process ends first, or after `limit`.
pub async fn await_listening(process: &Process, port: u16, limit: Duration) -> Result<()> {
    let until = Instant::now() + limit;
    loop {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Ok(());
        }
        if let Some(status) = process.exit_status() {
            bail!("{process} ended at its start ({status})");
        }
        if Instant::now() > until {
            bail!("{process} accepted no connection within {} s", limit.as_secs());
        }
        sleep(Duration::from_millis(10)).await;
    }
}
