//! For tests: an HTTP server that answers as they say, and groups in a form that is easily compared.
//!
//! Map: here the server · [`recorded`] answers and targets in files.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_client::Url;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

use crate::group::TargetGroup;
use crate::place::{Environment, Shared};
use crate::settings::Section;
use crate::{Discovery, Snapshot, start};

mod recorded;

pub(crate) use recorded::Recorded;

/// The longest wait for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) method: String,
    /// Path and parameters as they came.
    pub(crate) target: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, Vec<String>>,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Ask {
    /// A parameter of the query; empty if it is absent.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.query.get(name).and_then(|values| values.first()).map_or("", String::as_str)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// What a file of `testdata` answers.
    pub(crate) fn answered(&self, recorded: &Recorded) -> Reply {
        let head: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let Some(answer) = recorded.answer(&self.method, &self.target, &format!("{head}\n{}", self.body))
        else {
            return Reply::not_found();
        };
        if answer.hold {
            // The sender stays here: nothing comes, and there is no end.
            let (sender, parts) = mpsc::channel(1);
            tokio::spawn(async move { sender.closed().await });
            return Reply::parts(parts);
        }
        let mut reply = Reply::of(answer.status, answer.body(&format!("http://{}", self.header("host"))));
        reply.headers.extend(answer.headers.iter().cloned());
        reply
    }

    /// A parameter of a form in the body; empty if it is absent.
    pub(crate) fn form(&self, name: &str) -> String {
        let url = Url::parse(&format!("http://x/?{}", self.body)).expect("a form");
        url.query_pairs().find(|(key, _)| key == name).map_or(String::new(), |(_, value)| value.into_owned())
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Instead of a body: parts as they come; closing it ends the answer.
    pub(crate) parts: Option<mpsc::Receiver<String>>,
}

impl Reply {
    pub(crate) fn of(status: u16, body: impl Into<String>) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: body.into(), parts: None }
    }

    pub(crate) fn json(body: impl Into<String>) -> Self {
        Self::of(200, body)
    }

    pub(crate) fn parts(parts: mpsc::Receiver<String>) -> Self {
        Self { parts: Some(parts), ..Self::json("") }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn not_found() -> Self {
        Self::of(404, "not here")
    }
}

type Handler = Arc<dyn Fn(Ask) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// Answers, and remembers what it was asked.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) log: Arc<Mutex<Vec<Ask>>>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Ask) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_async(move |ask| {
            let reply = answer(&ask);
            async move { reply }
        })
        .await
    }

    /// One that answers as a file of `testdata` has it; and the file.
    pub(crate) async fn recorded(text: &str) -> (Self, Recorded) {
        let recorded = Recorded::parse(text);
        let own = recorded.clone();
        (Self::start(move |ask| ask.answered(&own)).await, recorded)
    }

    /// One whose answers may take their time.
    pub(crate) async fn start_async<F: Future<Output = Reply> + Send + 'static>(
        answer: impl Fn(Ask) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let log = Arc::<Mutex<Vec<Ask>>>::default();
        let (seen, handler) = (Arc::clone(&log), handler(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&handler)));
            }
        });
        Self { url, log }
    }

    /// One on a Unix socket; its URL is the path.
    pub(crate) fn start_on_socket(
        path: &str,
        answer: impl Fn(&Ask) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let log = Arc::<Mutex<Vec<Ask>>>::default();
        let (seen, handler) = (
            Arc::clone(&log),
            handler(move |ask| {
                let reply = answer(&ask);
                async move { reply }
            }),
        );
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&handler)));
            }
        });
        Self { url: path.to_owned(), log }
    }

    /// Requests for paths that begin so.
    pub(crate) fn asked(&self, path: &str) -> Vec<Ask> {
        self.log.lock().iter().filter(|ask| ask.path.starts_with(path)).cloned().collect()
    }
}

