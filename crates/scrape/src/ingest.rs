//! From an answer to storage: parse, relabel, batch, staleness, report; one append a scrape.
//!
//! A scrape counts whole or not at all: if anything in it is wrong, none of its samples are stored, the series
//! that lived before are ended, and the report says `up 0`. What was scraped, the markers and the report go to
//! storage in one batch, so that no reader sees half a scrape. If storage refuses the batch, nothing is known to
//! have ended: the target may be well. Only a report is tried then, and the next scrape goes on where this left.

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{LabelsRef, METRIC_NAME, Metadata, MetricType, STALE_NAN, UNKNOWN_START_MS};
use storage::{BatchSeries, Durability, Rejected};
use wire::exposition::{Entry, ExemplarText, Format, Parser, Series};
use xxhash_rust::xxh3::xxh3_64;

use crate::body::Body;
use crate::cache::{Lookup, Noted, RawHash, SeriesAt, SeriesCache};
use crate::described::Described;
use crate::env::{Env, Scratch};
use crate::error::ScrapeError;
use crate::recipe::Recipe;
use crate::series_labels::{self, Refused};
use crate::target::Target;

/// A sample further ahead of now is dropped, as in Prometheus: the exporter's clock is wrong.
const AHEAD_MS_MAX: i64 = 10 * 60_000;
/// Most characters of an exemplar's labels, by OpenMetrics.
const EXEMPLAR_CHARS_MAX: usize = 128;
/// A series with more quotes has more labels than anybody stores, and sorting them would take its time.
const QUOTES_MAX: usize = 4_096;
/// In [`Scratch::cached_at`]: not a scraped series.
const NOT_CACHED: SeriesAt = SeriesAt::MAX;

/// What a target answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Body,
    /// Empty if it gave none.
    pub(crate) content_type: String,
}

/// One scrape.
pub(crate) struct Scrape<'a> {
    pub(crate) env: &'a Env,
    pub(crate) recipe: &'a Recipe,
    pub(crate) target: &'a Target,
    /// The timestamp of its samples.
    pub(crate) timestamp_ms: i64,
    /// When it began, in monotonic time.
    pub(crate) began: Duration,
}

/// What a scrape came to.
#[derive(Debug)]
pub(crate) struct Ingested {
    pub(crate) error: Option<ScrapeError>,
    /// Samples after relabelling.
    pub(crate) kept_count: u64,
    pub(crate) durable: Durability,
}

/// What the report series say.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    scraped: u64,
    kept: u64,
    new_series: u64,
    /// -1 if the answer was too large.
    body_bytes: i64,
}

