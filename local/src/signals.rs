//! The signals that end a program.

use std::future::pending;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C, SIGTERM or the terminal's end.
pub async fn stop_signal() {
    tokio::select! {
        () = one(SignalKind::interrupt()) => {}
        () = one(SignalKind::terminate()) => {}
        () = one(SignalKind::hangup()) => {}
    }
}

async fn one(kind: SignalKind) {
    match signal(kind) {
        Ok(mut signals) => {
            signals.recv().await;
        }
        // A signal that can't be listened for ends the program in its default way, and the janitor
        // cleans up.
        Err(_) => pending().await,
    }
}