fn handler<F: Future<Output = Reply> + Send + 'static>(
    answer: impl Fn(Ask) -> F + Send + Sync + 'static,
) -> Handler {
    Arc::new(move |ask| Box::pin(answer(ask)))
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    log: Arc<Mutex<Vec<Ask>>>,
    handler: Handler,
) {
    while let Some(ask) = read(&mut stream).await {
        log.lock().push(ask.clone());
        let reply = handler(ask).await;
        if write(&mut stream, reply).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Ask> {
    let mut received = Vec::new();
    loop {
        let mut part = [0; 4096];
        let Ok(count @ 1..) = stream.read(&mut part).await else { return None };
        received.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&received).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or("").split(' ');
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
        let mut ask = Ask { method: method.to_owned(), target: path.to_owned(), ..Ask::default() };
        let url = Url::parse(&format!("http://server{path}")).expect("a path");
        ask.path = url.path().to_owned();
        for (name, value) in url.query_pairs() {
            ask.query.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        let header = |line: &str| {
            line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        };
        ask.headers = lines.filter_map(header).collect();
        let length: usize = ask.header("content-length").parse().unwrap_or(0);
        if body.len() >= length {
            ask.body = body.to_owned();
            return Some(ask);
        }
    }
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), reply: Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let Some(mut parts) = reply.parts else {
        let whole = format!("{head}content-length: {}\r\n\r\n{}", reply.body.len(), reply.body);
        return stream.write_all(whole.as_bytes()).await;
    };
    stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).await?;
    while let Some(part) = parts.recv().await {
        stream.write_all(format!("{:x}\r\n{part}\r\n", part.len()).as_bytes()).await?;
    }
    stream.write_all(b"0\r\n\r\n").await
}

/// What all discoveries share, with these environment variables only.
pub(crate) fn shared(variables: &[(&str, &str)]) -> Shared {
    let mut shared = Shared::register(&prometheus::Registry::new()).expect("registered");
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    shared.environment = Environment(Arc::new(move |name| variables.get(name).cloned()));
    shared
}

/// Settings of a mechanism as a file has them.
pub(crate) fn settings<T: DeserializeOwned>(text: &str) -> T {
    yaml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Starts discovery as a job with these lines would.
pub(crate) fn discover(text: &str, shared: &Shared) -> Discovery {
    let section: Section = settings(text);
    section.check(false).unwrap_or_else(|error| panic!("{text}: {error}"));
    start(&section.discovery, shared)
}

/// All targets with their groups' labels: a line a label, an empty line between targets.
pub(crate) fn shown<'a>(groups: impl IntoIterator<Item = &'a TargetGroup>) -> String {
    let mut targets = Vec::new();
    for group in groups {
        for target in &group.targets {
            let mut builder = group.labels.to_builder();
            for (name, value) in target {
                builder.set(name, value);
            }
            let labels = builder.build();
            targets.push(labels.iter().map(|(name, value)| format!("{name}={value}\n")).collect::<String>());
        }
    }
    targets.join("\n")
}

/// Compares targets with what is wanted, written as [`shown`] shows them; indentation does not count.
#[track_caller]
pub(crate) fn check_targets<'a>(groups: impl IntoIterator<Item = &'a TargetGroup>, want: &str) {
    let want: Vec<&str> = want.trim().lines().map(str::trim).collect();
    let got = shown(groups);
    let got: Vec<&str> = got.trim().lines().collect();
    assert!(got == want, "got:\n{}\n\nwanted:\n{}", got.join("\n"), want.join("\n"));
}

/// Waits until a snapshot is as `wanted` says.
pub(crate) async fn until(
    discovery: &mut Discovery,
    what: &str,
    mut wanted: impl FnMut(&Snapshot) -> bool,
) -> Snapshot {
    let mut last = Snapshot::default();
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            last = discovery.current();
            if wanted(&last) {
                return;
            }
            discovery.changed().await;
        }
    })
    .await;
    let failures: Vec<&str> = last.failures().collect();
    assert!(waited.is_ok(), "{what}: not in time; failures {failures:?}, targets:\n{}", shown(last.groups()));
    last
}

/// Addresses of all targets, sorted.
pub(crate) fn addresses(snapshot: &Snapshot) -> Vec<String> {
    let targets = snapshot.groups().flat_map(|group| &group.targets);
    let mut addresses: Vec<String> =
        targets.map(|target| target.get(crate::group::ADDRESS_LABEL).unwrap_or("").to_owned()).collect();
    addresses.sort();
    addresses
}

/// Waits until these are the addresses.
pub(crate) async fn until_addresses(discovery: &mut Discovery, want: &[&str]) -> Snapshot {
    until(discovery, &format!("{want:?}"), |snapshot| snapshot.is_complete() && addresses(snapshot) == want)
        .await
}
