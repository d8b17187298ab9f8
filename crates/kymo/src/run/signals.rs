//! What the operating system says: SIGTERM and SIGINT stop, SIGHUP reloads.

use std::sync::Arc;

use api::Control as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};

use super::server::Server;

/// Obeys signals from now on.
pub(super) fn listen(server: &Arc<Server>) -> std::io::Result<JoinHandle<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let server = Arc::clone(server);
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => stop(&server, "SIGTERM"),
                _ = interrupt.recv() => stop(&server, "SIGINT"),
                _ = hang_up.recv() => {
                    let server = Arc::clone(&server);
                    // The result is logged where it arises, and counted.
                    drop(spawn_blocking(move || server.reload()));
                }
            }
        }
    }))
}

/// The first signal stops in order, the second at once.
fn stop(server: &Server, signal: &str) {
    if server.stop.is_cancelled() {
        tracing::warn!(
            signal,
            "told to stop again: ending at once; the journal will be replayed at the next start"
        );
        std::process::exit(1);
    }
    tracing::info!(signal, "told to stop");
    server.stop.cancel();
}
