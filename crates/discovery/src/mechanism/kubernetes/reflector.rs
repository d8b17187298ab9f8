//! Mirrors the objects of one kind in one namespace: a list, then a watch from where the list stands.
//!
//! A watch that ends is begun again where it stood; one that is too old for the server (410 Gone) makes a new list.
//! Bookmarks keep the place fresh while nothing changes. After a failure there is a wait that doubles.

use std::time::Duration;

use http_client::header::{ACCEPT, HeaderValue};
use http_client::{Response, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::access::Access;
use super::objects::{Key, Kind, ListMetadata, Object, WatchEvent};
use crate::fetch::{ANSWER_BYTES_MAX, Fault, PAGES_MAX, parse_url, shown_url};
use crate::place::Shared;
use crate::refresh::jittered;

/// The longest wait after failures.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(30);
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// Objects of one page of a list.
const PAGE: &str = "500";
/// Longest wait for a page.
const LIST_TIMEOUT: Duration = Duration::from_secs(120);
/// A watch is asked to end after five to ten minutes, so that load spreads over servers.
const WATCH_SECONDS_MIN: u64 = 300;
/// How much later than asked a watch may end.
const WATCH_SLACK: Duration = Duration::from_secs(30);
/// The largest event.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// What is mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) kind: Kind,
    /// Empty: all of them.
    pub(super) namespace: String,
    pub(super) label: String,
    pub(super) field: String,
}

/// What happened to the objects of a scope.
#[derive(Debug)]
pub(super) enum Event {
    /// These are all there are.
    All(Vec<Object>),
    Changed(Object),
    Gone(Key),
    /// The server answers.
    Works,
    Fails(String),
}

/// An event, and the scope it is about.
pub(super) type Told = (Scope, Event);

/// The part of an object, or of an error, that a watch itself needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Envelope {
    metadata: ListMetadata,
    code: u16,
    message: String,
}

/// Why a watch cannot go on.
enum Broken {
    /// The server has forgotten where we stood.
    TooOld,
    Failed(Fault),
    /// Nobody listens any more.
    Unwanted,
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        match fault.status() {
            Some(StatusCode::GONE) => Self::TooOld,
            _ => Self::Failed(fault),
        }
    }
}

pub(super) struct Reflector {
    access: Access,
    scope: Scope,
    events: mpsc::Sender<Told>,
    shared: Shared,
    backoff: Duration,
}

impl Reflector {
    pub(super) fn new(access: Access, scope: Scope, events: mpsc::Sender<Told>, shared: Shared) -> Self {
        Self { access, scope, events, shared, backoff: BACKOFF_FIRST }
    }

