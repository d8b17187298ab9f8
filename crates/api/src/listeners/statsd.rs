//! StatsD's values, aggregated: what many datagrams say becomes a sample a series and flush interval.
//!
//! Counters add up for as long as a series lives, as `rate()` wants them. Gauges keep their last value. Sets count the different texts of an
//! interval. Timers (in seconds), histograms and distributions become native histograms, or quantiles of an interval with `_sum` and `_count`.
//! A series to which nothing came for the idle timeout ends, with a staleness marker. Characters that are not usual in
//! Prometheus' names become `_`.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use model::number::{FloatFormat, write_float};
use model::{LabelsBuilder, LabelsRef, METRIC_NAME, STALE_NAN};
use parking_lot::Mutex;
use stdx::memory::{Budget, Reservation};
use storage::WriteBatch;
use tokio_util::sync::CancellationToken;
use wire::statsd::{Kind, Metric, Value};

use crate::push::{Buckets, Noticed, Protocol, Source, StatsdSettings, Timers, store, usual_name};
use crate::state::State;

/// Series that are aggregated at one time; values of further ones are refused.
const SERIES_MAX: usize = 200_000;
/// Different texts of all sets that are told apart in an interval.
const SET_TEXTS_MAX: usize = 1_000_000;
/// Labels of one series, with their names.
const LABELS_BYTES_MAX: usize = 4 << 10;
/// What a series takes beside its labels.
const SERIES_BYTES: u64 = 512;
/// What observations take on top.
const OBSERVED_BYTES: u64 = 4 << 10;

impl StatsdSettings {
    /// Whether anything listens.
    pub(super) fn is_on(&self) -> bool {
        self.lines.listen_tcp.is_some() || self.lines.listen_udp.is_some() || self.listen_unix.is_some()
    }
}

/// The aggregate, shared by all StatsD sockets.
pub(super) struct Statsd {
    settings: StatsdSettings,
    hasher: RandomState,
    aggregate: Mutex<Aggregate>,
}

struct Aggregate {
    /// By packed labels, with the metric's name.
    series: HashMap<String, Series>,
    builder: LabelsBuilder,
    key: String,
    name: String,
    /// Texts in all sets.
    texts_count: usize,
    held: Reservation,
}

struct Series {
    last_ms: i64,
    state: Aggregated,
}

enum Aggregated {
    Counter(f64),
    Gauge(f64),
    Set(HashSet<u64>),
    Observed(Box<Observed>),
}

/// Observations of a timer, histogram or distribution.
#[derive(Default)]
struct Observed {
    /// For as long as the series lives.
    total: Buckets,
    /// Since the last flush; only for quantiles.
    interval: Buckets,
}

impl Statsd {
    pub(super) fn new(settings: StatsdSettings, budget: &Arc<Budget>) -> Arc<Self> {
        let aggregate = Aggregate {
            series: HashMap::new(),
            builder: LabelsBuilder::new(),
            key: String::new(),
            name: String::new(),
            texts_count: 0,
            held: budget.reserve_none(),
        };
        Arc::new(Self { settings, hasher: RandomState::new(), aggregate: Mutex::new(aggregate) })
    }

    /// Takes the values of a line.
    ///
    /// # Errors
    /// The kind of fault, and the fault.
    pub(super) fn add(&self, metric: &Metric<'_>, now_ms: i64) -> Result<(), (&'static str, &'static str)> {
        let mut aggregate = self.aggregate.lock();
        let Aggregate { series, builder, key, name, texts_count, held } = &mut *aggregate;
        name_series(metric, builder, name).map_err(|message| ("invalid", message))?;
        key.clear();
        builder.pack_into(key);
        // Found by a borrowed key: only a new series allocates.
        if !series.contains_key(key.as_str()) {
            if series.len() >= SERIES_MAX {
                return Err(("series_limit", "200,000 series are aggregated already and this one is new"));
            }
            if key.len() > LABELS_BYTES_MAX {
                return Err(("invalid", "name and tags are longer than 4 KiB"));
            }
            if held.grow(size_bytes(key, metric.kind)).is_err() {
                return Err(("memory", "there is no memory for this new series"));
            }
            series.insert(key.clone(), Series { last_ms: now_ms, state: Aggregated::new(metric.kind) });
        }
        let Some(found) = series.get_mut(key.as_str()) else { return Ok(()) };
        if !found.state.is_of(metric.kind) {
            return Err(("invalid", "this metric had another type before"));
        }
        found.last_ms = now_ms;
        for value in metric.values() {
            let value = value.map_err(|message| ("invalid", message))?;
            self.apply(&mut found.state, texts_count, metric, value)
                .map_err(|message| ("invalid", message))?;
        }
        Ok(())
    }

