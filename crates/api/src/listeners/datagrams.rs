//! Lines in datagrams, of UDP or a Unix socket: read as they come, never waiting for storage.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use memchr::memchr_iter;
use tokio::net::{UdpSocket, UnixDatagram};
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Endpoint;
use super::lines::Gathering;

/// No datagram is longer.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// What is gathered is handed over at this size, or after [`LINGER`].
const GATHERED_BYTES_MAX: usize = 1 << 20;
/// How long a sample may wait for company.
const LINGER: Duration = Duration::from_millis(500);
/// Wait after a failed read, so that the loop does not spin.
const RETRY: Duration = Duration::from_millis(100);

/// A socket of datagrams.
pub(super) trait Datagrams: Send + Sync + 'static {
    /// The length of the next datagram, and who sent it.
    fn receive(&self, into: &mut [u8]) -> impl Future<Output = io::Result<(usize, Option<IpAddr>)>> + Send;
}

impl Datagrams for UdpSocket {
    async fn receive(&self, into: &mut [u8]) -> io::Result<(usize, Option<IpAddr>)> {
        self.recv_from(into).await.map(|(len, peer)| (len, Some(peer.ip().to_canonical())))
    }
}

impl Datagrams for UnixDatagram {
    async fn receive(&self, into: &mut [u8]) -> io::Result<(usize, Option<IpAddr>)> {
        self.recv(into).await.map(|len| (len, None))
    }
}

/// What was gathered is handed over when another address sends, so that each is known by its own.
pub(super) async fn receive(socket: impl Datagrams, mut endpoint: Endpoint, stop: CancellationToken) {
    let mut gathering = Gathering::new();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let mut hand_over_at: Option<Instant> = None;
    loop {
        let far = Instant::now() + Duration::from_secs(3600);
        let received = tokio::select! {
            () = stop.cancelled() => break,
            received = timeout_at(hand_over_at.unwrap_or(far), socket.receive(&mut buffer)) => received,
        };
        match received {
            Err(_) => {
                hand_over_at = None;
                hand_over(&mut gathering, &endpoint);
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot read a datagram");
                tokio::time::sleep(RETRY).await;
            }
            Ok(Ok((len, peer))) => {
                if endpoint.source.address != peer {
                    hand_over(&mut gathering, &endpoint);
                    endpoint.source.address = peer;
                }
                take_lines(&buffer[..len], &mut gathering, &endpoint);
                if gathering.size_bytes() >= GATHERED_BYTES_MAX {
                    hand_over_at = None;
                    hand_over(&mut gathering, &endpoint);
                } else if hand_over_at.is_none() {
                    hand_over_at = Some(Instant::now() + LINGER);
                }
            }
        }
    }
    hand_over(&mut gathering, &endpoint);
}

fn take_lines(datagram: &[u8], gathering: &mut Gathering, endpoint: &Endpoint) {
    let mut start = 0;
    for end in memchr_iter(b'\n', datagram).chain([datagram.len()]) {
        // There is nobody to answer to.
        let _ = gathering.add(endpoint, &datagram[start..end]);
        start = end + 1;
    }
}

/// Throws away what finds no room: a socket must be read, or the system throws away the next.
fn hand_over(gathering: &mut Gathering, endpoint: &Endpoint) {
    if gathering.is_empty() {
        return;
    }
    let reserved = endpoint.budget().reserve(gathering.batch_bytes());
    let is_refused = reserved.is_err();
    let parcel = gathering.take(endpoint, reserved.unwrap_or_else(|_| endpoint.budget().reserve_none()));
    if is_refused {
        endpoint.dropped("memory", parcel.batch.sample_count());
        endpoint.state.intake.give_back(parcel.batch);
        return;
    }
    if let Err(TrySendError::Full(parcel) | TrySendError::Closed(parcel)) = endpoint.queue.try_send(parcel) {
        endpoint.dropped("queue_full", parcel.batch.sample_count());
        endpoint.state.intake.give_back(parcel.batch);
    }
}
