//! A small HTTP/1.1 server on a local port that answers what it is told to, and remembers what it was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Status line after `HTTP/1.1 `, headers, body.
    Whole(&'static str, Vec<(&'static str, String)>, Vec<u8>),
    /// Starts an answer that never ends, and sends as fast as it can.
    Endless,
    /// Reads the request and says nothing.
    Silence,
    /// Closes the connection in the middle of the body.
    Cut,
}

impl Reply {
    /// Exposition text with this type.
    pub(super) fn text(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Whole("200 OK", vec![("content-type", content_type.to_owned())], body.into())
    }
}

#[derive(Debug)]
struct State {
    reply: Reply,
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

/// See the module. Lives as long as the test's runtime.
#[derive(Debug, Clone)]
pub(super) struct Exporter {
    pub(super) address: String,
    state: Arc<State>,
}

impl Exporter {
    pub(super) async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let state = Arc::new(State { reply, requests: Mutex::default(), connections: AtomicUsize::new(0) });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                // A client that goes away is none of the server's business.
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    /// Heads of the requests so far, in lower case.
    pub(super) fn requests(&self) -> Vec<String> {
        self.state.requests.lock().clone()
    }

    pub(super) fn connection_count(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        state.requests.lock().push(head.to_lowercase());
        match &state.reply {
            Reply::Whole(status, headers, body) => {
                let mut answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len()).into_bytes();
                for (name, value) in headers {
                    answer.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
                }
                answer.extend_from_slice(b"\r\n");
                answer.extend_from_slice(body);
                stream.write_all(&answer).await?;
                stream.flush().await?;
            }
            Reply::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n").await?;
                loop {
                    stream.write_all(&b"# so much to say\n".repeat(1_000)).await?;
                }
            }
            Reply::Silence => std::future::pending::<()>().await,
            Reply::Cut => {
                let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\na 1\n";
                stream.write_all(head).await?;
                return stream.flush().await;
            }
        }
    }
}
