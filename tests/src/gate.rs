//! What a test puts between those who send by remote write and who receives: it can be down or busy, and remembers what the receiver took.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::http;
use crate::push::{Series, read_write_request};

/// How it treats requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Connections end without an answer.
    Down,
    /// Every request is answered so, and with `Retry-After`.
    Busy {
        /// 503 or 429.
        status: u16,
        /// Seconds.
        retry_after: u64,
    },
    /// Requests go to the receiver.
    Open,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    taken: Vec<Series>,
    /// When a request with this body came.
    arrived: Vec<(u64, Instant)>,
    /// When a request with this body was told to come again, and after how long.
    put_off: Vec<(u64, Instant, Duration)>,
}

/// A gate before a receiver that speaks remote write 1.0. It lives as long as the test's process.
#[derive(Debug, Clone)]
pub struct Gate {
    address: String,
    state: Arc<Mutex<State>>,
}

impl Gate {
    /// An open gate before `receiver`, the address of a write endpoint.
    ///
    /// # Panics
    /// If the machine has no port left.
    pub fn before(receiver: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let state = State { mode: Mode::Open, taken: Vec::new(), arrived: Vec::new(), put_off: Vec::new() };
        let gate = Self { address, state: Arc::new(Mutex::new(state)) };
        let (clerk, receiver) = (gate.clone(), receiver.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (clerk, receiver) = (clerk.clone(), receiver.clone());
                std::thread::spawn(move || clerk.attend(stream, &receiver));
            }
        });
        gate
    }

    /// Where to send to.
    pub fn url(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        self.lock().mode = mode;
    }

    /// Every series that the receiver took, in the order in which it did; one element a series of a request.
    pub fn taken(&self) -> Vec<Series> {
        self.lock().taken.clone()
    }

    /// How many requests were told to come again.
    pub fn put_off_count(&self) -> usize {
        self.lock().put_off.len()
    }

    /// How many came again, none of them too early.
    ///
    /// # Panics
    /// If one came too early.
    pub fn check_patience(&self) -> usize {
        let state = self.lock();
        let mut again = 0;
        for (body, told, wait) in &state.put_off {
            if let Some((_, came)) = state.arrived.iter().find(|(same, at)| same == body && at > told) {
                let waited = came.duration_since(*told);
                assert!(waited >= *wait, "told to wait {wait:?}, came after {waited:?}");
                again += 1;
            }
        }
        again
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the gate's state")
    }

    /// Answers the requests of a connection until one side has enough.
    fn attend(&self, stream: TcpStream, receiver: &str) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut stream = stream;
        loop {
            let (headers, body) = read_request(&mut reader)?;
            let mut hasher = DefaultHasher::new();
            body.hash(&mut hasher);
            let (mode, hash) = {
                let mut state = self.lock();
                state.arrived.push((hasher.finish(), Instant::now()));
                (state.mode, hasher.finish())
            };
            let (status, more) = match mode {
                Mode::Down => return None,
                Mode::Busy { status, retry_after } => {
                    self.lock().put_off.push((hash, Instant::now(), Duration::from_secs(retry_after)));
                    (status, format!("retry-after: {retry_after}\r\n"))
                }
                Mode::Open => (self.hand_on(receiver, &headers, &body), String::new()),
            };
            write!(stream, "HTTP/1.1 {status} As said\r\n{more}content-length: 0\r\n\r\n").ok()?;
        }
    }

    /// Gives a request to the receiver, and says what that answered.
    fn hand_on(&self, receiver: &str, headers: &Headers, body: &[u8]) -> u16 {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let Ok(answer) = http::post(receiver, &headers, body) else { return 503 };
        if answer.status / 100 == 2 {
            let body = snap::raw::Decoder::new().decompress_vec(body).expect("what the receiver took");
            self.lock().taken.extend(read_write_request(&body));
        }
        answer.status
    }
}

/// Names and values.
type Headers = Vec<(String, String)>;

/// The headers that the next one must see, too, and the body.
fn read_request(reader: &mut BufReader<TcpStream>) -> Option<(Headers, Vec<u8>)> {
    let (mut headers, mut body_bytes) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        // The first line has no name.
        let Some((name, value)) = line.split_once(": ") else { continue };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => body_bytes = value.parse().ok()?,
            "content-type" | "content-encoding" | "x-prometheus-remote-write-version" => {
                headers.push((name.to_owned(), value.to_owned()));
            }
            _ => {}
        }
    }
    let mut body = vec![0; body_bytes];
    reader.read_exact(&mut body).ok()?;
    Some((headers, body))
}
