//! What runs: groups are told when they are due, state is kept, the API's questions are answered.
//!
//! Map: [`Handle`] for everybody outside · `deliver` tries and tries again · `metrics` · `writer` the notification log's way to disk ·
//! `history` the timeline's · `acks` who takes care of alerts · `silences` those that end soon, and what one would hold back · `timeline` what the timeline is told and asked.
//!
//! One lock guards all state and is never held while anybody waits. A silence is written down before it is in force.

use std::sync::Arc;
use std::time::Duration;

use model::{Labels, Matcher};
use parking_lot::{Mutex, RwLock};
use stdx::clock::Clock;
use stdx::rand::Random;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ack::Acks;
use crate::alert::{Alert, Annotations};
use crate::config::Config;
use crate::core::{AlertGroup, AlertView, Core, Source};
use crate::dispatch::Now;
use crate::log::{KeptAlert, NotificationLog};
use crate::route::Route;
use crate::silence::{Silence, SilenceError, Silences};
use crate::store::{Store, StoreError};
use crate::text::{TemplateError, Texts};

mod acks;
mod deliver;
pub(crate) mod history;
mod metrics;
mod silences;
mod timeline;
mod writer;

pub use acks::SetAckError;
pub use deliver::FailedNotification;
use deliver::Failures;
use history::{HistoryMetrics, HistoryWriter, Queue};
use metrics::Metrics;
pub(crate) use silences::ALERT_NAME as SILENCE_ALERT_NAME;
pub use silences::PlannedGroup;
use writer::LogWriter;

/// How often what is over is forgotten.
pub(crate) const GARBAGE_INTERVAL: Duration = Duration::from_secs(15 * 60);
/// How often groups without alerts are removed; and metrics that are counted then.
pub(crate) const EMPTY_GROUPS_INTERVAL: Duration = Duration::from_secs(30);
/// So long those who are being told may take when a reload or the end comes.
const GRACE: Duration = Duration::from_secs(2);
/// How long a reload or stop waits for what was cancelled.
const STOP_MAX: Duration = Duration::from_secs(10);

/// What Alertmanager's file does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long the timeline of alerts is kept.
    pub history_retention_ms: i64,
    /// How long before a silence ends that still holds alerts back it is said; 0: never.
    pub silence_expiry_warning_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { history_retention_ms: 90 * 24 * 3_600_000, silence_expiry_warning_ms: 30 * 60_000 }
    }
}

/// What it needs.
pub struct Deps {
    /// What Alertmanager's file does not say.
    pub settings: Settings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Jitter and names.
    pub random: Arc<dyn Random>,
    /// Where state is kept.
    pub store: Arc<dyn Store>,
    /// Where metrics are shown.
    pub registry: prometheus::Registry,
    /// Where we are, as notifications say it; without a slash at the end.
    pub external_url: String,
}

