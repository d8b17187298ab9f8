//! An exporter of this process, which answers everybody the same.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Answers for as long as the test process lives.
#[derive(Debug)]
pub struct Exporter {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Exporter {
    /// Starts one that answers each request with `body`.
    ///
    /// # Panics
    /// If it cannot listen.
    pub fn start(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (requests, body) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(body.into()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, body) = (Arc::clone(&seen), Arc::clone(&body));
                std::thread::spawn(move || serve(stream, content_type, &body, &seen));
            }
        });
        Self { address, requests }
    }

    /// `host:port`, as a target names it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The heads of all requests so far.
    ///
    /// # Panics
    /// If a thread that answers did.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}

/// Answers until the client goes away, which it may do at any time.
fn serve(mut stream: TcpStream, content_type: &str, body: &[u8], seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        seen.lock().ok()?.push(head);
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[answer.as_bytes(), body].concat()).ok()?;
    }
}