    pub(super) async fn run(mut self) {
        // Where the mirror stands; `None`: there is none.
        let mut version: Option<String> = None;
        loop {
            let step = match version.take() {
                None => self.list().await.map(Some),
                Some(version_now) => match self.watch(version_now.clone()).await {
                    Ok(next) => Ok(Some(next)),
                    Err((next, broken)) => {
                        version = Some(next);
                        Err(broken)
                    }
                },
            };
            match step {
                Ok(next) => version = next,
                Err(Broken::Unwanted) => return,
                Err(Broken::TooOld) => version = None,
                Err(Broken::Failed(fault)) => {
                    if self.tell(Event::Fails(fault.to_string())).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(jittered(self.backoff, &self.shared)).await;
                    self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    async fn tell(&self, event: Event) -> Result<(), Broken> {
        self.events.send((self.scope.clone(), event)).await.map_err(|_| Broken::Unwanted)
    }

    fn url(&self, parameters: &[(&str, &str)]) -> Result<Url, Fault> {
        let Scope { kind, namespace, label, field } = &self.scope;
        let (group, plural) = kind.path();
        let mut url = parse_url(&format!("{}/{group}", self.access.server))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            if !namespace.is_empty() {
                segments.extend(["namespaces", namespace]);
            }
            segments.push(plural);
        }
        let selectors = [("labelSelector", label.as_str()), ("fieldSelector", field.as_str())];
        for (name, value) in parameters.iter().copied().chain(selectors) {
            if !value.is_empty() {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        Ok(url)
    }

    async fn send(&self, url: Url, timeout: Duration) -> Result<Response, Fault> {
        let shown = shown_url(&url);
        let mut request = self.access.client.get(url);
        *request.timeout_mut() = Some(timeout);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let response = self.access.execute(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = read(response, &shown).await.unwrap_or_default();
        let message =
            serde_json::from_slice::<Envelope>(&body).map(|error| error.message).unwrap_or_default();
        Err(Fault::Status { url: shown, status, shown: format!(": {message}") })
    }

    /// Lists everything, page by page, and says where the list stands.
    async fn list(&mut self) -> Result<String, Broken> {
        let mut objects = Vec::new();
        let mut more = String::new();
        for _ in 0..PAGES_MAX {
            let url = self.url(&[("limit", PAGE), ("continue", &more)])?;
            let shown = shown_url(&url);
            let response = self.send(url, LIST_TIMEOUT).await?;
            let body = read(response, &shown).await?;
            let syntax =
                |error: serde_json::Error| Fault::Syntax { url: shown.clone(), reason: error.to_string() };
            let (metadata, page) = self.scope.kind.read_list(&body).map_err(syntax)?;
            objects.extend(page);
            if metadata.more.is_empty() {
                self.backoff = BACKOFF_FIRST;
                self.tell(Event::All(objects)).await?;
                return Ok(metadata.resource_version);
            }
            more = metadata.more;
        }
        Err(Fault::Other("a list of Kubernetes objects does not end".to_owned()).into())
    }

    /// Follows changes until the server ends the watch. Says where the mirror stands then, also after a failure.
    async fn watch(&mut self, mut version: String) -> Result<String, (String, Broken)> {
        match self.watch_from(&mut version).await {
            Ok(()) => Ok(version),
            Err(broken) => Err((version, broken)),
        }
    }

    async fn watch_from(&mut self, version: &mut String) -> Result<(), Broken> {
        let seconds = WATCH_SECONDS_MIN + self.shared.random.below(WATCH_SECONDS_MIN);
        let timeout = seconds.to_string();
        let url = self.url(&[
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", version),
            ("timeoutSeconds", &timeout),
        ])?;
        let shown = shown_url(&url);
        let mut response = self.send(url, Duration::from_secs(seconds) + WATCH_SLACK).await?;
        self.tell(Event::Works).await?;
        let mut pending: Vec<u8> = Vec::new();
        let mut searched = 0;
        loop {
            let part = response.chunk().await;
            let part = part.map_err(|error| Fault::Request { url: shown.clone(), source: error.into() })?;
            let Some(part) = part else { return Ok(()) };
            self.backoff = BACKOFF_FIRST;
            pending.extend_from_slice(&part);
            while let Some(end) = pending[searched..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=searched + end).collect();
                searched = 0;
                self.event(&line, &shown, version).await?;
            }
            searched = pending.len();
            if pending.len() > EVENT_BYTES_MAX {
                return Err(Fault::TooLarge(shown).into());
            }
        }
    }

    async fn event(&self, line: &[u8], shown: &str, version: &mut String) -> Result<(), Broken> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let syntax =
            |error: serde_json::Error| Fault::Syntax { url: shown.to_owned(), reason: error.to_string() };
        // Read twice: what the object is, the event must say first.
        let event: WatchEvent<Envelope> = serde_json::from_slice(line).map_err(syntax)?;
        let (kind, envelope) = (self.scope.kind, event.object);
        let told = match event.kind.as_str() {
            "ADDED" | "MODIFIED" => Some(Event::Changed(kind.read_event(line).map_err(syntax)?)),
            "DELETED" => Some(Event::Gone(kind.read_event(line).map_err(syntax)?.key())),
            "ERROR" if envelope.code == StatusCode::GONE.as_u16() => return Err(Broken::TooOld),
            "ERROR" => {
                let reason = format!("the watch on {shown} failed: {} {}", envelope.code, envelope.message);
                return Err(Fault::Other(reason).into());
            }
            // A bookmark only says where we stand; what else there may be one day does not concern us.
            _ => None,
        };
        if let Some(told) = told {
            self.tell(told).await?;
        }
        if !envelope.metadata.resource_version.is_empty() {
            *version = envelope.metadata.resource_version;
        }
        Ok(())
    }
}

async fn read(mut response: Response, shown: &str) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    loop {
        let part = response.chunk().await;
        let part = part.map_err(|error| Fault::Request { url: shown.to_owned(), source: error.into() })?;
        let Some(part) = part else { return Ok(body) };
        body.extend_from_slice(&part);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(Fault::TooLarge(shown.to_owned()));
        }
    }
}