/// It could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Templates that cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// State that cannot be read.
    #[error("cannot read silences and the notification log: {0}")]
    Store(#[from] StoreError),
    /// Metrics of these names exist.
    #[error("cannot register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// A silence could not be made or ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetSilenceError {
    /// It cannot be.
    #[error(transparent)]
    Silence(#[from] SilenceError),
    /// It cannot be kept, so it is not in force.
    #[error("the silence could not be stored: {0}")]
    Store(#[from] StoreError),
}

/// An alert as others report it.
#[derive(Debug, Clone, Default)]
pub struct ReportedAlert {
    /// What names it.
    pub labels: Vec<(String, String)>,
    /// What else is said about it.
    pub annotations: Annotations,
    /// Since when it fires; unknown: now, or its end.
    pub starts_at_ms: Option<i64>,
    /// When it ended or will have; unknown: after the configured time.
    pub ends_at_ms: Option<i64>,
    /// Where its query can be looked at.
    pub generator_url: String,
}

/// Everything that runs.
struct Inner {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    store: Arc<dyn Store>,
    external_url: String,
    metrics: Metrics,
    failures: Failures,
    core: Mutex<Core>,
    settings: RwLock<Settings>,
    running: RwLock<Running>,
    /// Something may be due earlier than was thought.
    wake: Notify,
    stop: CancellationToken,
    /// One change of silences, one of acknowledgements, and one reload, at a time.
    silences: tokio::sync::Mutex<()>,
    acks: tokio::sync::Mutex<()>,
    reload: tokio::sync::Mutex<()>,
    writer: LogWriter,
    /// What the timeline is told, and who writes it.
    queue: Arc<Queue>,
    history: HistoryWriter,
    started_ms: i64,
}

/// What belongs to one configuration.
#[derive(Clone)]
struct Running {
    config: Arc<Config>,
    texts: Arc<Texts>,
    /// Ends what this configuration has begun.
    stop: CancellationToken,
    tasks: TaskTracker,
    lanes: Arc<deliver::Lanes>,
}

impl Running {
    fn new(config: Arc<Config>, texts: Texts) -> Self {
        let lanes = Arc::new(deliver::Lanes::new(&config));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        Self { config, texts: Arc::new(texts), stop, tasks, lanes }
    }

    /// Gives what is being told a moment, then ends it.
    async fn end(&self) {
        self.tasks.close();
        // Most receivers answer at once; one that does not is told again later.
        let _ = tokio::time::timeout(GRACE, self.tasks.wait()).await;
        self.stop.cancel();
        if tokio::time::timeout(STOP_MAX, self.tasks.wait()).await.is_err() {
            tracing::warn!("notifications were still being sent when their time was over");
        }
    }
}

/// The notifier. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Reads the kept state and starts.
///
/// # Errors
/// If templates or the state cannot be read.
pub async fn start(config: Config, deps: Deps) -> Result<Handle, StartError> {
    let texts = load_texts(&config).await?;
    let metrics = Metrics::register(&deps.registry)?;
    let (store, now_ms) = (Arc::clone(&deps.store), deps.clock.now_ms());
    let read = move || Ok::<_, StoreError>((store.silences()?, store.log(now_ms)?, store.acks()?));
    let read = spawn_blocking(read).await.map_err(|error| StoreError(error.to_string()))?;
    let (silences, mut log, acks) = read?;
    let (silences, faults) = Silences::load(silences);
    for (id, error) in faults {
        tracing::error!(id, %error, "a stored silence cannot be used and is not in force");
    }
    let kept = log.iter_mut().flat_map(|(_, entry)| std::mem::take(&mut entry.alerts));
    let kept = Vec::from_iter(kept.map(KeptAlert::into_alert));
    let queue = Arc::<Queue>::default();
    let mut core = Core::new(&config, silences, NotificationLog::load(log), Arc::clone(&queue));
    core.presume(kept, now(&*deps.clock));
    core.acks = Acks::load(acks, now_ms);
    let history_metrics = HistoryMetrics::register(&deps.registry)?;
    let inner = Arc::new(Inner {
        settings: RwLock::new(deps.settings),
        history: HistoryWriter::start(Arc::clone(&queue), Arc::clone(&deps.store), history_metrics),
        queue,
        writer: LogWriter::start(Arc::clone(&deps.store)),
        running: RwLock::new(Running::new(Arc::new(config), texts)),
        started_ms: now_ms,
        clock: deps.clock,
        random: deps.random,
        store: deps.store,
        external_url: deps.external_url,
        metrics,
        failures: Failures::default(),
        core: Mutex::new(core),
        wake: Notify::new(),
        stop: CancellationToken::new(),
        silences: tokio::sync::Mutex::new(()),
        acks: tokio::sync::Mutex::new(()),
        reload: tokio::sync::Mutex::new(()),
    });
    let dispatching = tokio::spawn(dispatch(Arc::clone(&inner)));
    let tidying = tokio::spawn(tidy(Arc::clone(&inner)));
    Ok(Handle { inner, tasks: Arc::new(Mutex::new(vec![dispatching, tidying])) })
}

/// A configuration with all that it needs, ready to be put in force.
pub struct Prepared(Running);

/// Reads what a configuration needs. Nothing changes yet.
///
/// # Errors
/// If templates cannot be used.
pub async fn prepare(config: Config) -> Result<Prepared, TemplateError> {
    let texts = load_texts(&config).await?;
    Ok(Prepared(Running::new(Arc::new(config), texts)))
}

async fn load_texts(config: &Config) -> Result<Texts, TemplateError> {
    let files = config.template_files.clone();
    let loaded = spawn_blocking(move || Texts::load(&files)).await;
    loaded.map_err(|error| TemplateError::Syntax(error.to_string()))?
}

/// Tells groups when they are due.
async fn dispatch(inner: Arc<Inner>) {
    loop {
        let now = inner.now();
        let (generation, flushes, due_ms) = {
            let mut core = inner.core.lock();
            let flushes = core.take_due(now);
            (core.generation(), flushes, core.next_due_ms())
        };
        let running = inner.running.read().clone();
        for flush in flushes {
            let task = deliver::flush(Arc::clone(&inner), running.clone(), generation, flush);
            running.tasks.spawn(task);
        }
        let wait_ms =
            due_ms.map_or(60_000, |due_ms| due_ms.saturating_sub(now.monotonic_ms).clamp(1, 60_000));
        let wait = Duration::from_millis(wait_ms.unsigned_abs());
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = inner.wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Forgets what is over.
async fn tidy(inner: Arc<Inner>) {
    let mut collected = inner.clock.monotonic();
    let mut passed_ms = inner.clock.now_ms();
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(EMPTY_GROUPS_INTERVAL) => {}
        }
        let now_ms = inner.clock.now_ms();
        {
            let mut core = inner.core.lock();
            core.remove_empty_groups();
            core.pass(passed_ms, now_ms);
        }
        passed_ms = now_ms;
        silences::warn(&inner);
        acks::forget_ended(&inner).await;
        inner.count();
        if inner.clock.monotonic().saturating_sub(collected) < GARBAGE_INTERVAL {
            continue;
        }
        collected = inner.clock.monotonic();
        let gone = inner.core.lock().collect_garbage(now_ms);
        let store = Arc::clone(&inner.store);
        let history_starts_ms = now_ms.saturating_sub(inner.settings.read().history_retention_ms);
        let forget = spawn_blocking(move || {
            if !gone.is_empty() {
                store.delete_silences(&gone)?;
            }
            store.trim_events(history_starts_ms)?;
            store.trim_log(now_ms)
        });
        match forget.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "old state of notifications could not be deleted"),
            Err(error) => tracing::error!(%error, "deleting old state of notifications panicked"),
        }
    }
}

