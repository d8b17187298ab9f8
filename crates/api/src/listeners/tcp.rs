//! TCP: one task a connection, a bounded number of them, none that is silent for ever; and lines over it.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use memchr::{memchr, memrchr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Endpoint;
use super::lines::{Gathering, Reply};

/// Connections of one listener at one time; further ones wait in the system's backlog.
const CONNECTIONS_MAX: usize = 512;
/// A longer line ends its connection.
const LINE_BYTES_MAX: usize = 64 << 10;
/// What is gathered is handed over at this size, or after [`LINGER`].
const GATHERED_BYTES_MAX: usize = 128 << 10;
/// How long a sample may wait for company.
const LINGER: Duration = Duration::from_millis(500);
/// How long a client may be held up by a full queue.
const PATIENCE: Duration = Duration::from_secs(1);
/// Wait after a failed accept (no file descriptor left), so that the loop does not spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves lines on each connection that comes.
pub(super) async fn accept_lines(
    listener: TcpListener,
    endpoint: Endpoint,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    let ends = stop.clone();
    let serve = move |socket, peer| {
        let (mut endpoint, stop) = (endpoint.clone(), ends.clone());
        endpoint.source.address = Some(peer);
        async move {
            if let Err(error) = serve(socket, &endpoint, &stop).await {
                tracing::debug!(%error, protocol = %endpoint.source.protocol, "a connection ended early");
            }
        }
    };
    accept(listener, stop, tasks, serve).await;
}

/// Has each connection that comes served, until it is told to stop.
pub(super) async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    stop: CancellationToken,
    tasks: TaskTracker,
    serve: impl Fn(TcpStream, IpAddr) -> F,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
            listener.accept().await.map(|accepted| (accepted, slot))
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = next => accepted,
        };
        match accepted {
            Ok(((socket, peer), slot)) => {
                let served = serve(socket, peer.ip().to_canonical());
                tasks.spawn(async move {
                    served.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn serve(mut socket: TcpStream, endpoint: &Endpoint, stop: &CancellationToken) -> io::Result<()> {
    let mut gathering = Gathering::new();
    let mut patient = true;
    let mut buffer = Vec::with_capacity(16 << 10);
    let mut hand_over_at: Option<Instant> = None;
    let idle_timeout = endpoint.state.settings.idle_timeout;
    let ended = loop {
        let idle_at = Instant::now() + idle_timeout;
        let deadline = hand_over_at.unwrap_or(idle_at);
        let read = tokio::select! {
            () = stop.cancelled() => break Ok(()),
            read = timeout_at(deadline, socket.read_buf(&mut buffer)) => read,
        };
        match read {
            Ok(Ok(0)) => break Ok(()),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => break Err(error),
            Err(_) if hand_over_at.is_some() => {
                hand_over_at = None;
                hand_over(&mut gathering, endpoint, &mut patient).await;
                continue;
            }
            Err(_) => break Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came for too long")),
        }
        let (replies, goes_on) = take_lines(&mut buffer, &mut gathering, endpoint);
        if !replies.is_empty() {
            let patience = endpoint.state.settings.stall_timeout;
            if !matches!(tokio::time::timeout(patience, socket.write_all(&replies)).await, Ok(Ok(()))) {
                break Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no answers"));
            }
        }
        if !goes_on {
            break Ok(());
        }
        if gathering.size_bytes() >= GATHERED_BYTES_MAX {
            hand_over_at = None;
            hand_over(&mut gathering, endpoint, &mut patient).await;
        } else if !gathering.is_empty() && hand_over_at.is_none() {
            hand_over_at = Some(Instant::now() + LINGER);
        }
    };
    // The last line may lack its newline.
    if ended.is_ok() && !buffer.is_empty() && buffer.len() <= LINE_BYTES_MAX {
        gathering.add(endpoint, &buffer);
    }
    hand_over(&mut gathering, endpoint, &mut patient).await;
    ended
}

/// Takes all whole lines out of the buffer. Returns what to answer, and whether the connection goes on.
fn take_lines(buffer: &mut Vec<u8>, gathering: &mut Gathering, endpoint: &Endpoint) -> (Vec<u8>, bool) {
    let mut replies = Vec::new();
    let whole = memrchr(b'\n', buffer).map_or(0, |at| at + 1);
    let mut rest = &buffer[..whole];
    while let Some(end) = memchr(b'\n', rest) {
        match gathering.add(endpoint, &rest[..end]) {
            Reply::Nothing => {}
            Reply::Text(text) => replies.extend_from_slice(text.as_bytes()),
            Reply::Close => {
                buffer.clear();
                return (replies, false);
            }
        }
        rest = &rest[end + 1..];
    }
    buffer.drain(..whole);
    if buffer.len() > LINE_BYTES_MAX {
        gathering.refuse("too_long", "a line is longer than 64 KiB; the connection is closed");
        buffer.clear();
        return (replies, false);
    }
    (replies, true)
}

/// Waits a moment while the queue is full, and the client is read no further meanwhile. If there is no room then, what was gathered is thrown away and
/// counted, and so is what follows until there is room again: a storage that hangs must not hang those who are measured.
async fn hand_over(gathering: &mut Gathering, endpoint: &Endpoint, patient: &mut bool) {
    if gathering.is_empty() {
        return;
    }
    // It is there already; whoever comes next is refused instead.
    let held = endpoint.budget().reserve_anyway(gathering.batch_bytes());
    let parcel = gathering.take(endpoint, held);
    let patience = if *patient { PATIENCE } else { Duration::ZERO };
    match endpoint.queue.send_timeout(parcel, patience).await {
        Ok(()) => *patient = true,
        Err(SendTimeoutError::Timeout(parcel)) => {
            *patient = false;
            endpoint.dropped("queue_full", parcel.batch.sample_count());
            endpoint.state.intake.give_back(parcel.batch);
        }
        Err(SendTimeoutError::Closed(_)) => tracing::debug!("a listener's last lines came after the end"),
    }
}