    fn apply(
        &self,
        state: &mut Aggregated,
        texts_count: &mut usize,
        metric: &Metric<'_>,
        value: Value<'_>,
    ) -> Result<(), &'static str> {
        let weight = 1.0 / metric.sample_rate;
        match (state, value) {
            (Aggregated::Counter(total), Value::Number(more)) if more >= 0.0 => *total += more * weight,
            (Aggregated::Counter(_), Value::Number(_)) => return Err("a counter cannot go down"),
            (Aggregated::Gauge(now), Value::Number(set)) => *now = set,
            (Aggregated::Gauge(now), Value::Change(by)) => *now += by,
            (Aggregated::Set(texts), Value::Text(text)) => {
                if *texts_count < SET_TEXTS_MAX {
                    *texts_count += usize::from(texts.insert(self.hasher.hash_one(text)));
                }
            }
            (Aggregated::Observed(observed), Value::Number(value)) => {
                let value = if metric.kind == Kind::Timer { value / 1_000.0 } else { value };
                observed.total.add(value, weight);
                if matches!(self.settings.timers, Timers::Summaries(_)) {
                    observed.interval.add(value, weight);
                }
            }
            _ => return Err("the value is not one of this type"),
        }
        Ok(())
    }

    /// Fills a batch with what all series are now, and ends those to which nothing came for long.
    fn fill(&self, batch: &mut WriteBatch, now_ms: i64) {
        let mut aggregate = self.aggregate.lock();
        let Aggregate { series, builder, texts_count, held, .. } = &mut *aggregate;
        *texts_count = 0;
        let mut size = 0;
        let idle_ms = i64::try_from(self.settings.idle_timeout.as_millis()).unwrap_or(i64::MAX);
        series.retain(|packed, series| {
            let ended = now_ms.saturating_sub(series.last_ms) >= idle_ms;
            let mut out = Out { packed, builder, batch, now_ms, ended };
            series.state.write(&mut out, &self.settings.timers);
            size += if ended { 0 } else { size_bytes(packed, series.state.kind()) };
            !ended
        });
        // Never more than before.
        let _ = held.resize(size);
    }
}

impl Aggregated {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter(0.0),
            Kind::Gauge => Self::Gauge(0.0),
            Kind::Set => Self::Set(HashSet::new()),
            Kind::Timer | Kind::Histogram | Kind::Distribution => Self::Observed(Box::default()),
        }
    }

    /// A type that is aggregated like this.
    fn kind(&self) -> Kind {
        match self {
            Self::Counter(_) => Kind::Counter,
            Self::Gauge(_) => Kind::Gauge,
            Self::Set(_) => Kind::Set,
            Self::Observed(_) => Kind::Histogram,
        }
    }

    fn is_of(&self, kind: Kind) -> bool {
        let kind = if matches!(kind, Kind::Timer | Kind::Distribution) { Kind::Histogram } else { kind };
        self.kind() == kind
    }

    fn write(&mut self, out: &mut Out<'_>, timers: &Timers) {
        match self {
            Self::Counter(value) | Self::Gauge(value) => out.float(*value),
            Self::Set(texts) => {
                out.float(texts.len() as f64);
                texts.clear();
            }
            Self::Observed(observed) => match timers {
                Timers::NativeHistograms => out.histogram(&observed.total),
                Timers::Summaries(quantiles) => {
                    let interval = std::mem::take(&mut observed.interval);
                    for share in quantiles {
                        out.float_of("", Some(*share), interval.quantile(*share));
                    }
                    out.float_of("_sum", None, observed.total.sum);
                    out.float_of("_count", None, observed.total.count);
                }
            },
        }
    }
}

