//! Servers of others, played from files of their recorded or documented answers (`crates/discovery/testdata`).
//!
//! One is reached by whatever way a mechanism has: as it is, over TLS, as a proxy that plays every host behind it, or over a Unix
//! socket. Its certificate (`tests/testdata`) is for all hosts that the documentation's snippets name.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::paths;

#[path = "../../crates/discovery/src/testing/recorded.rs"]
mod recorded;

use recorded::{Answer, Recorded};

/// A server that plays a file.
#[derive(Debug)]
pub struct Played {
    recorded: Arc<Recorded>,
    port: u16,
    /// Requests that the file has no answer to.
    unanswered: Arc<Mutex<Vec<String>>>,
}

/// The certificate of who signs for all played servers.
pub fn authority() -> PathBuf {
    paths::root().join("tests/testdata/ca.pem")
}

/// Whether there is a file of this name.
pub fn is_recorded(name: &str) -> bool {
    file(name).exists()
}

fn file(name: &str) -> PathBuf {
    paths::root().join("crates/discovery/testdata").join(format!("{name}.txt"))
}

impl Played {
    /// Plays `crates/discovery/testdata/NAME.txt` on a port of its own.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn start(name: &str) -> Self {
        let path = file(name);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (recorded, unanswered) = (Arc::new(Recorded::parse(&text)), Arc::default());
        let played = Self { recorded, port, unanswered };
        let talk = played.talk();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let talk = talk.clone();
                std::thread::spawn(move || talk.over_tcp(stream));
            }
        });
        played
    }

    /// Plays it on a Unix socket as well.
    ///
    /// # Panics
    /// If the socket cannot be made.
    pub fn listen_on(&self, path: &Path) {
        let listener = UnixListener::bind(path).expect("a socket");
        let talk = self.talk();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let talk = talk.clone();
                std::thread::spawn(move || talk.over(stream, "http"));
            }
        });
    }

    fn talk(&self) -> Talk {
        Talk { recorded: Arc::clone(&self.recorded), unanswered: Arc::clone(&self.unanswered) }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Targets that the file has under a name, each as pairs of label and value.
    pub fn targets(&self, name: &str) -> Vec<Vec<(String, String)>> {
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let target = |lines: &str| lines.lines().filter_map(pair).collect();
        self.recorded.targets(name).split("\n\n").map(target).collect()
    }

    /// Requests that the file has no answer to.
    pub fn unanswered(&self) -> Vec<String> {
        self.unanswered.lock().expect("no panic").clone()
    }
}

/// A request: its method, what it asks for, its head in lower-case names, its body.
struct Asked {
    method: String,
    target: String,
    head: String,
    body: String,
}

#[derive(Clone)]
struct Talk {
    recorded: Arc<Recorded>,
    unanswered: Arc<Mutex<Vec<String>>>,
}

impl Talk {
    fn over_tcp(&self, mut stream: TcpStream) {
        let mut first = [0];
        if !matches!(stream.peek(&mut first), Ok(1)) {
            return;
        }
        // A client that begins with TLS sends a handshake.
        if first == [22] {
            return self.over_tls(stream);
        }
        if first == [b'C'] {
            let tunnel = read(&mut BufReader::with_capacity(1, &mut stream));
            let established = b"HTTP/1.1 200 Connection established\r\n\r\n";
            if tunnel.is_none() || stream.write_all(established).is_err() {
                return;
            }
            return self.over_tls(stream);
        }
        self.over(stream, "http");
    }

    fn over_tls(&self, stream: TcpStream) {
        let connection = ServerConnection::new(server_config()).expect("a connection");
        self.over(StreamOwned::new(connection, stream), "https");
    }