/// The moment on both clocks.
fn now(clock: &dyn Clock) -> Now {
    let monotonic = clock.monotonic().as_millis();
    Now { wall_ms: clock.now_ms(), monotonic_ms: i64::try_from(monotonic).unwrap_or(i64::MAX) }
}

impl Inner {
    fn now(&self) -> Now {
        now(&*self.clock)
    }

    /// Brings the metrics that are counted, not summed, up to date.
    fn count(&self) {
        let now_ms = self.clock.now_ms();
        let core = self.core.lock();
        let (active, suppressed, groups) = core.counts(now_ms);
        self.metrics.set_counts(active, suppressed, groups, core.silences.counts(now_ms));
    }
}

impl Handle {
    /// Takes alerts in as others report them. Those that can be are taken even if others cannot.
    ///
    /// # Errors
    /// What is wrong with those that are not taken, in Alertmanager's words.
    pub fn report(&self, alerts: Vec<ReportedAlert>) -> Result<(), String> {
        let resolve_ms = self.inner.running.read().config.global.resolve_timeout.0;
        let now = self.inner.now();
        let (mut valid, mut faults) = (Vec::new(), Vec::new());
        for alert in alerts {
            match validated(alert, resolve_ms, now.wall_ms) {
                Ok(alert) => valid.push(alert),
                Err(fault) => faults.push(fault),
            }
        }
        self.inner.metrics.invalid.inc_by(faults.len() as u64);
        if let Err(full) = self.take(valid, Source::Outside) {
            faults.push(full);
        }
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }

    /// Takes alerts of our own rules in. The timeline learns from [`Self::record`] what they are.
    ///
    /// # Errors
    /// If there are more than can be kept.
    pub fn put(&self, alerts: Vec<Alert>) -> Result<(), String> {
        self.take(alerts, Source::Rules)
    }

    fn take(&self, alerts: Vec<Alert>, source: Source) -> Result<(), String> {
        let now = self.inner.now();
        for alert in &alerts {
            self.inner.metrics.received(alert.is_resolved_at(now.wall_ms));
        }
        let refused = self.inner.core.lock().put(alerts, source, now);
        self.inner.wake.notify_one();
        if refused == 0 {
            return Ok(());
        }
        self.inner.metrics.refused.inc_by(refused as u64);
        Err(format!("{refused} alerts were not taken: there are too many already"))
    }

    /// A notifier of the same configuration and silences that tells nobody.
    pub fn rehearsal(&self) -> crate::rehearsal::Rehearsal {
        let config = Arc::clone(&self.inner.running.read().config);
        crate::rehearsal::Rehearsal::new(&config, self.silences(&[]))
    }

    /// Alerts that are not over, by fingerprint.
    pub fn alerts(&self) -> Vec<AlertView> {
        self.inner.core.lock().alerts(self.inner.clock.now_ms())
    }

    /// All groups with their alerts that are not over.
    pub fn groups(&self) -> Vec<AlertGroup> {
        self.inner.core.lock().groups(self.inner.clock.now_ms())
    }

    /// Names of all receivers, in the file's order.
    pub fn receivers(&self) -> Vec<Arc<str>> {
        let config = Arc::clone(&self.inner.running.read().config);
        let known = self.inner.core.lock().receiver_names();
        let in_order = config.receivers.iter().map(|receiver| Arc::clone(&receiver.name));
        in_order.filter(|name| known.contains(name)).collect()
    }

    /// All receivers with their ways, in the file's order, whether or not a route leads to them.
    pub fn receivers_configured(&self) -> Vec<crate::Receiver> {
        self.inner.running.read().config.receivers.clone()
    }

    /// The routing tree in force.
    pub fn route(&self) -> Arc<Route> {
        Arc::clone(self.inner.core.lock().route())
    }

    /// The configuration in force, secrets hidden.
    pub fn config_text(&self) -> String {
        self.inner.running.read().config.redacted.clone()
    }

    /// Since when it runs, in ms since the epoch.
    pub fn started_ms(&self) -> i64 {
        self.inner.started_ms
    }

    /// Now, in ms since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    /// Silences whose conditions are all that `filter` asks for, in Alertmanager's order.
    pub fn silences(&self, filter: &[Matcher]) -> Vec<Silence> {
        self.inner.core.lock().silences.list(filter, self.inner.clock.now_ms())
    }

    /// One silence.
    pub fn silence(&self, id: &str) -> Option<Silence> {
        self.inner.core.lock().silences.get(id).cloned()
    }

    /// Makes a silence, or changes one. Returns the name of the one that holds then. It is on disk by then.
    ///
    /// # Errors
    /// If it cannot be, or cannot be kept.
    pub async fn set_silence(&self, wanted: Silence) -> Result<String, SetSilenceError> {
        let _one = self.inner.silences.lock().await;
        let now_ms = self.inner.clock.now_ms();
        let random = &*self.inner.random;
        let plan = self.inner.core.lock().silences.plan(wanted, now_ms, || new_id(random))?;
        let id = plan.last().map(|silence| silence.id.clone()).unwrap_or_default();
        self.keep(plan).await?;
        Ok(id)
    }