impl Scrape<'_> {
    /// Stores what was fetched, or that it could not be.
    pub(crate) fn ingest(&self, fetched: Result<Answer, ScrapeError>) -> Ingested {
        let mut scratch = self.env.scratches.take();
        scratch.clear();
        let ingested = self.ingest_with(fetched, &mut scratch, &mut self.target.state.cache.lock());
        self.env.scratches.give_back(scratch);
        ingested
    }

    fn ingest_with(
        &self,
        fetched: Result<Answer, ScrapeError>,
        scratch: &mut Scratch,
        cache: &mut SeriesCache,
    ) -> Ingested {
        cache.begin();
        let mut counts = Counts::default();
        let read = fetched.and_then(|answer| {
            counts.body_bytes = i64::try_from(answer.body.bytes().len()).unwrap_or(i64::MAX);
            self.env.metrics.body_bytes.inc_by(answer.body.bytes().len() as u64);
            self.read(&answer, scratch, cache, &mut counts)
        });
        let error = read.err();
        if let Some(error) = &error {
            cache.rollback();
            scratch.clear();
            self.count_error(error, &mut counts);
        }
        let ended = cache.ended(error.is_some());
        let ended_count = add_stale(scratch, ended, self.timestamp_ms);
        self.add_report(scratch, error.is_none(), counts);
        cache.lend(&mut scratch.batch);
        let appended = self.env.appender.append(&self.env.tenant, &scratch.batch);
        cache.take_back(&mut scratch.batch);
        match appended {
            Ok(appended) => {
                self.env.metrics.samples.inc_by(appended.accepted_count as u64);
                self.env.metrics.stale_markers.inc_by(ended_count);
                self.note_rejected(&appended.rejected, scratch, cache);
                if error.is_none() {
                    cache.commit();
                } else {
                    cache.commit_failed();
                }
                Ingested { error, kept_count: counts.kept, durable: appended.durable }
            }
            Err(refused) => {
                cache.abort();
                scratch.clear();
                self.add_report(scratch, false, counts);
                // The same trouble most likely refuses this too; what matters is then in the target's error.
                let report = self.env.appender.append(&self.env.tenant, &scratch.batch);
                let durable = report.map_or(Durability::done(), |appended| appended.durable);
                // A fault of the target is the better news than that it could not be stored.
                let error = error.or(Some(ScrapeError::Storage(refused)));
                Ingested { error, kept_count: 0, durable }
            }
        }
    }

    fn count_error(&self, error: &ScrapeError, counts: &mut Counts) {
        match error {
            ScrapeError::Parse(_) | ScrapeError::Labels { .. } => self.env.metrics.parse_errors.inc(),
            ScrapeError::Limit { limit, .. } => {
                self.env.metrics.limits_exceeded.with_label_values(&[*limit]).inc();
                if *limit == "body_size_limit" {
                    counts.body_bytes = -1;
                }
            }
            _ => {}
        }
    }

    fn read(
        &self,
        answer: &Answer,
        scratch: &mut Scratch,
        cache: &mut SeriesCache,
        counts: &mut Counts,
    ) -> Result<(), ScrapeError> {
        let input = answer.body.bytes();
        // As in Prometheus, an empty answer is a scrape that worked, whatever type it claims.
        if input.is_empty() {
            return Ok(());
        }
        let negotiated = Format::from_content_type(&answer.content_type, self.recipe.fallback)?;
        if let Some(warning) = negotiated.warning {
            tracing::debug!(target = %self.target.spec.url, warning);
        }
        let ahead_ms_max = self.env.clock.now_ms().saturating_add(AHEAD_MS_MAX);
        let mut reading = Reading {
            scrape: self,
            input,
            scratch,
            cache,
            counts,
            ahead_ms_max,
            appended_count: 0,
            limit_error: None,
            family: None,
            described: Described::default(),
        };
        let wants_starts = self.recipe.job.start_timestamps;
        let mut parser = Parser::new(input, negotiated.format).suppress_created(wants_starts);
        while let Some(entry) = parser.next_entry()? {
            let start_ms = match &entry {
                Entry::Series(series) if wants_starts => parser.start_timestamp_ms(series),
                _ => None,
            };
            reading.entry(entry, start_ms.unwrap_or(UNKNOWN_START_MS))?;
        }
        reading.finish()
    }

    /// Series that storage refused do not live, and must not be ended later.
    fn note_rejected(&self, rejected: &[Rejected], scratch: &Scratch, cache: &mut SeriesCache) {
        let was_rejected = self.target.state.rejected.swap(!rejected.is_empty(), Ordering::Relaxed);
        let in_cache = |series: BatchSeries| {
            let at = scratch.cached_at.get(series as usize).copied();
            at.filter(|at| *at != NOT_CACHED)
        };
        if let (Some(first), false) = (rejected.first(), was_rejected) {
            let labels = match in_cache(first.series) {
                Some(at) => LabelsRef::from_packed_trusted(cache.packed_of(at)),
                None => scratch.batch.series(first.series),
            };
            tracing::warn!(
                target = %self.target.spec.url,
                count = rejected.len(),
                first = %labels,
                reason = first.reason.message(),
                "storage refuses samples of this target; said once until none is refused"
            );
        }
        for rejected in rejected {
            self.env.metrics.samples_dropped.with_label_values(&[rejected.reason.as_str()]).inc();
            if let Some(at) = in_cache(rejected.series) {
                cache.untrack(at);
            }
        }
    }

    fn add_report(&self, scratch: &mut Scratch, up: bool, counts: Counts) {
        let job = &self.recipe.job;
        let took = self.env.clock.monotonic().saturating_sub(self.began);
        let mut add = |name: &str, value: f64| {
            let series = add_report_series(scratch, self.target, name);
            scratch.batch.add_float(series, self.timestamp_ms, value);
        };
        add("up", f64::from(u8::from(up)));
        add("scrape_duration_seconds", took.as_secs_f64());
        add("scrape_samples_scraped", counts.scraped as f64);
        add("scrape_samples_post_metric_relabeling", counts.kept as f64);
        add("scrape_series_added", counts.new_series as f64);
        if job.extra_metrics {
            add("scrape_timeout_seconds", self.target.spec.timeout_ms as f64 / 1e3);
            add("scrape_sample_limit", job.sample_limit as f64);
            add("scrape_body_size_bytes", counts.body_bytes as f64);
        }
    }
}

