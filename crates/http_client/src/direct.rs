//! Plain HTTP/1.1 for who asks thousands of peers again and again, and reads each answer as it arrives.
//!
//! Why not the general client: it keeps a task and buffers for each connection (some 20 kB), and hands each answer from
//! task to task. Here a connection that waits is a socket, buffers belong to who reads at the moment, and a request is one write and
//! (mostly) one read in the task that asked. What goes through TLS or a proxy takes the general client.
//!
//! Map: here connections, kept while nobody asks · [`answer`] what comes back.

mod answer;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, HOST, HeaderMap, USER_AGENT};
use tokio::net::TcpStream;
use url::{Host, Position, Url};

use crate::client::{CONNECT_TIMEOUT, IDLE_MAX};
use answer::{Answer, Fault};

/// Connections to one peer that are kept while nobody asks.
const IDLE_PER_PEER_MAX: usize = 64;
/// How often connections that nobody has used for [`IDLE_MAX`] are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
const BUFFER_BYTES: usize = 64 << 10;
/// Buffers that are kept: only who reads at the moment has one.
const BUFFERS_MAX: usize = 8;
/// How long an address of a name may take before the next is tried.
const ADDRESS_PATIENCE: Duration = Duration::from_millis(500);

/// Takes an answer as it arrives.
pub trait Receive {
    /// Why it does not want the answer.
    type Error;

    /// How the answer begins. `encoding` and `content_type` are empty if the peer did not say.
    ///
    /// # Errors
    /// If the rest is not wanted.
    fn head(&mut self, status: StatusCode, encoding: &str, content_type: &str) -> Result<(), Self::Error>;

    /// The next piece of the body.
    ///
    /// # Errors
    /// If the rest is not wanted.
    fn data(&mut self, piece: &[u8]) -> Result<(), Self::Error>;
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    Io(io::Error),
    Malformed(&'static str),
    /// It asks to go elsewhere.
    Redirect,
    Refused(E),
}

/// Connections by whom they lead to.
#[derive(Debug)]
pub(crate) struct Direct {
    idle: Mutex<Idle>,
    buffers: Mutex<Vec<Box<[u8]>>>,
}

#[derive(Debug)]
struct Idle {
    /// By host and port.
    peers: HashMap<Box<str>, Vec<Waiting>>,
    swept: Instant,
}

#[derive(Debug)]
struct Waiting {
    stream: TcpStream,
    since: Instant,
}

impl Direct {
    pub(crate) fn new() -> Self {
        let idle = Idle { peers: HashMap::new(), swept: Instant::now() };
        Self { idle: Mutex::new(idle), buffers: Mutex::default() }
    }

    /// Whether it can ask for this: plain HTTP, nothing else.
    pub(crate) fn speaks(url: &Url) -> bool {
        url.scheme() == "http" && url.has_host() && url.username().is_empty() && url.password().is_none()
    }

    /// Asks, and gives what comes back to `receiver`.
    pub(crate) async fn get<R: Receive>(
        &self,
        url: &Url,
        headers: &HeaderMap,
        follows_redirects: bool,
        receiver: &mut R,
    ) -> Result<(), Failure<R::Error>> {
        let request = request(url, headers);
        let peer = &url[Position::BeforeHost..Position::AfterPort];
        // A peer may close a connection while nobody asks, and that may be noticed only now: then it counts for nothing.
        while let Some(stream) = self.take_idle(peer) {
            let mut answer = Answer::new(follows_redirects, true);
            let asked = self.ask(&stream, &request, &mut answer, receiver).await;
            match asked {
                Err(Fail::Answer(Fault::Idle)) => {}
                Err(Fail::Io(_)) if !answer.has_head() => {}
                other => return self.conclude(other, peer, stream, &answer),
            }
        }
        let stream = connect(url).await.map_err(Failure::Io)?;
        let mut answer = Answer::new(follows_redirects, false);
        let asked = self.ask(&stream, &request, &mut answer, receiver).await;
        self.conclude(asked, peer, stream, &answer)
    }

    fn conclude<E>(
        &self,
        asked: Result<(), Fail<E>>,
        peer: &str,
        stream: TcpStream,
        answer: &Answer,
    ) -> Result<(), Failure<E>> {
        match asked {
            Ok(()) => {
                if answer.keeps_connection() {
                    self.keep(peer, stream);
                }
                Ok(())
            }
            Err(Fail::Io(error)) => Err(Failure::Io(error)),
            Err(Fail::Answer(Fault::Malformed(why))) => Err(Failure::Malformed(why)),
            Err(Fail::Answer(Fault::Redirect)) => Err(Failure::Redirect),
            Err(Fail::Answer(Fault::Refused(error))) => Err(Failure::Refused(error)),
            Err(Fail::Answer(Fault::Idle)) => Err(Failure::Malformed("an answer to nothing")),
        }
    }

