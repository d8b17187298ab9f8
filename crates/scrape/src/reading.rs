//! An answer while it is read: its samples into the batch, under labels that are known or made here.

use std::borrow::Cow;

use model::histogram::{RESERVED_SCHEMA_MAX, SCHEMA_MIN};
use model::{FloatHistogram, LabelsBuilder, Metadata, MetricType, UNKNOWN_START_MS};
use storage::BatchSeries;
use wire::exposition::{Entry, HistogramSeries, LabelsError, RawExemplar, Series, SeriesId};
use xxhash_rust::xxh3::xxh3_64;

use crate::cache::{Lookup, Noted, RawHash, SeriesAt, SeriesCache};
use crate::described::Described;
use crate::env::Scratch;
use crate::error::ScrapeError;
use crate::ingest::{Counts, Scrape};
use crate::series_labels::{self, Refused};

/// A sample further ahead of now is dropped, as in Prometheus: the exporter's clock is wrong.
const AHEAD_MS_MAX: i64 = 10 * 60_000;
/// Most characters of an exemplar's labels, by OpenMetrics.
const EXEMPLAR_CHARS_MAX: usize = 128;
/// A series with more has more labels than anybody stores, and sorting them would take its time.
const LABELS_MAX: usize = 2_048;
/// Memory is taken from the budget in such steps.
const MEMORY_STEP_BYTES: u64 = 64 << 10;
/// What a sample takes in the batch: its place, its series', and where that is in the cache.
const SAMPLE_BYTES: usize = 64;
/// What an exemplar takes: a few labels.
const EXEMPLAR_BYTES: usize = 256;
/// In [`Scratch::cached_at`]: not a scraped series.
pub(crate) const NOT_CACHED: SeriesAt = SeriesAt::MAX;

/// What is known so far about the family whose comments are being read.
struct Family<'a> {
    name: Cow<'a, str>,
    metric_type: MetricType,
    help: Cow<'a, str>,
    unit: &'a str,
}

/// An answer while it is read.
pub(crate) struct Reading<'a, 's> {
    scrape: &'s Scrape<'s>,
    input: &'a [u8],
    scratch: &'s mut Scratch,
    cache: &'s mut SeriesCache,
    counts: &'s mut Counts,
    ahead_ms_max: i64,
    target_hash: u128,
    appended_count: u64,
    /// Set once a limit is exceeded that fails the scrape; the rest is only counted.
    limit_error: Option<ScrapeError>,
    family: Option<Family<'a>>,
    /// Says nothing unless the job wants type and unit as labels.
    described: Described<'a>,
    /// Bytes in the batch that were not taken from the budget yet.
    owed_bytes: u64,
}

impl<'a, 's> Reading<'a, 's> {
    /// An answer of which nothing has been read.
    pub(crate) fn new(
        scrape: &'s Scrape<'s>,
        input: &'a [u8],
        scratch: &'s mut Scratch,
        cache: &'s mut SeriesCache,
        counts: &'s mut Counts,
    ) -> Self {
        let target_hash = cache.target_hash();
        let ahead_ms_max = scrape.env.clock.now_ms().saturating_add(AHEAD_MS_MAX);
        Self {
            scrape,
            input,
            scratch,
            cache,
            counts,
            ahead_ms_max,
            target_hash,
            appended_count: 0,
            limit_error: None,
            family: None,
            described: Described::default(),
            owed_bytes: 0,
        }
    }

    /// Takes memory from the budget before it is used, in steps: an answer may become far larger than it came.
    fn take_memory(&mut self, bytes: usize) -> Result<(), ScrapeError> {
        self.owed_bytes += bytes as u64;
        if self.owed_bytes < MEMORY_STEP_BYTES {
            return Ok(());
        }
        let env = self.scrape.env;
        let held = self.scratch.held.get_or_insert_with(|| env.buffers.reserve_none());
        held.grow(self.owed_bytes)?;
        self.owed_bytes = 0;
        Ok(())
    }