/// Ends the series of a target that is gone, except those that a target in its place goes on writing.
pub(crate) fn end_of_run(env: &Env, recipe: &Recipe, target: &Target, timestamp_ms: i64) -> Durability {
    let successors = env.active.with(&target.spec.labels);
    let successor_caches: Vec<_> = successors.iter().map(|successor| successor.state.cache.lock()).collect();
    let mut scratch = env.scratches.take();
    scratch.clear();
    let durable = {
        let cache = target.state.cache.lock();
        let gone = cache
            .ended(true)
            .filter(|labels| !successor_caches.iter().any(|successor| successor.has_live(labels.packed())));
        let mut ended_count = add_stale(&mut scratch, gone, timestamp_ms);
        if successors.is_empty() {
            ended_count += add_stale_report(&mut scratch, target, recipe, timestamp_ms);
        }
        match env.appender.append(&env.tenant, &scratch.batch) {
            Ok(appended) => {
                env.metrics.stale_markers.inc_by(ended_count);
                appended.durable
            }
            Err(error) => {
                tracing::warn!(target = %target.spec.url, %error, "cannot end the series of a vanished target");
                Durability::done()
            }
        }
    };
    env.scratches.give_back(scratch);
    durable
}

fn add_stale<'c>(
    scratch: &mut Scratch,
    ended: impl Iterator<Item = model::LabelsRef<'c>>,
    timestamp_ms: i64,
) -> u64 {
    let mut count = 0;
    for labels in ended {
        let series = scratch.batch.add_series(labels);
        scratch.batch.add_float(series, timestamp_ms, STALE_NAN);
        count += 1;
    }
    count
}

fn add_stale_report(scratch: &mut Scratch, target: &Target, recipe: &Recipe, timestamp_ms: i64) -> u64 {
    let names =
        ["up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling"];
    let extra: &[&str] = if recipe.job.extra_metrics {
        &["scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes"]
    } else {
        &[]
    };
    let mut count = 0;
    for name in names.iter().chain(&["scrape_series_added"]).chain(extra) {
        let series = add_report_series(scratch, target, name);
        scratch.batch.add_float(series, timestamp_ms, STALE_NAN);
        count += 1;
    }
    count
}

fn add_report_series(scratch: &mut Scratch, target: &Target, name: &str) -> BatchSeries {
    scratch.labels.reset_to(target.spec.labels.as_ref());
    scratch.labels.set(METRIC_NAME, name);
    let labels = &scratch.labels;
    scratch.batch.add_series_with(|packed| labels.pack_into(packed))
}

/// What is known so far about the family whose comments are being read.
struct Family<'a> {
    name: Cow<'a, str>,
    metric_type: MetricType,
    help: Cow<'a, str>,
    unit: &'a str,
}

