//! Rules and notifications, killed again and again at random moments of a noisy evaluation; seeded, in virtual time.
//!
//! Everything is real but for what is outside: the engine runs on a simulated disk, rules are evaluated over it, their alerts go to a notifier
//! whose store keeps rows as the catalog does, and receivers refuse, hesitate, or take a notification and answer with an error. A kill leaves what
//! was durable at that moment. What must hold, whatever the seed:
//!
//! - when the world stands still, each receiver believes exactly those alerts to fire that do: none is forgotten, none is stuck;
//! - it hears the same twice in a row only if the first time was not recorded: its answer was a failure, or the process died before the record.
//!
//! By hand: `KYMO_SIM_SECONDS=600 cargo test -p notifier simulation -- --nocapture` tries seeds for ten minutes, `KYMO_SIM_SEED=42` that one
//! alone, and prints who hears what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use model::{Labels, METRIC_NAME, TenantId};
use parking_lot::Mutex;
use rules::env::{Env, Helpers, Timing};
use rules::{AlertSink, Defaults, External, Group, SentAlert};
use sim::fs::SimFs;
use stdx::cancel::Cancel;
use stdx::clock::ManualClock;
use stdx::memory::Budget;
use stdx::rand::{Random, SeededRandom};
use storage::{Appender, Querier, WriteBatch};
use tsdb::Tsdb;

use crate::ack::Ack;
use crate::alert::{Alert, Fingerprint};
use crate::config::Config;
use crate::log::{LogEntry, LogKey};
use crate::receiver::{Integration, Notification, SendError, Sending};
use crate::service::{Deps, Handle, start};
use crate::silence::Silence;
use crate::store::{Store, StoreError};
use crate::timeline::{KeptEvent, KnownAlert, PastEvent};

/// Kills of one run.
const KILLS: u64 = 200;
/// The world stands still once in so many lives, until all is told.
const LIVES_PER_CHECK: u64 = 8;
/// So long does it take until all is told: what was before the start is believed for 2 minutes, rules wait and keep on for 2 each.
const SETTLED_S: u64 = 900;
const START_MS: i64 = 1_760_000_000_000;
const INTERVAL_S: i64 = 15;
const SERIES: u64 = 10;
const REPEAT_MS: i64 = 4 * 3_600_000;

const RULES: &str = r"
groups:
- name: noisy
  rules:
  - {alert: AtOnce, expr: bad == 1}
  - {alert: Soon, expr: bad == 1, for: 30s}
  - {alert: Later, expr: bad == 1, for: 2m, labels: {severity: page}}
  - {alert: Lasting, expr: bad == 1, keep_firing_for: 2m, labels: {severity: page}}
";

const ROUTES: &str = "
route:
  receiver: by_name
  group_by: [alertname]
  group_wait: 10s
  group_interval: 30s
  repeat_interval: 4h
  routes:
  - matchers: [severity=page]
    receiver: each
    group_by: ['...']
receivers:
- name: by_name
- name: each
";

/// The process dies when this burns down: nothing that happens afterwards has an effect on anything that remains.
#[derive(Debug)]
struct Fuse {
    left: AtomicI64,
    is_blown: AtomicBool,
    disk: SimFs,
    /// The step at which it died.
    place: Mutex<&'static str>,
}

impl Fuse {
    /// One step of the process. Whether it lives.
    fn step(&self, place: &'static str) -> bool {
        if self.is_blown() {
            return false;
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) != 1 {
            return true;
        }
        self.is_blown.store(true, Ordering::SeqCst);
        self.disk.crash_after(0);
        *self.place.lock() = place;
        false
    }

    fn is_blown(&self) -> bool {
        self.is_blown.load(Ordering::SeqCst)
    }
}

/// Rows as the catalog has them: what remains.
type Rows = Arc<Mutex<BTreeMap<String, String>>>;

/// The store of one life.
struct FragileStore {
    rows: Rows,
    fuse: Arc<Fuse>,
}

fn dead() -> StoreError {
    StoreError("the process is dead".to_owned())
}

fn read(rows: &Rows) -> Vec<(LogKey, LogEntry)> {
    let row = |(key, entry): (&String, &String)| {
        (serde_json::from_str(key).expect("a key"), serde_json::from_str(entry).expect("an entry"))
    };
    rows.lock().iter().map(row).collect()
}

impl Store for FragileStore {
    fn silences(&self) -> Result<Vec<Silence>, StoreError> {
        Ok(Vec::new())
    }

    fn save_silences(&self, _: &[Silence]) -> Result<(), StoreError> {
        Ok(())
    }

    fn delete_silences(&self, _: &[String]) -> Result<(), StoreError> {
        Ok(())
    }

