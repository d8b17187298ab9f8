//! A server of this process that keeps what is posted to it: a webhook, or an Alertmanager that only listens.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// What came in one request.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The path it was posted to.
    pub path: String,
    /// The body; null if it is no JSON.
    pub body: Value,
}

/// Takes everything, for as long as the test process lives.
#[derive(Debug)]
pub struct Inbox {
    address: String,
    letters: Arc<Mutex<Vec<Letter>>>,
}

impl Inbox {
    /// Starts one that answers each request with 200.
    ///
    /// # Panics
    /// If it cannot listen.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let letters = Arc::<Mutex<Vec<Letter>>>::default();
        let kept = Arc::clone(&letters);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || serve(stream, &kept));
            }
        });
        Self { address, letters }
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// All that came so far, in order.
    ///
    /// # Panics
    /// If a thread that answers did.
    pub fn letters(&self) -> Vec<Letter> {
        self.letters.lock().expect("no panic").clone()
    }
}

/// Answers until the client goes away, which it may do at any time.
fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Letter>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).ok()? == 0 {
            return None;
        }
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        kept.lock().ok()?.push(Letter { path, body });
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}
