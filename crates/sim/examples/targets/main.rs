//! Thousands of exporters in one cheap process, to measure collectors with (`bench/targets.sh`).
//!
//! Each target has an address of its own in 127.1.0.0/16, as each has in a fleet: a collector keeps a connection to each. All have the same
//! metrics, as exporters of one kind have, with values of their own that go on with time. Answers are compressed if the collector
//! asks for gzip, as those of most exporters are.
//!
//! It is also the judge: `/-/stats` says how many scrapes there were, and how many came more than half an interval late.
//!
//! Map: here the server · `body` what a target answers.

mod body;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use body::Exporter;

/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Targets in each 127.1.x.0/24.
const PER_NET: usize = 250;

/// Where a target is.
fn address(target: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, (target / PER_NET) as u8, (target % PER_NET + 1) as u8)
}

/// The target at an address.
fn target_at(address: SocketAddr) -> Option<usize> {
    let SocketAddr::V4(address) = address else { return None };
    let [127, 1, net, host] = address.ip().octets() else { return None };
    (usize::from(net) * PER_NET + usize::from(host)).checked_sub(1)
}

/// What has happened since the process began.
struct Seen {
    began: Instant,
    interval_ms: u64,
    scrapes: AtomicU64,
    late: AtomicU64,
    bytes: AtomicU64,
    body_bytes: AtomicU64,
    /// When each target was asked last; 0: never.
    last_ms: Vec<AtomicU64>,
}

impl Seen {
    fn scrape(&self, target: usize) {
        self.scrapes.fetch_add(1, Ordering::Relaxed);
        let Some(last_ms) = self.last_ms.get(target) else { return };
        let now_ms = self.began.elapsed().as_millis() as u64;
        let last_ms = last_ms.swap(now_ms, Ordering::Relaxed);
        if last_ms > 0 && now_ms - last_ms > self.interval_ms + self.interval_ms / 2 {
            self.late.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn text(&self) -> String {
        let all = [
            ("scrapes", &self.scrapes),
            ("late", &self.late),
            ("bytes", &self.bytes),
            ("body_bytes", &self.body_bytes),
        ];
        let mut text: String =
            all.iter().map(|(name, value)| format!("{name} {}\n", value.load(Ordering::Relaxed))).collect();
        let asked = self.last_ms.iter().filter(|last_ms| last_ms.load(Ordering::Relaxed) > 0).count();
        text.push_str(&format!("targets {asked}\n"));
        text
    }
}

/// Answers a connection until it is closed.
async fn serve(mut stream: TcpStream, exporter: Arc<Exporter>, seen: Arc<Seen>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let target = target_at(stream.local_addr()?);
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            // The buffer is not kept while nothing comes: there are thousands of these.
            stream.readable().await?;
            let mut piece = [0; 2048];
            match stream.read(&mut piece).await? {
                0 => return Ok(()),
                len => head.extend_from_slice(&piece[..len]),
            }
            if head.len() > HEAD_BYTES_MAX {
                return Ok(());
            }
        }
        let answer = match target {
            Some(target) if !head.starts_with(b"GET /-/stats ") => {
                seen.scrape(target);
                let text = exporter.body(target, seen.began.elapsed().as_millis() as u64);
                seen.body_bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
                answer(&text, wants_gzip(&head))
            }
            _ => answer(seen.text().as_bytes(), false),
        };
        seen.bytes.fetch_add(answer.len() as u64, Ordering::Relaxed);
        stream.write_all(&answer).await?;
    }
}

fn wants_gzip(head: &[u8]) -> bool {
    let head = head.to_ascii_lowercase();
    let name = b"\r\naccept-encoding:";
    let Some(at) = head.windows(name.len()).position(|window| window == name) else { return false };
    let line = head[at + name.len()..].split(|byte| *byte == b'\r').next().unwrap_or_default();
    line.windows(4).any(|window| window == b"gzip")
}

fn answer(text: &[u8], compressed: bool) -> Vec<u8> {
    let (encoding, body) = if compressed {
        let mut encoder = GzEncoder::new(Vec::with_capacity(4096), Compression::fast());
        encoder.write_all(text).expect("memory takes it");
        ("Content-Encoding: gzip\r\n", encoder.finish().expect("memory takes it"))
    } else {
        ("", text.to_vec())
    };
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n{encoding}\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    answer
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let &[port, targets, series, interval_s] = numbers.as_slice() else {
        return Err(std::io::Error::other("usage: targets PORT TARGETS SERIES INTERVAL_S"));
    };
    // What the collector shall be told, as file_sd has it.
    let list: Vec<String> =
        (0..targets as usize).map(|target| format!("\"{}:{port}\"", address(target))).collect();
    std::io::stdout().write_all(format!("[{{\"targets\":[{}]}}]\n", list.join(",\n")).as_bytes())?;
    std::io::stdout().flush()?;
    let seen = Arc::new(Seen {
        began: Instant::now(),
        interval_ms: interval_s * 1000,
        scrapes: AtomicU64::new(0),
        late: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        body_bytes: AtomicU64::new(0),
        last_ms: (0..targets).map(|_| AtomicU64::new(0)).collect(),
    });
    let exporter = Arc::new(Exporter::new(series as usize));
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port as u16)).await?;
    loop {
        let (stream, peer) = listener.accept().await?;
        if peer.ip().is_loopback() {
            tokio::spawn(serve(stream, Arc::clone(&exporter), Arc::clone(&seen)));
        }
    }
}