/// Where the samples of a series go.
struct Out<'a> {
    packed: &'a str,
    builder: &'a mut LabelsBuilder,
    batch: &'a mut WriteBatch,
    now_ms: i64,
    /// Only the staleness marker is written.
    ended: bool,
}

impl Out<'_> {
    fn float(&mut self, value: f64) {
        let series = self.batch.add_series(LabelsRef::from_packed_trusted(self.packed));
        self.batch.add_float(series, self.now_ms, if self.ended { STALE_NAN } else { value });
    }

    fn histogram(&mut self, buckets: &Buckets) {
        if self.ended {
            self.float(STALE_NAN);
            return;
        }
        let series = self.batch.add_series(LabelsRef::from_packed_trusted(self.packed));
        self.batch.add_histogram(series, self.now_ms, buckets.to_histogram());
    }

    /// A series with another name or a quantile.
    fn float_of(&mut self, suffix: &str, quantile: Option<f64>, value: f64) {
        let labels = LabelsRef::from_packed_trusted(self.packed);
        self.builder.reset_to(labels);
        if !suffix.is_empty() {
            let name = format!("{}{suffix}", labels.get(METRIC_NAME).unwrap_or_default());
            self.builder.set(METRIC_NAME, &name);
        }
        if let Some(quantile) = quantile {
            let mut text = String::new();
            write_float(&mut text, quantile, FloatFormat::Json).expect("a String takes everything");
            self.builder.set("quantile", &text);
        }
        let builder = &*self.builder;
        let series = self.batch.add_series_with(|packed| builder.pack_into(packed));
        self.batch.add_float(series, self.now_ms, if self.ended { STALE_NAN } else { value });
    }
}

/// What a series takes.
fn size_bytes(packed: &str, kind: Kind) -> u64 {
    let is_observed = matches!(kind, Kind::Timer | Kind::Histogram | Kind::Distribution);
    packed.len() as u64 + SERIES_BYTES + if is_observed { OBSERVED_BYTES } else { 0 }
}

/// The labels of a metric. A tag without a value is `true`; of one given twice, the last counts.
fn name_series(
    metric: &Metric<'_>,
    builder: &mut LabelsBuilder,
    name: &mut String,
) -> Result<(), &'static str> {
    builder.clear();
    for (tag, value) in metric.tags() {
        usual_name(tag, false, name);
        if *name == METRIC_NAME || name.is_empty() {
            return Err("a tag has no name, or is called __name__");
        }
        builder.set(name, if value.is_empty() { "true" } else { value });
    }
    usual_name(metric.name, true, name);
    builder.set(METRIC_NAME, name);
    Ok(())
}