    fn log(&self, now_ms: i64) -> Result<Vec<(LogKey, LogEntry)>, StoreError> {
        let alive = read(&self.rows).into_iter().filter(|(_, entry)| entry.expires_at_ms > now_ms);
        Ok(alive.collect())
    }

    fn save_log(&self, entries: &[(LogKey, LogEntry)]) -> Result<(), StoreError> {
        if !self.fuse.step("before a record") {
            return Err(dead());
        }
        let text = |(key, entry): &(LogKey, LogEntry)| {
            (serde_json::to_string(key).expect("text"), serde_json::to_string(entry).expect("text"))
        };
        self.rows.lock().extend(entries.iter().map(text));
        if self.fuse.step("after a record") { Ok(()) } else { Err(dead()) }
    }

    fn trim_log(&self, now_ms: i64) -> Result<(), StoreError> {
        if self.fuse.is_blown() {
            return Err(dead());
        }
        let over = read(&self.rows).into_iter().filter(|(_, entry)| entry.expires_at_ms <= now_ms);
        for (key, _) in over {
            self.rows.lock().remove(&serde_json::to_string(&key).expect("text"));
        }
        Ok(())
    }

    fn acks(&self) -> Result<Vec<Ack>, StoreError> {
        Ok(Vec::new())
    }

    fn save_ack(&self, _: &Ack) -> Result<(), StoreError> {
        Ok(())
    }

    fn delete_acks(&self, _: &[Fingerprint]) -> Result<(), StoreError> {
        Ok(())
    }

    // The timeline is no part of what must survive.

    fn save_events(&self, _: &[KeptEvent]) -> Result<(), StoreError> {
        Ok(())
    }

    fn events(&self, _: Fingerprint, _: i64, _: i64, _: u32) -> Result<Vec<PastEvent>, StoreError> {
        Ok(Vec::new())
    }

    fn known_alerts(
        &self,
        _: i64,
        _: usize,
        _: &dyn Fn(&KnownAlert) -> bool,
    ) -> Result<Vec<KnownAlert>, StoreError> {
        Ok(Vec::new())
    }

    fn labels_of(&self, _: Fingerprint) -> Result<Option<Labels>, StoreError> {
        Ok(None)
    }

    fn trim_events(&self, _: i64) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What a receiver was told last about a group.
#[derive(Debug, Clone)]
struct Heard {
    firing: BTreeSet<u64>,
    resolved: BTreeSet<u64>,
    at_ms: i64,
    /// Whether we know that it knows: then it hears no repetition.
    is_recorded: bool,
}

/// All that receivers know, through all lives.
#[derive(Debug, Default)]
struct Receivers {
    /// By receiver and integration, and group.
    heard: BTreeMap<(String, usize, String), Heard>,
    /// By receiver and integration, and alert: whether it fires.
    believed: BTreeMap<(String, usize), BTreeMap<u64, bool>>,
    notifications: u64,
    repetitions: u64,
    refused: u64,
    faults: Vec<String>,
    /// Whether each notification is printed.
    is_told_of: bool,
}

impl Receivers {
    fn hear(&mut self, receiver: &(String, usize), group: &str, alerts: &[Arc<Alert>], now_ms: i64) {
        let (resolved, firing): (Vec<&Arc<Alert>>, Vec<_>) =
            alerts.iter().partition(|alert| alert.is_resolved_at(now_ms));
        let set = |alerts: Vec<&Arc<Alert>>| alerts.iter().map(|alert| alert.fingerprint().0).collect();
        let (firing, resolved): (BTreeSet<u64>, BTreeSet<u64>) = (set(firing), set(resolved));
        self.notifications += 1;
        if self.is_told_of {
            let seconds = (now_ms - START_MS) / 1_000;
            report(&format!("{seconds} {receiver:?} {group}: firing {firing:x?} resolved {resolved:x?}"));
        }
        let believed = self.believed.entry(receiver.clone()).or_default();
        believed.extend(firing.iter().map(|alert| (*alert, true)));
        believed.extend(resolved.iter().map(|alert| (*alert, false)));
        let heard = Heard { firing, resolved, at_ms: now_ms, is_recorded: false };
        let key = (receiver.0.clone(), receiver.1, group.to_owned());
        let Some(before) = self.heard.insert(key, heard.clone()) else { return };
        if (&before.firing, &before.resolved) != (&heard.firing, &heard.resolved) {
            return;
        }
        if now_ms - before.at_ms < REPEAT_MS {
            self.repetitions += 1;
            if before.is_recorded {
                self.faults.push(format!("{receiver:?} heard twice of {group}: {before:?}, {heard:?}"));
            }
        }
    }