    /// `start_ms` is when the counter of a series began.
    pub(crate) fn entry(&mut self, entry: Entry<'a>, start_ms: i64) -> Result<(), ScrapeError> {
        match entry {
            Entry::Series(series) => return self.series(&series, start_ms),
            Entry::Histogram(series) => return self.histogram(*series),
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
        let pack = |labels: &mut LabelsBuilder| series.pack_labels(labels);
        let Some(admitted) = self.admit(&series.id, series.timestamp_ms, pack)? else { return Ok(()) };
        let Admitted { at, in_batch, timestamp_ms } = admitted;
        self.take_memory(SAMPLE_BYTES)?;
        self.scratch.batch.add_float_since(in_batch, timestamp_ms, series.value, start_ms);
        match &series.exemplar {
            Some(exemplar) => {
                self.exemplars(&series.id, at, in_batch, std::slice::from_ref(exemplar), timestamp_ms)
            }
            None => Ok(()),
        }
    }

    fn histogram(&mut self, mut series: HistogramSeries<'a>) -> Result<(), ScrapeError> {
        let histogram = std::mem::take(&mut series.histogram);
        let pack = |labels: &mut LabelsBuilder| series.pack_labels(labels);
        let Some(admitted) = self.admit(&series.id, series.timestamp_ms, pack)? else { return Ok(()) };
        let Some(histogram) = self.bounded(histogram, &series.id)? else { return Ok(()) };
        self.take_memory(SAMPLE_BYTES + histogram.size_bytes() + series.exemplars.len() * EXEMPLAR_BYTES)?;
        let Admitted { at, in_batch, timestamp_ms } = admitted;
        let wants_start = self.scrape.recipe.job.start_timestamps;
        let start_ms = series.start_ms.filter(|_| wants_start).unwrap_or(UNKNOWN_START_MS);
        self.scratch.batch.add_histogram_since(in_batch, timestamp_ms, histogram, start_ms);
        // Without a time of its own nobody could tell an exemplar from the same one scraped again.
        let mut exemplars = series.exemplars;
        exemplars.retain(|exemplar| exemplar.timestamp_ms.is_some());
        self.exemplars(&series.id, at, in_batch, &exemplars, timestamp_ms)
    }

    /// A histogram as fine as the job and storage allow; `None` if it cannot be made coarse enough, and the scrape fails.
    fn bounded(
        &mut self,
        mut histogram: FloatHistogram,
        id: &SeriesId<'a>,
    ) -> Result<Option<FloatHistogram>, ScrapeError> {
        let job = &self.scrape.recipe.job;
        if histogram.schema <= RESERVED_SCHEMA_MAX {
            histogram.reduce_resolution(self.scrape.recipe.schema_max);
        }
        histogram
            .validate()
            .map_err(|e| self.bad(id, id.bytes(), &format!("invalid native histogram: {e}")))?;
        let limit = usize::try_from(job.native_histogram_bucket_limit).unwrap_or(usize::MAX);
        while limit > 0 && histogram.bucket_count() > limit {
            if histogram.uses_custom_buckets() || histogram.schema <= SCHEMA_MIN {
                let message = format!("histogram bucket limit exceeded (metric: {id}, limit: {limit})");
                let error = ScrapeError::limit("native_histogram_bucket_limit", message);
                self.limit_error.get_or_insert(error);
                return Ok(None);
            }
            histogram.reduce_resolution(histogram.schema - 1);
        }
        Ok(Some(histogram))
    }

    /// Counts a sample and finds its series, which is in the batch then; `None` if it is dropped.
    fn admit(
        &mut self,
        id: &SeriesId<'a>,
        exposed_ms: Option<i64>,
        pack: impl FnOnce(&mut LabelsBuilder) -> Result<(), LabelsError>,
    ) -> Result<Option<Admitted>, ScrapeError> {
        self.counts.scraped += 1;
        let at = match self.cache.find(id.bytes(), id.tag() ^ self.described.tag()) {
            Lookup::Known(at) => at,
            Lookup::Dropped => return Ok(None),
            Lookup::Unknown(hash) => match self.new_series(id, hash, pack)? {
                Some(at) => at,
                None => return Ok(None),
            },
        };
        self.counts.kept += 1;
        let job = &self.scrape.recipe.job;
        let own_ms = exposed_ms.filter(|_| job.honor_timestamps);
        if own_ms.is_some_and(|own_ms| own_ms > self.ahead_ms_max) {
            self.drop_sample("too_far_in_future");
            return Ok(None);
        }
        if self.is_beyond_limit() {
            return Ok(None);
        }
        match self.cache.note(at, own_ms.is_some(), own_ms.is_none() || job.track_timestamps_staleness) {
            Noted::Repeated => {
                self.drop_sample("duplicate");
                return Ok(None);
            }
            Noted::Excess => {
                self.excess();
                return Ok(None);
            }
            Noted::New => self.counts.new_series += 1,
            Noted::Known => {}
        }
        self.appended_count += 1;
        let timestamp_ms = own_ms.unwrap_or(self.scrape.timestamp_ms);
        let in_batch = self.cache.add_to(&mut self.scratch.batch, self.target_hash, at);
        self.scratch.cached_at.resize(in_batch as usize, NOT_CACHED);
        self.scratch.cached_at.push(at);
        Ok(Some(Admitted { at, in_batch, timestamp_ms }))
    }

    /// `series_limit` keeps a new series out; the others go on.
    fn excess(&mut self) {
        self.counts.excess += 1;
        self.drop_sample("series_limit");
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

    /// Labels of a series that is not known yet; `None` if relabelling drops it or a limit is exceeded.
    fn new_series(
        &mut self,
        id: &SeriesId<'a>,
        hash: RawHash,
        pack: impl FnOnce(&mut LabelsBuilder) -> Result<(), LabelsError>,
    ) -> Result<Option<SeriesAt>, ScrapeError> {
        let (target, recipe) = (self.scrape.target, self.scrape.recipe);
        if id.label_count_max() > LABELS_MAX {
            return Err(self.bad(id, id.bytes(), "the series has thousands of labels"));
        }
        pack(&mut self.scratch.labels).map_err(|e| self.bad(id, id.bytes(), &e.to_string()))?;
        let labels = &mut self.scratch.labels;
        self.described.label(labels);
        let kept = series_labels::finish(labels, id, target.spec.labels.as_ref(), &recipe.job);
        let kept = kept.map_err(|refused| match refused {
            Refused::Names(reason) => self.bad(id, id.bytes(), &reason),
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
        if self.cache.is_full_for(&self.scratch.labels) {
            // Not remembered either.
            self.counts.kept += 1;
            self.excess();
            return Ok(None);
        }
        let at = self.cache.insert(hash, &self.scratch.labels);
        at.map(Some).map_err(|full| ScrapeError::limit("series_bytes", full.to_string()))
    }

    /// Exemplars of one sample: usually one, of a native histogram several.
    fn exemplars(
        &mut self,
        id: &SeriesId<'a>,
        at: SeriesAt,
        in_batch: BatchSeries,
        exemplars: &[RawExemplar<'a>],
        timestamp_ms: i64,
    ) -> Result<(), ScrapeError> {
        let content = exemplars.iter().fold(0, |all: u64, exemplar| {
            all.rotate_left(7)
                ^ xxh3_64(exemplar.bytes())
                ^ exemplar.value.to_bits().rotate_left(13)
                ^ exemplar.timestamp_ms.map_or(0, i64::cast_unsigned).rotate_left(29)
        });
        if exemplars.is_empty() || !self.cache.exemplar_changed(at, content) {
            return Ok(());
        }
        for raw in exemplars {
            let exemplar = raw
                .to_exemplar(&mut self.scratch.other)
                .map_err(|e| self.bad(id, raw.bytes(), &format!("an exemplar: {e}")))?;
            let chars: usize =
                exemplar.labels.iter().map(|(n, v)| n.chars().count() + v.chars().count()).sum();
            if chars > EXEMPLAR_CHARS_MAX {
                self.drop_sample("exemplar_too_long");
            } else {
                self.scratch.batch.add_exemplar(in_batch, exemplar, timestamp_ms);
            }
        }
        Ok(())
    }

    /// A fault that only the content of a series shows; `part` is a slice of the answer.
    fn bad(&self, id: &SeriesId<'_>, part: &[u8], reason: &str) -> ScrapeError {
        if id.as_text().is_empty() {
            return ScrapeError::Series { place: format!("metric {id}"), reason: reason.to_owned() };
        }
        let at = (part.as_ptr() as usize).saturating_sub(self.input.as_ptr() as usize).min(self.input.len());
        let line = self.input[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        ScrapeError::Series { place: format!("line {line}"), reason: reason.to_owned() }
    }

    fn drop_sample(&self, reason: &str) {
        self.scrape.env.metrics.samples_dropped.with_label_values(&[reason]).inc();
    }

    /// `unconvertible_count`: classic histograms that contradict themselves, and are lost.
    pub(crate) fn finish(mut self, unconvertible_count: u64) -> Result<(), ScrapeError> {
        self.send_metadata();
        let dropped = &self.scrape.env.metrics.samples_dropped;
        if unconvertible_count > 0 {
            dropped.with_label_values(&["inconsistent_histogram"]).inc_by(unconvertible_count);
        }
        self.limit_error.take().map_or(Ok(()), Err)
    }
}

/// A sample's series: in the cache, in the batch, and when it is.
struct Admitted {
    at: SeriesAt,
    in_batch: BatchSeries,
    timestamp_ms: i64,
}
