//! The port of OTLP over gRPC: HTTP/2 without TLS, and nothing but calls.
//!
//! Bounded as the other port is: connections, calls on each, time for a body. A peer that no longer answers pings is cut off.

use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::grpc::{self, Frames};
use crate::asker::PeerAddress;
use crate::state::State;

/// Wait after a failed accept, so that the loop does not spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Calls that a connection may have in progress.
const CALLS_MAX: u32 = 64;
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// A peer that is silent for so long is asked whether it is there…
const PING_AFTER: Duration = Duration::from_secs(60);
/// …and has so long to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Accepts connections until `stop`, then lets calls in progress end within the drain timeout.
pub(crate) async fn serve(state: Arc<State>, listener: TcpListener, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(state.settings.connections_max));
    let (connections, cut_off) = (TaskTracker::new(), CancellationToken::new());
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
            listener.accept().await.map(|(socket, peer)| (socket, peer, slot))
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = next => accepted,
        };
        match accepted {
            Ok((socket, peer, slot)) => {
                let connection = connection(Arc::clone(&state), socket, peer, stop.clone());
                let cut_off = cut_off.clone();
                connections.spawn(async move {
                    tokio::select! {
                        () = connection => {}
                        () = cut_off.cancelled() => {}
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a gRPC connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(state.settings.drain_timeout, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "cutting off gRPC calls that did not end in time");
        cut_off.cancel();
        connections.wait().await;
    }
}

async fn connection(state: Arc<State>, socket: TcpStream, peer: SocketAddr, stop: CancellationToken) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch Nagle's algorithm off");
    }
    let begun = Instant::now();
    let heard_ms = Arc::new(AtomicU64::new(0));
    let socket = Heard { socket, begun, heard_ms: Arc::clone(&heard_ms) };
    let idle_timeout = state.settings.idle_timeout;
    let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(PeerAddress(peer));
        let state = Arc::clone(&state);
        async move { Ok::<_, std::convert::Infallible>(guarded(&state, request.map(Body::new)).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(CALLS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = std::pin::pin!(connection);
    let mut told_to_stop = false;
    loop {
        let silent_at = begun + Duration::from_millis(heard_ms.load(Ordering::Relaxed)) + idle_timeout;
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a gRPC connection ended early");
                }
                return;
            }
            () = stop.cancelled(), if !told_to_stop => {
                told_to_stop = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep_until(silent_at) => {
                if Instant::now() >= begun + Duration::from_millis(heard_ms.load(Ordering::Relaxed)) + idle_timeout {
                    tracing::debug!(%peer, "a gRPC connection was silent for too long");
                    return;
                }
            }
        }
    }
}

/// Whatever happens in a call, the connection lives on.
async fn guarded(state: &Arc<State>, request: http::Request<Body>) -> http::Response<Frames> {
    let called = AssertUnwindSafe(grpc::call(state, request)).catch_unwind().await;
    called.unwrap_or_else(|_| {
        state.metrics.panics.inc();
        tracing::error!("a gRPC call panicked");
        grpc::internal_error()
    })
}

/// A socket that notes when it was last heard from.
struct Heard {
    socket: TcpStream,
    begun: Instant,
    /// Since `begun`.
    heard_ms: Arc<AtomicU64>,
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if read.is_ready() {
            self.heard_ms.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Heard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