    /// The process was told that it was told, or not.
    fn answered(&mut self, receiver: &(String, usize), group: &str, is_told: bool) {
        let key = (receiver.0.clone(), receiver.1, group.to_owned());
        if let Some(heard) = self.heard.get_mut(&key) {
            heard.is_recorded = is_told;
        }
        self.refused += u64::from(!is_told);
    }

    /// The process has died: what was not recorded may be told again.
    fn survive(&mut self, rows: &Rows) {
        let rows: BTreeMap<_, _> = read(rows)
            .into_iter()
            .map(|(key, entry)| ((key.receiver, key.index, key.group_key), entry))
            .collect();
        for (key, heard) in &mut self.heard {
            let is_durable =
                rows.get(key).is_some_and(|row| row.maybe.is_empty() && row.firing == heard.firing);
            heard.is_recorded &= is_durable;
        }
    }
}

/// One way to tell a receiver.
#[derive(Debug)]
struct Hook {
    name: (String, usize),
    receivers: Arc<Mutex<Receivers>>,
    random: Arc<SeededRandom>,
    fuse: Arc<Fuse>,
    is_sound: Arc<AtomicBool>,
}

impl Integration for Hook {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn index(&self) -> usize {
        self.name.1
    }

    fn send_resolved(&self) -> bool {
        true
    }

    fn send<'a>(&'a self, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let roll = if self.is_sound.load(Ordering::SeqCst) { 100 } else { self.random.below(100) };
            let group = notification.group_key;
            // Some take their time, a few too much.
            if roll < 20 {
                tokio::time::sleep(Duration::from_millis(self.random.below(35_000))).await;
            }
            if !self.fuse.step("before a receiver has it") {
                return std::future::pending().await;
            }
            if (20..30).contains(&roll) {
                self.receivers.lock().answered(&self.name, group, false);
                return Err(SendError::passing("refused"));
            }
            let now_ms = notification.now_ms;
            self.receivers.lock().hear(&self.name, group, notification.alerts, now_ms);
            if !self.fuse.step("before its answer") {
                return std::future::pending().await;
            }
            let is_told = !(30..35).contains(&roll);
            self.receivers.lock().answered(&self.name, group, is_told);
            if is_told { Ok(()) } else { Err(SendError::passing("taken, but who knows")) }
        })
    }
}

/// Alerts of rules on their way to the notifier, as the binary takes them there.
struct Sink {
    notifier: Handle,
    fuse: Arc<Fuse>,
}

impl AlertSink for Sink {
    fn send(&self, _: &TenantId, alerts: &[Arc<SentAlert>]) {
        let alive = self.fuse.step("as alerts are sent");
        let now_ms = self.notifier.now_ms();
        let alert = |alert: &Arc<SentAlert>| Alert {
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            starts_at_ms: alert.starts_at_ms,
            ends_at_ms: alert.ends_at_ms,
            generator_url: alert.generator_url.clone(),
            updated_at_ms: now_ms,
            is_timeout: false,
        };
        if alive {
            self.notifier.put(alerts.iter().map(alert).collect()).expect("there is room");
        }
    }
}

/// What outlives the process.
struct World {
    seed: u64,
    random: Arc<SeededRandom>,
    clock: Arc<ManualClock>,
    disk: SimFs,
    rows: Rows,
    receivers: Arc<Mutex<Receivers>>,
    /// Whether each series is bad.
    is_bad: Vec<bool>,
    checks: u64,
    evaluations: u64,
    places: BTreeMap<&'static str, u64>,
}

/// A process.
struct Life {
    fuse: Arc<Fuse>,
    tsdb: Arc<Tsdb>,
    env: Env,
    group: Group,
    is_sound: Arc<AtomicBool>,
}

fn open(disk: &SimFs, clock: &Arc<ManualClock>) -> Arc<Tsdb> {
    let settings = tsdb::Settings { directory: "/var/kymo".into(), ..tsdb::Settings::default() };
    stdx::fs::create_dir_durably(disk, &settings.directory).expect("made");
    let clock: Arc<ManualClock> = Arc::clone(clock);
    Tsdb::open(settings, tsdb::Deps { fs: disk.shared(), clock, ..tsdb::Deps::system() }).expect("opens")
}

fn group() -> Group {
    let file = rules::file::parse(RULES.as_bytes(), rules::file::Options::default()).expect("sound");
    let defaults = Defaults {
        interval_ms: INTERVAL_S * 1_000,
        query_offset_ms: 0,
        repair_missed_ms: 0,
        external: Arc::new(External::default()),
    };
    Group::new("rules.yml", &file.groups[0], &defaults, true).expect("sound")
}