    /// Answers until the peer goes.
    fn over(&self, stream: impl Read + Write, scheme: &str) {
        let mut stream = BufReader::new(stream);
        while let Some(asked) = read(&mut stream) {
            let host = asked.head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("");
            // Through a proxy the whole URL is asked for.
            let rest =
                asked.target.strip_prefix("http://").map(|rest| rest.find('/').map_or("/", |at| &rest[at..]));
            let target = rest.unwrap_or(&asked.target);
            let said = format!("{}\n{}", asked.head, asked.body);
            let written = match self.recorded.answer(&asked.method, target, &said) {
                Some(answer) if answer.hold => return hold(stream),
                Some(answer) => write(stream.get_mut(), answer, &format!("{scheme}://{host}")),
                None => {
                    let asked = format!("{} {target}\n{said}", asked.method);
                    self.unanswered.lock().expect("no panic").push(asked);
                    stream.get_mut().write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 8\r\n\r\nnot here")
                }
            };
            if written.is_err() {
                return;
            }
        }
    }
}

/// Answers nothing until the peer goes.
fn hold(mut stream: BufReader<impl Read>) {
    let mut part = [0; 64];
    while matches!(stream.read(&mut part), Ok(1..)) {}
}

fn read(stream: &mut impl BufRead) -> Option<Asked> {
    let mut line = || {
        let mut line = String::new();
        (stream.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
    };
    let first = line()?;
    let (mut head, mut length) = (String::new(), 0);
    while let Some((name, value)) = line()?.split_once(':') {
        let (name, value) = (name.to_lowercase(), value.trim());
        if name == "content-length" {
            length = value.parse().ok()?;
        }
        head.push_str(&format!("{name}: {value}\n"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    Some(Asked { method, target, head, body: String::from_utf8_lossy(&body).into_owned() })
}

fn write(out: &mut impl Write, answer: &Answer, base: &str) -> io::Result<()> {
    let body = if answer.status == 304 { String::new() } else { answer.body(base) };
    let mut head = format!("HTTP/1.1 {} X\r\ncontent-type: application/json\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    out.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
    out.flush()
}

fn server_config() -> Arc<ServerConfig> {
    let folder = paths::root().join("tests/testdata");
    let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(vec![certificate], key);
    Arc::new(config.expect("they belong together"))
}

/// A name server that has one SRV record and one address; yields its port.
///
/// # Panics
/// If there is no port for it.
pub fn name_server() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = socket.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            if let Some(reply) = named(&query[..length]) {
                // Who asked may be gone.
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    port
}

/// What a query gets: `_prometheus._tcp.example.com` is on port 9100 of `a.example.com`, `nodes.example.com` is 10.0.0.7 (RFC 1035).
fn named(query: &[u8]) -> Option<Vec<u8>> {
    const HEAD: usize = 12;
    let question = query.get(HEAD..)?;
    let end = question.iter().position(|byte| *byte == 0)? + 5;
    let question = question.get(..end)?;
    let kind = u16::from_be_bytes([question[end - 4], question[end - 3]]);
    let is = |name: &str| {
        let labels = name
            .split('.')
            .flat_map(|label| std::iter::once(u8::try_from(label.len()).unwrap_or(0)).chain(label.bytes()));
        labels.eq(question[..end - 5].iter().copied())
    };
    let data = match kind {
        33 if is("_prometheus._tcp.example.com") => {
            Some([&[0, 1, 0, 1][..], &9100u16.to_be_bytes(), b"\x01a\x07example\x03com\x00"].concat())
        }
        1 if is("nodes.example.com") => Some(Ipv4Addr::new(10, 0, 0, 7).octets().to_vec()),
        _ => None,
    };
    // An answer, recursion available; without data the name does not exist.
    let code = if data.is_some() { 0x80 } else { 0x83 };
    let mut reply =
        [&query[..2], &[0x85, code, 0, 1, 0, u8::from(data.is_some()), 0, 0, 0, 0], question].concat();
    if let Some(data) = data {
        // The name of the question, of this kind, in the Internet, for a minute.
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 60]);
        reply.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
        reply.extend(data);
    }
    Some(reply)
}
