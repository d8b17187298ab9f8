//! From an answer to storage: parse, relabel, batch, staleness, report; one append a scrape.
//!
//! A scrape counts whole or not at all: if anything in it is wrong, none of its samples are stored, the series
//! that lived before are ended, and the report says `up 0`. What was scraped, the markers and the report go to
//! storage in one batch, so that no reader sees half a scrape. If storage refuses the batch, nothing is known to
//! have ended: the target may be well. Only a report is tried then, and the next scrape goes on where this left.

use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{METRIC_NAME, STALE_NAN, UNKNOWN_START_MS};
use storage::{BatchSeries, Durability, Rejected};
use wire::exposition::{Entry, Format, Options, Parser};

use crate::body::Body;
use crate::cache::{SeriesAt, SeriesCache};
use crate::env::{Env, Scratch};
use crate::error::ScrapeError;
use crate::reading::{NOT_CACHED, Reading};
use crate::recipe::Recipe;
use crate::target::Target;

/// Targets that are scraped more often cannot wait for others' samples to be made safe with theirs.
const PATIENT_INTERVAL_MS: i64 = 1_000;

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
    /// Samples of series that `series_limit` kept out.
    pub(crate) excess_count: u64,
    pub(crate) durable: Durability,
}

/// What the report series say.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) scraped: u64,
    pub(crate) kept: u64,
    pub(crate) new_series: u64,
    /// Samples of series that `series_limit` kept out.
    pub(crate) excess: u64,
    /// -1 if the answer was too large.
    pub(crate) body_bytes: i64,
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
        let ended_count = add_stale(scratch, cache, cache.ended(error.is_some()), self.timestamp_ms);
        self.add_report(scratch, error.is_none(), counts);
        if self.target.spec.interval_ms >= PATIENT_INTERVAL_MS {
            scratch.batch.set_patient();
        }
        cache.complete(&mut scratch.batch);
        let appended = self.env.appender.append(&self.env.tenant, &scratch.batch);
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
                Ingested {
                    error,
                    kept_count: counts.kept,
                    excess_count: counts.excess,
                    durable: appended.durable,
                }
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
                Ingested { error, kept_count: 0, excess_count: counts.excess, durable }
            }
        }
    }

    fn count_error(&self, error: &ScrapeError, counts: &mut Counts) {
        match error {
            ScrapeError::Parse(_) | ScrapeError::Series { .. } => self.env.metrics.parse_errors.inc(),
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
        let job = &self.recipe.job;
        let options = Options {
            native_histograms: job.native_histograms,
            convert_classic: job.convert_to_nhcb,
            always_classic: job.always_classic_histograms,
            suppress_created: job.start_timestamps,
        };
        let mut reading = Reading::new(self, input, scratch, cache, counts);
        let mut parser = Parser::with_options(input, negotiated.format, options);
        while let Some(entry) = parser.next_entry()? {
            let start_ms = match &entry {
                Entry::Series(series) if job.start_timestamps => parser.start_timestamp_ms(series),
                _ => None,
            };
            reading.entry(entry, start_ms.unwrap_or(UNKNOWN_START_MS))?;
        }
        reading.finish(parser.unconvertible_count())
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
                Some(at) => cache.labels_of(at),
                None => scratch.batch.series(first.series).to_labels(),
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
        let taken_over: Vec<_> = successor_caches.iter().map(|successor| successor.live()).collect();
        let gone = cache.ended(true).filter(|at| !taken_over.iter().any(|live| cache.is_among(*at, live)));
        let mut ended_count = add_stale(&mut scratch, &cache, gone, timestamp_ms);
        if successors.is_empty() {
            ended_count += add_stale_report(&mut scratch, target, recipe, timestamp_ms);
        }
        cache.complete(&mut scratch.batch);
        let appended = env.appender.append(&env.tenant, &scratch.batch);
        match appended {
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

fn add_stale(
    scratch: &mut Scratch,
    cache: &SeriesCache,
    ended: impl Iterator<Item = SeriesAt>,
    timestamp_ms: i64,
) -> u64 {
    let target_hash = cache.target_hash();
    let mut count = 0;
    for at in ended {
        let series = cache.add_to(&mut scratch.batch, target_hash, at);
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