impl World {
    fn new(seed: u64) -> Self {
        let random = Arc::new(SeededRandom::new(seed));
        Self {
            seed,
            random,
            clock: ManualClock::at(START_MS),
            disk: SimFs::new(seed),
            rows: Rows::default(),
            receivers: Arc::default(),
            is_bad: vec![false; SERIES as usize],
            checks: 0,
            evaluations: 0,
            places: BTreeMap::new(),
        }
    }

    async fn begin(&self) -> Life {
        let fuse = Arc::new(Fuse {
            left: AtomicI64::new(i64::MAX),
            is_blown: AtomicBool::new(false),
            disk: self.disk.clone(),
            place: Mutex::new(""),
        });
        let is_sound = Arc::new(AtomicBool::new(true));
        let mut config = Config::parse(ROUTES.as_bytes(), Path::new("")).expect("fine");
        for receiver in &mut config.receivers {
            let hook = |index: usize| -> Arc<dyn Integration> {
                Arc::new(Hook {
                    name: (receiver.name().to_owned(), index),
                    receivers: Arc::clone(&self.receivers),
                    random: Arc::clone(&self.random),
                    fuse: Arc::clone(&fuse),
                    is_sound: Arc::clone(&is_sound),
                })
            };
            let count = if receiver.name() == "each" { 1 } else { 2 };
            receiver.integrations = (0..count).map(hook).collect();
        }
        let deps = Deps {
            settings: crate::service::Settings::default(),
            clock: Arc::<ManualClock>::clone(&self.clock),
            random: Arc::<SeededRandom>::clone(&self.random),
            store: Arc::new(FragileStore { rows: Arc::clone(&self.rows), fuse: Arc::clone(&fuse) }),
            registry: prometheus::Registry::new(),
            external_url: "http://kymo".to_owned(),
        };
        let notifier = start(config, deps).await.expect("starts");
        let tsdb = open(&self.disk, &self.clock);
        let env = Env {
            engine: Arc::new(promql::Engine::new(promql::Settings::default(), Budget::unlimited())),
            querier: Arc::<Tsdb>::clone(&tsdb) as Arc<dyn Querier>,
            appender: Arc::<Tsdb>::clone(&tsdb) as Arc<dyn Appender>,
            tenant: TenantId::anonymous(),
            clock: Arc::<ManualClock>::clone(&self.clock),
            sink: Arc::new(Sink { notifier, fuse: Arc::clone(&fuse) }),
            metrics: rules::metrics::Metrics::register(&prometheus::Registry::new()).expect("registered"),
            timing: Timing { resend_delay_ms: 30_000, for_grace_period_ms: 60_000, ..Timing::default() },
            cancel: Cancel::never(),
            helpers: Helpers::new(0),
            is_rehearsal: false,
        };
        Life { fuse, tsdb, env, group: group(), is_sound }
    }

    /// Some series change.
    fn stir(&mut self) {
        // A few change often, the others now and then, so that some alerts last and others only flare up.
        for at in 0..self.is_bad.len() {
            let odds = if at < 3 { 4 } else { 40 };
            if self.random.below(odds) == 0 {
                self.is_bad[at] = !self.is_bad[at];
            }
        }
    }

    /// Samples of now.
    fn scrape(&self, tsdb: &Tsdb) {
        let mut batch = WriteBatch::new();
        for (at, is_bad) in self.is_bad.iter().enumerate() {
            let labels = Labels::from_pairs([(METRIC_NAME, "bad"), ("n", at.to_string().as_str())]);
            let series = batch.add_series(labels.as_ref());
            batch.add_float(series, self.clock_ms(), if *is_bad { 1.0 } else { 0.0 });
        }
        // A dead process writes nothing.
        if let Ok(appended) = tsdb.append(&TenantId::anonymous(), &batch) {
            let _ = appended.durable.wait();
        }
    }

    fn clock_ms(&self) -> i64 {
        stdx::clock::Clock::now_ms(&*self.clock)
    }

    /// Lets time pass, at most so long; until the process dies.
    async fn pass(&mut self, life: &Life, seconds: u64, is_noisy: bool) {
        for _ in 0..seconds {
            if life.fuse.is_blown() {
                return;
            }
            self.clock.advance_ms(1_000);
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.clock_ms() % (INTERVAL_S * 1_000) != 0 || !life.fuse.step("before an evaluation") {
                continue;
            }
            if is_noisy {
                self.stir();
            }
            self.scrape(&life.tsdb);
            life.group.evaluate(&life.env, self.clock_ms());
            self.evaluations += 1;
            life.fuse.step("after an evaluation");
        }
    }

