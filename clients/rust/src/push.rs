//! Sends metrics without being asked: for jobs that end before anybody scrapes them, and programs nobody can reach.
//!
//! Source of the interface: the Pushgateway's, which Kymo speaks too. A thread of its own sends the whole registry every so
//! often, and once more when the [`Push`] is dropped. What is measured never waits for it, and what could not be
//! sent is sent with the next push, since counters do not forget.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::counter::Counter;
use crate::{Format, RegisterError, Registry};

/// Where to and how often.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `http://kymo:9090`, without a path.
    pub url: String,
    /// The label `job` of everything that is sent.
    pub job: String,
    /// Further labels of everything that is sent: `instance`, as a rule.
    pub grouping: Vec<(String, String)>,
    /// How often.
    pub interval: Duration,
    /// How long one push may take.
    pub timeout: Duration,
    /// In which format.
    pub format: Format,
    /// For `Authorization: Bearer`.
    pub bearer_token: Option<String>,
}

impl Settings {
    /// Every 15 s, as protobuf, with 5 s for each push.
    pub fn new(url: impl Into<String>, job: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            job: job.into(),
            grouping: Vec::new(),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(5),
            format: Format::Protobuf,
            bearer_token: None,
        }
    }

    /// The path of the group, by the Pushgateway's rules: what would not fit a path goes as base64.
    fn path(&self) -> String {
        let mut path = String::from("/metrics");
        let job = std::iter::once(("job", self.job.as_str()));
        for (name, value) in job.chain(self.grouping.iter().map(|(n, v)| (n.as_str(), v.as_str()))) {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
            if !value.is_empty() && value.chars().all(plain) && value != "." && value != ".." {
                path.push_str(&format!("/{name}/{value}"));
            } else {
                path.push_str(&format!("/{name}@base64/{}", base64_url(value.as_bytes())));
            }
        }
        path
    }
}

/// Why pushing cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The metrics about pushing cannot be registered: a registry is pushed once.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// There is no thread for it.
    #[error("no thread to push from: {0}")]
    Thread(#[from] io::Error),
}

/// Pushes until it is dropped; then pushes a last time, for as long as one push may take.
pub struct Push {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
    last_error: Arc<Mutex<Option<String>>>,
}

#[derive(Default)]
struct Stop {
    wanted: Mutex<bool>,
    changed: Condvar,
}

impl Push {
    /// Pushes what is in `registry`. Adds `kymo_client_pushes_total` and `kymo_client_push_failures_total` to it.
    ///
    /// # Errors
    /// If these cannot be added, or there is no thread.
    pub fn start(registry: Registry, settings: Settings) -> Result<Self, StartError> {
        let pushes = registry.counter("kymo_client_pushes_total", "Pushes that were tried.")?;
        let failures = registry.counter("kymo_client_push_failures_total", "Pushes that failed.")?;
        let (stop, last_error) = (Arc::new(Stop::default()), Arc::new(Mutex::new(None)));
        let worker = Worker {
            agent: agent(settings.timeout),
            target: format!("{}{}", settings.url.trim_end_matches('/'), settings.path()),
            registry,
            settings,
            pushes,
            failures,
            last_error: Arc::clone(&last_error),
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("kymo-client-push".to_owned())
            .spawn(move || worker.run(&stopped))?;
        Ok(Self { stop, thread: Some(thread), last_error })
    }

    /// Why the last push failed; nothing if it did not.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        *self.stop.wanted.lock() = true;
        self.stop.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed there; the program that is measured goes on.
            let _ = thread.join();
        }
    }
}

struct Worker {
    agent: ureq::Agent,
    target: String,
    registry: Registry,
    settings: Settings,
    pushes: Counter,
    failures: Counter,
    last_error: Arc<Mutex<Option<String>>>,
}

impl Worker {
    fn run(&self, stop: &Stop) {
        loop {
            let next = Instant::now() + self.settings.interval;
            let stopped = {
                let mut wanted = stop.wanted.lock();
                while !*wanted && !stop.changed.wait_until(&mut wanted, next).timed_out() {}
                *wanted
            };
            self.push();
            if stopped {
                return;
            }
        }
    }

    fn push(&self) {
        self.pushes.inc();
        let mut request =
            self.agent.put(&self.target).header("Content-Type", self.settings.format.content_type());
        if let Some(token) = &self.settings.bearer_token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let error = match request.send(&self.registry.encode(self.settings.format)[..]) {
            Ok(response) if response.status().is_success() => None,
            Ok(mut response) => {
                let text =
                    response.body_mut().with_config().limit(1_000).read_to_string().unwrap_or_default();
                Some(format!("{} answered {}: {}", self.target, response.status(), text.trim()))
            }
            Err(error) => Some(format!("{}: {error}", self.target)),
        };
        if error.is_some() {
            self.failures.inc();
        }
        *self.last_error.lock() = error;
    }
}

fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(timeout)).http_status_as_error(false).build().into()
}

/// Base64 with the alphabet for URLs; `=` stands for nothing, as the Pushgateway has it.
fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if bytes.is_empty() {
        return "=".to_owned();
    }
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..=three.len() {
            text.push(ALPHABET[(bits >> (18 - 6 * place) & 63) as usize].into());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_in_the_path() {
        let mut settings = Settings::new("http://kymo:9090", "backup");
        settings.grouping = vec![
            ("instance".to_owned(), "db/1".to_owned()),
            ("zone".to_owned(), String::new()),
            ("host".to_owned(), "a.b".to_owned()),
        ];
        assert_eq!(settings.path(), "/metrics/job/backup/instance@base64/ZGIvMQ/zone@base64/=/host/a.b");
        assert_eq!(base64_url(b"a"), "YQ");
        assert_eq!(base64_url("ü~?".as_bytes()), "w7x-Pw");
    }
}