    /// Ends a silence now. One that has ended stays as it is.
    ///
    /// # Errors
    /// If there is none, or that cannot be kept.
    pub async fn expire_silence(&self, id: &str) -> Result<(), SetSilenceError> {
        let _one = self.inner.silences.lock().await;
        let now_ms = self.inner.clock.now_ms();
        let change = self.inner.core.lock().silences.plan_expiry(id, now_ms)?;
        match change {
            Some(change) => self.keep(vec![change]).await,
            None => Ok(()),
        }
    }

    /// Writes changes, then puts them in force.
    async fn keep(&self, changes: Vec<Silence>) -> Result<(), SetSilenceError> {
        let (store, written) = (Arc::clone(&self.inner.store), changes.clone());
        let save = spawn_blocking(move || store.save_silences(&written)).await;
        save.map_err(|error| StoreError(error.to_string()))??;
        let now_ms = self.inner.clock.now_ms();
        let mut core = self.inner.core.lock();
        for change in changes {
            core.apply_silence(change, now_ms)?;
        }
        Ok(())
    }

    /// Notifications that could not be delivered, the newest first.
    pub fn failed(&self) -> Vec<FailedNotification> {
        self.inner.failures.list()
    }

    /// Puts other settings in force.
    pub fn configure(&self, settings: Settings) {
        *self.inner.settings.write() = settings;
    }

    /// Puts another configuration in force. Alerts and silences stay; groups begin anew, and nobody is told again what he
    /// knows.
    pub async fn reload(&self, prepared: Prepared) {
        let _one = self.inner.reload.lock().await;
        let old = self.inner.running.read().clone();
        old.end().await;
        let next = prepared.0;
        {
            let mut core = self.inner.core.lock();
            core.reconfigure(&next.config, self.inner.now());
            *self.inner.running.write() = next;
        }
        self.inner.wake.notify_one();
    }

    /// Stops. What is being told is given a moment; what was told is on disk afterwards.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "the notifier panicked");
            }
        }
        let running = self.inner.running.read().clone();
        running.end().await;
        acks::forget_ended(&self.inner).await;
        self.inner.writer.stop().await;
        self.inner.history.stop().await;
    }
}

/// A whole alert of what was reported.
fn validated(alert: ReportedAlert, resolve_ms: i64, now_ms: i64) -> Result<Alert, String> {
    let starts_at_ms = alert.starts_at_ms.or(alert.ends_at_ms).unwrap_or(now_ms);
    let is_timeout = alert.ends_at_ms.is_none();
    let ends_at_ms = alert.ends_at_ms.unwrap_or_else(|| now_ms.saturating_add(resolve_ms));
    if ends_at_ms < starts_at_ms {
        return Err("start time must be before end time".to_owned());
    }
    let mut pairs = alert.labels;
    // An empty label is one that is not there.
    pairs.retain(|(_, value)| !value.is_empty());
    if pairs.is_empty() {
        return Err("at least one label pair required".to_owned());
    }
    let too_long = |text: &str| text.len() > model::labels::LEN_MAX;
    for (name, value) in &pairs {
        if name.is_empty() || too_long(name) || too_long(value) {
            let shown: String = name.chars().take(100).collect();
            return Err(format!("invalid label set: invalid name {shown:?}"));
        }
    }
    if let Some(name) = alert.annotations.keys().find(|name| name.is_empty()) {
        return Err(format!("invalid annotations: invalid name {name:?}"));
    }
    Ok(Alert {
        labels: Labels::from_pairs(pairs),
        annotations: alert.annotations,
        starts_at_ms,
        ends_at_ms,
        generator_url: alert.generator_url,
        updated_at_ms: now_ms,
        is_timeout,
    })
}

/// A random UUID.
fn new_id(random: &dyn Random) -> String {
    let high = random.next_u64() & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = random.next_u64() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests;