    /// Which alerts fire, by receiver.
    fn truth(&self) -> BTreeMap<(String, usize), BTreeSet<u64>> {
        let alerts = |name: &str, is_page: bool| -> Vec<u64> {
            let bad = self.is_bad.iter().enumerate().filter(|(_, is_bad)| **is_bad);
            let of = |(at, _): (usize, &bool)| {
                let n = at.to_string();
                let severity = is_page.then_some(("severity", "page"));
                let pairs = [("alertname", name), ("n", n.as_str())].into_iter().chain(severity);
                Fingerprint::of(&Labels::from_pairs(pairs)).0
            };
            bad.map(of).collect()
        };
        let by_name: BTreeSet<u64> =
            [alerts("AtOnce", false), alerts("Soon", false)].concat().into_iter().collect();
        let each = [alerts("Later", true), alerts("Lasting", true)].concat().into_iter().collect();
        [
            (("by_name".to_owned(), 0), by_name.clone()),
            (("by_name".to_owned(), 1), by_name),
            (("each".to_owned(), 0), each),
        ]
        .into()
    }

    /// The world has stood still: everybody knows what is.
    fn check(&mut self, life: u64) {
        self.checks += 1;
        let receivers = self.receivers.lock();
        for (receiver, firing) in self.truth() {
            let believed = receivers.believed.get(&receiver).into_iter().flatten();
            let believed: BTreeSet<u64> =
                believed.filter(|(_, is_firing)| **is_firing).map(|(alert, _)| *alert).collect();
            let show =
                |alerts: Vec<&u64>| alerts.iter().map(|alert| format!("{alert:016x}")).collect::<Vec<_>>();
            let forgotten = show(firing.difference(&believed).collect());
            let stuck = show(believed.difference(&firing).collect());
            assert!(
                forgotten.is_empty() && stuck.is_empty(),
                "seed {}, life {life}, {receiver:?}: forgotten {forgotten:?}, stuck {stuck:?}",
                self.seed
            );
        }
        assert!(receivers.faults.is_empty(), "seed {}, life {life}: {:#?}", self.seed, receivers.faults);
    }

    /// One process from its start until it is killed.
    async fn live(&mut self, number: u64) {
        let life = self.begin().await;
        if number.is_multiple_of(LIVES_PER_CHECK) {
            self.pass(&life, SETTLED_S, false).await;
            self.check(number);
        }
        life.is_sound.store(false, Ordering::SeqCst);
        let steps = if self.random.below(3) == 0 { self.random.below(12) } else { self.random.below(150) };
        life.fuse.left.store(1 + steps as i64, Ordering::SeqCst);
        self.pass(&life, u64::MAX, true).await;
        *self.places.entry(*life.fuse.place.lock()).or_default() += 1;
        life.tsdb.abandon();
    }

    /// Lives so many lives, then checks once more.
    fn run(&mut self) {
        for number in 0..=KILLS {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime");
            if number < KILLS {
                runtime.block_on(self.live(number));
            } else {
                runtime.block_on(async {
                    let life = self.begin().await;
                    self.pass(&life, SETTLED_S, false).await;
                    self.check(number);
                });
            }
            drop(runtime);
            self.receivers.lock().survive(&self.rows);
            self.disk = self.disk.after_crash(self.seed ^ number);
            // Nobody is there for a while; the world goes on.
            self.clock.advance_ms(1_000 * self.random.below(400) as i64);
            self.stir();
        }
        let receivers = self.receivers.lock();
        report(&format!(
            "seed {}: {KILLS} kills ({:?}), {} evaluations, {} notifications, {} repeated, {} refused, {} checks",
            self.seed,
            self.places,
            self.evaluations,
            receivers.notifications,
            receivers.repetitions,
            receivers.refused,
            self.checks
        ));
    }
}

#[expect(clippy::print_stdout, reason = "a simulation says what it did")]
fn report(text: &str) {
    println!("{text}");
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whenever_it_is_killed_no_alert_is_forgotten_and_none_is_stuck() {
    if let Some(seconds) = number("KYMO_SIM_SECONDS") {
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut seed = stdx::rand::os_seed() % 1_000_000;
        while Instant::now() < until {
            World::new(seed).run();
            seed += 1;
        }
        return;
    }
    let mut world = World::new(number("KYMO_SIM_SEED").unwrap_or(1));
    world.receivers.lock().is_told_of = number("KYMO_SIM_SEED").is_some();
    world.run();
    let receivers = world.receivers.lock();
    assert!(receivers.notifications > KILLS && receivers.repetitions > 0, "there was something to forget");
}