    /// One request and its answer.
    async fn ask<R: Receive>(
        &self,
        stream: &TcpStream,
        request: &[u8],
        answer: &mut Answer,
        receiver: &mut R,
    ) -> Result<(), Fail<R::Error>> {
        let mut left = request;
        while !left.is_empty() {
            match stream.try_write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    stream.writable().await.map_err(Fail::Io)?;
                }
                Err(error) => return Err(Fail::Io(error)),
            }
        }
        loop {
            stream.readable().await.map_err(Fail::Io)?;
            let mut buffer = self.take_buffer();
            let read = stream.try_read(&mut buffer);
            let taken = match read {
                Ok(0) if answer.close() => Ok(()),
                Ok(0) => Err(Fail::Io(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "connection closed before message completed",
                ))),
                Ok(len) => answer.take(&buffer[..len], receiver).map_err(Fail::Answer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                Err(error) => Err(Fail::Io(error)),
            };
            self.give_buffer(buffer);
            taken?;
            if answer.is_complete() {
                return Ok(());
            }
        }
    }

    /// A connection that waits for a question. The one that was used last is the most likely to be alive.
    fn take_idle(&self, peer: &str) -> Option<TcpStream> {
        let mut idle = self.idle.lock();
        let waiting = idle.peers.get_mut(peer)?.pop()?;
        (waiting.since.elapsed() < IDLE_MAX).then_some(waiting.stream)
    }

    fn keep(&self, peer: &str, stream: TcpStream) {
        let now = Instant::now();
        let mut swept_away = Vec::new();
        let mut idle = self.idle.lock();
        if now - idle.swept >= SWEEP_INTERVAL {
            idle.swept = now;
            for waiting in idle.peers.values_mut() {
                swept_away.extend(waiting.extract_if(.., |waiting| now - waiting.since >= IDLE_MAX));
            }
            // Who has no connection now will have one again after the scrape that may be under way.
            idle.peers.retain(|_, waiting| !waiting.is_empty());
        }
        if !idle.peers.contains_key(peer) {
            idle.peers.insert(peer.into(), Vec::with_capacity(1));
        }
        if let Some(waiting) = idle.peers.get_mut(peer)
            && waiting.len() < IDLE_PER_PEER_MAX
        {
            waiting.push(Waiting { stream, since: now });
        }
        // Closing takes time.
        drop(idle);
        drop(swept_away);
    }

    fn take_buffer(&self) -> Box<[u8]> {
        let kept = self.buffers.lock().pop();
        kept.unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice())
    }

    fn give_buffer(&self, buffer: Box<[u8]>) {
        let mut buffers = self.buffers.lock();
        if buffers.len() < BUFFERS_MAX {
            buffers.push(buffer);
        }
    }
}

#[derive(Debug)]
enum Fail<E> {
    Io(io::Error),
    Answer(Fault<E>),
}

/// The bytes of a request.
fn request(url: &Url, headers: &HeaderMap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(768);
    let mut add = |parts: &[&[u8]]| parts.iter().for_each(|part| bytes.extend_from_slice(part));
    add(&[b"GET ", url[Position::BeforePath..Position::AfterQuery].as_bytes(), b" HTTP/1.1\r\n"]);
    if !headers.contains_key(HOST) {
        add(&[b"host: ", url[Position::BeforeHost..Position::AfterPort].as_bytes(), b"\r\n"]);
    }
    if !headers.contains_key(USER_AGENT) {
        add(&[b"user-agent: ", crate::USER_AGENT.as_bytes(), b"\r\n"]);
    }
    if !headers.contains_key(ACCEPT) {
        add(&[b"accept: */*\r\n"]);
    }
    for (name, value) in headers {
        add(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    add(&[b"\r\n"]);
    bytes
}

async fn connect(url: &Url) -> io::Result<TcpStream> {
    let port = url.port_or_known_default().unwrap_or(80);
    let addresses: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(ip)) => vec![(ip, port).into()],
        Some(Host::Ipv6(ip)) => vec![(ip, port).into()],
        Some(Host::Domain(name)) => tokio::net::lookup_host((name, port)).await?.collect(),
        None => Vec::new(),
    };
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    // One that does not answer must not keep us from the others.
    for patience in [ADDRESS_PATIENCE, CONNECT_TIMEOUT] {
        let patience = if addresses.len() > 1 { patience } else { CONNECT_TIMEOUT };
        let mut any_timeout = false;
        for address in &addresses {
            match tokio::time::timeout(patience, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => failed = error,
                Err(_) => {
                    any_timeout = true;
                    failed = io::Error::new(io::ErrorKind::TimedOut, "the peer does not answer");
                }
            }
        }
        if addresses.len() < 2 || !any_timeout {
            break;
        }
    }
    Err(failed)
}