/// Writes the aggregate each interval, and once more at the end.
pub(super) async fn flush_regularly(statsd: Arc<Statsd>, state: Arc<State>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(statsd.settings.flush_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    ticks.tick().await;
    loop {
        let last = tokio::select! {
            () = stop.cancelled() => true,
            _ = ticks.tick() => false,
        };
        let (statsd, state) = (Arc::clone(&statsd), Arc::clone(&state));
        let flushed = tokio::task::spawn_blocking(move || flush(&statsd, &state));
        if let Err(error) = flushed.await {
            tracing::error!(%error, "writing what StatsD sent panicked");
        }
        if last {
            return;
        }
    }
}

fn flush(statsd: &Statsd, state: &State) {
    let mut batch = state.intake.take_batch();
    statsd.fill(&mut batch, state.deps.clock.now_ms());
    if !batch.is_empty() {
        let tenant = &statsd.settings.lines.tenant;
        let mut source = Source::of_listener(Protocol::Statsd, tenant.clone());
        "aggregate".clone_into(&mut source.agent);
        if let Err(error) = store(state, tenant, source, &mut batch, Noticed::default()) {
            // Counters go on: what is missing is this interval's point.
            tracing::warn!(error = error.message(), "what StatsD sent is not written this time");
        }
    }
    state.intake.give_back(batch);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What a batch holds, sorted: labels and values.
    fn flushed(statsd: &Statsd, now_ms: i64) -> Vec<String> {
        let mut batch = WriteBatch::new();
        statsd.fill(&mut batch, now_ms);
        let floats = batch.floats().map(|(series, _, value)| format!("{} {value}", batch.series(series)));
        let histograms = batch.histograms().iter();
        let histograms = histograms
            .map(|h| format!("{} n={} sum={}", batch.series(h.series), h.histogram.count, h.histogram.sum));
        let mut all: Vec<String> = floats.chain(histograms).collect();
        all.sort();
        all
    }

    fn add(statsd: &Statsd, now_ms: i64, lines: &[&str]) -> Vec<String> {
        let mut faults = Vec::new();
        for line in lines {
            let Ok(wire::statsd::Line::Metric(metric)) = wire::statsd::Line::parse(line.as_bytes()) else {
                panic!("{line} is a metric")
            };
            faults.extend(statsd.add(&metric, now_ms).err().map(|(_, message)| message.to_owned()));
        }
        faults
    }

    #[test]
    fn every_type_is_aggregated_as_it_means() {
        let statsd = Statsd::new(StatsdSettings::default(), &Budget::unlimited());
        let lines = [
            "page.views:1|c|#env:prod,up",
            "page.views:2|c|@0.5|#up,env:prod",
            "fuel:3|g",
            "fuel:-1|g",
            "users:ann|s",
            "users:bob|s",
            "users:ann|s",
            "t:200:300|ms",
        ];
        assert_eq!(add(&statsd, 0, &lines), [""; 0]);
        let first = [
            r#"{__name__="fuel"} 2"#,
            r#"{__name__="page_views", env="prod", up="true"} 5"#,
            r#"{__name__="t"} n=2 sum=0.5"#,
            r#"{__name__="users"} 2"#,
        ];
        assert_eq!(flushed(&statsd, 0), first);
        assert_eq!(add(&statsd, 0, &["page.views:1|c|#env:prod,up", "t:100|ms"]), [""; 0]);
        assert_eq!(
            flushed(&statsd, 0),
            [
                r#"{__name__="fuel"} 2"#,
                r#"{__name__="page_views", env="prod", up="true"} 6"#,
                r#"{__name__="t"} n=3 sum=0.6"#,
                r#"{__name__="users"} 0"#,
            ]
        );
    }

    #[test]
    fn timers_can_be_quantiles_of_the_interval() {
        let timers = Timers::Summaries(vec![0.5]);
        let statsd =
            Statsd::new(StatsdSettings { timers, ..StatsdSettings::default() }, &Budget::unlimited());
        assert_eq!(add(&statsd, 0, &["h:8|h|@0.5"]), [""; 0]);
        let got = flushed(&statsd, 0);
        assert_eq!(got[1..], [r#"{__name__="h_count"} 2"#, r#"{__name__="h_sum"} 16"#]);
        assert!(got[0].starts_with(r#"{__name__="h", quantile="0.5"} 7."#), "{}", got[0]);
        assert_eq!(flushed(&statsd, 0)[0], r#"{__name__="h", quantile="0.5"} NaN"#);
    }

    #[test]
    fn faults_are_told_and_silent_series_end() {
        let idle_timeout = Duration::from_secs(1);
        let statsd =
            Statsd::new(StatsdSettings { idle_timeout, ..StatsdSettings::default() }, &Budget::unlimited());
        let faults = add(&statsd, 0, &["a:1|c", "a:1|g", "a:-1|c", "b:1|c|#__name__:x"]);
        assert_eq!(
            faults,
            [
                "this metric had another type before",
                "a counter cannot go down",
                "a tag has no name, or is called __name__"
            ]
        );
        assert_eq!(flushed(&statsd, 999), [r#"{__name__="a"} 1"#]);
        assert_eq!(flushed(&statsd, 1_000), [r#"{__name__="a"} NaN"#]);
        assert_eq!(flushed(&statsd, 1_000), [""; 0]);
    }
}