/// An answer while it is read.
struct Reading<'a, 's> {
    scrape: &'s Scrape<'s>,
    input: &'a [u8],
    scratch: &'s mut Scratch,
    cache: &'s mut SeriesCache,
    counts: &'s mut Counts,
    ahead_ms_max: i64,
    appended_count: u64,
    /// Set once `sample_limit` is exceeded; the rest is only counted.
    limit_error: Option<ScrapeError>,
    family: Option<Family<'a>>,
    /// Says nothing unless the job wants type and unit as labels.
    described: Described<'a>,
}

impl<'a> Reading<'a, '_> {
    /// `start_ms` is when the counter of a series began.
    fn entry(&mut self, entry: Entry<'a>, start_ms: i64) -> Result<(), ScrapeError> {
        match entry {
            Entry::Series(series) => return self.series(&series, start_ms),
            Entry::Type { name, metric_type } => {
                if self.scrape.recipe.job.type_and_unit_labels {
                    self.described.set_type(name.clone(), metric_type);
                }
                self.family(name).metric_type = metric_type;
            }
            Entry::Help { name, text } => self.family(name).help = text,
            Entry::Unit { name, unit } => {
                if self.scrape.recipe.job.type_and_unit_labels {
                    self.described.set_unit(name.clone(), unit);
                }
                self.family(name).unit = unit;
            }
            Entry::Comment(_) => {}
        }
        Ok(())
    }

    /// The family that a comment is about; comments about another before it are complete then.
    fn family(&mut self, name: Cow<'a, str>) -> &mut Family<'a> {
        if self.family.as_ref().is_some_and(|family| family.name != name) {
            self.send_metadata();
        }
        self.family.get_or_insert(Family {
            name,
            metric_type: MetricType::Unknown,
            help: Cow::Borrowed(""),
            unit: "",
        })
    }

    fn send_metadata(&mut self) {
        let Some(family) = self.family.take() else { return };
        // Metadata hardly ever changes: storage hears of it once, and again when it does.
        let content = xxh3_64(family.help.as_bytes())
            ^ xxh3_64(family.unit.as_bytes()).rotate_left(17)
            ^ xxh3_64(family.metric_type.as_str().as_bytes()).rotate_left(31);
        if self.cache.family_changed(&family.name, content) {
            let metadata = Metadata {
                metric_type: family.metric_type,
                unit: family.unit.to_owned(),
                help: family.help.into_owned(),
            };
            self.scratch.batch.add_metadata(&family.name, metadata);
        }
    }

    fn series(&mut self, series: &Series<'a>, start_ms: i64) -> Result<(), ScrapeError> {
        self.counts.scraped += 1;
        let at = match self.cache.find(series.raw, self.described.tag()) {
            Lookup::Known(at) => at,
            Lookup::Dropped => return Ok(()),
            Lookup::Unknown(hash) => match self.new_series(series, hash)? {
                Some(at) => at,
                None => return Ok(()),
            },
        };
        self.counts.kept += 1;
        let job = &self.scrape.recipe.job;
        let own_ms = series.timestamp_ms.filter(|_| job.honor_timestamps);
        if own_ms.is_some_and(|own_ms| own_ms > self.ahead_ms_max) {
            self.drop_sample("too_far_in_future");
            return Ok(());
        }
        if self.is_beyond_limit() {
            return Ok(());
        }
        match self.cache.note(at, own_ms.is_some(), own_ms.is_none() || job.track_timestamps_staleness) {
            Noted::Repeated => {
                self.drop_sample("duplicate");
                return Ok(());
            }
            Noted::New => self.counts.new_series += 1,
            Noted::Known => {}
        }
        self.appended_count += 1;
        let timestamp_ms = own_ms.unwrap_or(self.scrape.timestamp_ms);
        let batch = &mut self.scratch.batch;
        let in_batch = self.cache.add_to(batch, at);
        batch.add_float_since(in_batch, timestamp_ms, series.value, start_ms);
        self.scratch.cached_at.resize(in_batch as usize, NOT_CACHED);
        self.scratch.cached_at.push(at);
        if let Some(exemplar) = &series.exemplar {
            self.exemplar(at, in_batch, exemplar, timestamp_ms)?;
        }
        Ok(())
    }

    /// Whether `sample_limit` allows no more samples; the scrape then fails, once everything was counted.
    fn is_beyond_limit(&mut self) -> bool {
        let limit = self.scrape.recipe.job.sample_limit;
        if limit > 0 && self.appended_count >= limit && self.limit_error.is_none() {
            let message = format!("sample limit exceeded (limit: {limit})");
            self.limit_error = Some(ScrapeError::limit("sample_limit", message));
        }
        self.limit_error.is_some()
    }

    /// Labels of a series that is not known yet; `None` if relabelling drops it or the limit is exceeded.
    fn new_series(&mut self, series: &Series<'a>, hash: RawHash) -> Result<Option<SeriesAt>, ScrapeError> {
        let (target, recipe) = (self.scrape.target, self.scrape.recipe);
        if series.raw.bytes().filter(|byte| *byte == b'"').count() > QUOTES_MAX {
            return Err(bad_line(self.input, series.raw, "the series has thousands of labels"));
        }
        let labels = &mut self.scratch.labels;
        series.pack_labels(labels).map_err(|e| bad_line(self.input, series.raw, &e.to_string()))?;
        self.described.label(labels);
        let kept = series_labels::finish(labels, series.raw, target.spec.labels.as_ref(), &recipe.job);
        let kept = kept.map_err(|refused| match refused {
            Refused::Names(reason) => bad_line(self.input, series.raw, &reason),
            Refused::Limit(error) => error,
        })?;
        if self.limit_error.is_some() {
            // Not remembered: who exceeds the limit must not fill the cache.
            self.counts.kept += u64::from(kept);
            return Ok(None);
        }
        if !kept {
            self.cache.insert_dropped(hash);
            return Ok(None);
        }
        let at = self.cache.insert(hash, &self.scratch.labels);
        at.map(Some).map_err(|full| ScrapeError::limit("series_bytes", full.to_string()))
    }

    fn exemplar(
        &mut self,
        at: SeriesAt,
        in_batch: BatchSeries,
        text: &ExemplarText<'a>,
        timestamp_ms: i64,
    ) -> Result<(), ScrapeError> {
        let content = xxh3_64(text.raw_labels.as_bytes())
            ^ text.value.to_bits().rotate_left(13)
            ^ text.timestamp_ms.map_or(0, i64::cast_unsigned).rotate_left(29);
        if !self.cache.exemplar_changed(at, content) {
            return Ok(());
        }
        let exemplar = text
            .to_exemplar(&mut self.scratch.other)
            .map_err(|e| bad_line(self.input, text.raw_labels, &e.to_string()))?;
        let chars: usize = exemplar.labels.iter().map(|(n, v)| n.chars().count() + v.chars().count()).sum();
        if chars > EXEMPLAR_CHARS_MAX {
            self.drop_sample("exemplar_too_long");
        } else {
            self.scratch.batch.add_exemplar(in_batch, exemplar, timestamp_ms);
        }
        Ok(())
    }

    fn drop_sample(&self, reason: &str) {
        self.scrape.env.metrics.samples_dropped.with_label_values(&[reason]).inc();
    }

    fn finish(mut self) -> Result<(), ScrapeError> {
        self.send_metadata();
        self.limit_error.take().map_or(Ok(()), Err)
    }
}

/// A fault in a line that only its content shows; `part` is a slice of `input`.
fn bad_line(input: &[u8], part: &str, reason: &str) -> ScrapeError {
    let at = (part.as_ptr() as usize).saturating_sub(input.as_ptr() as usize).min(input.len());
    let line = input[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    ScrapeError::Labels { line, reason: reason.to_owned() }
}
