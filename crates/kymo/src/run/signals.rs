//! What the operating system says: SIGTERM and SIGINT stop, SIGHUP reloads.

use std::sync::Arc;
use std::time::{Duration, Instant};

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
    let mut told = None;
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => stop(&server, "SIGTERM", &mut told),
                _ = interrupt.recv() => stop(&server, "SIGINT", &mut told),
                _ = hang_up.recv() => {
                    let server = Arc::clone(&server);
                    // The result is logged where it arises, and counted.
                    drop(spawn_blocking(move || server.reload()));
                }
            }
        }
    }))
}

/// A signal this soon after the first is the same wish: `timeout`, shells and process supervisors signal a process and then
/// its group, so that it comes twice.
const SAME_WISH: Duration = Duration::from_secs(1);

/// The first signal stops in order, a later one at once.
fn stop(server: &Server, signal: &str, told: &mut Option<Instant>) {
    match told {
        None => {
            *told = Some(Instant::now());
            server.stop.cancel();
            tracing::info!(signal, "told to stop");
        }
        Some(first) if first.elapsed() < SAME_WISH => {}
        Some(_) => {
            tracing::warn!(
                signal,
                "told to stop again: ending at once; the journal will be replayed at the next start"
            );
            std::process::exit(1);
        }
    }
}
