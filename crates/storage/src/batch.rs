//! What is written: samples in columns, with the label sets they belong to.
//!
//! A batch is built once per scrape or request and may be reused: [`WriteBatch::clear`] keeps the allocations,
//! so that the hot path allocates nothing per sample. Label sets live packed, one after the other, in one
//! string; a sample names its series by position.
//!
//! Most samples of a push belong to series that storage knows. So a batch may also hold labels as the client
//! wrote them ([`WriteBatch::set_raw`], [`WriteBatch::add_raw_series`]): bytes nobody has looked into, and a
//! [`SeriesKey`] by which storage may remember what they mean. Only labels of unknown keys are decoded. What is scraped comes
//! likewise with a key, and in two parts: what is the series' own, and what the whole batch shares.

use std::num::NonZeroU64;
use std::ops::Range;

use model::{Exemplar, FloatHistogram, LabelsRef, Metadata, UNKNOWN_START_MS, labels};

use crate::StartColumn;

/// Position of a series in its batch.
pub type BatchSeries = u32;

/// Stands for a raw form of labels: a 128-bit hash of its bytes, made with a secret of the process, so that
/// nobody outside can make two forms collide.
///
/// Contract of whoever makes keys: equal keys mean equal labels, whichever batch they are in. Each raw format needs a
/// secret of its own. The other way round nothing holds: the same labels may come under many keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeriesKey(NonZeroU64, u64);

impl SeriesKey {
    /// A key from its hash.
    pub fn new(hash: u128) -> Self {
        // One bit less in one hash of 2^64 buys that an optional key takes no more room.
        Self(NonZeroU64::new(hash as u64).unwrap_or(NonZeroU64::MIN), (hash >> 64) as u64)
    }

    /// Both halves of the hash; each is as good a hash of its own.
    pub fn halves(self) -> [u64; 2] {
        [self.0.get(), self.1]
    }
}

/// Raw labels that are none: malformed, a name twice or empty, no metric name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidLabels;

/// Appends the packed labels that a raw form stands for.
pub type DecodeLabels = fn(raw: &[u8], packed: &mut String) -> Result<(), InvalidLabels>;

/// As [`DecodeLabels`], for forms that mean something only within the bytes they are part of.
pub type DecodeLabelsWithin = fn(raw: &[u8], all: &[u8], packed: &mut String) -> Result<(), InvalidLabels>;

#[derive(Debug, Clone, Copy)]
enum Decode {
    Alone(DecodeLabels),
    Within(DecodeLabelsWithin),
}

/// Labels of a series as the client wrote them, or in two parts.
#[derive(Debug, Clone, Copy)]
pub struct RawLabels<'a> {
    /// By which they may be known already.
    pub key: SeriesKey,
    /// The bytes.
    pub bytes: &'a [u8],
    /// All raw bytes of the batch, of which they are part.
    pub all: &'a [u8],
    form: Form<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Form<'a> {
    Coded(Decode),
    Parts(PartedLabels<'a>),
}

/// Labels in two parts, which have no name in common.
#[derive(Debug, Clone, Copy)]
pub struct PartedLabels<'a> {
    /// What is the series' own.
    pub own: LabelsRef<'a>,
    /// What it shares with others.
    pub shared: LabelsRef<'a>,
}

impl<'a> PartedLabels<'a> {
    /// Pairs of both, in order of name.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let (mut own, mut shared) = (self.own.iter(), self.shared.iter());
        let (mut next_own, mut next_shared) = (own.next(), shared.next());
        std::iter::from_fn(move || {
            let own_first = match (next_own, next_shared) {
                (Some(own), Some(shared)) => own.0.as_bytes() < shared.0.as_bytes(),
                (own, _) => own.is_some(),
            };
            match own_first {
                true => std::mem::replace(&mut next_own, own.next()),
                false => std::mem::replace(&mut next_shared, shared.next()),
            }
        })
    }

    /// Appends both as one packed set.
    pub fn append_to(self, packed: &mut String) {
        if self.shared.packed().is_empty() {
            packed.push_str(self.own.packed());
        } else {
            self.iter().for_each(|(name, value)| labels::pack(packed, name, value));
        }
    }
}

impl<'a> RawLabels<'a> {
    /// Appends the packed labels to `packed`.
    ///
    /// # Errors
    /// If they are not sound; something may have been appended then.
    pub fn append_to(&self, packed: &mut String) -> Result<(), InvalidLabels> {
        match self.form {
            Form::Coded(Decode::Alone(decode)) => decode(self.bytes, packed),
            Form::Coded(Decode::Within(decode)) => decode(self.bytes, self.all, packed),
            Form::Parts(parts) => {
                parts.append_to(packed);
                Ok(())
            }
        }
    }

    /// Both parts, if there are two: nothing needs to be decoded then.
    pub fn parts(&self) -> Option<PartedLabels<'a>> {
        match self.form {
            Form::Parts(parts) => Some(parts),
            Form::Coded(_) => None,
        }
    }
}

/// Labels of a series of a batch, in the form they came in.
#[derive(Debug, Clone, Copy)]
pub enum BatchLabels<'a> {
    /// Sorted, unique, packed.
    Packed(LabelsRef<'a>),
    /// Not looked at yet.
    Raw(RawLabels<'a>),
}

impl<'a> BatchLabels<'a> {
    /// The labels themselves; raw ones are decoded into `buffer`.
    ///
    /// # Errors
    /// If raw ones are not sound.
    pub fn decode<'b>(self, buffer: &'b mut String) -> Result<LabelsRef<'b>, InvalidLabels>
    where
        'a: 'b,
    {
        match self {
            Self::Packed(labels) => Ok(labels),
            Self::Raw(raw) => {
                buffer.clear();
                raw.append_to(buffer)?;
                Ok(LabelsRef::from_packed_trusted(buffer))
            }
        }
    }
}

/// Where a series' labels are.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In `labels`.
    Packed {
        start: u32,
        end: u32,
    },
    /// In `raw`.
    Raw {
        key: SeriesKey,
        start: u32,
        end: u32,
    },
    /// In `labels`; what is `shared` belongs to it, too, or is no part of it.
    Parted {
        key: SeriesKey,
        start: u32,
        end: u32,
    },
    PartedWhole {
        key: SeriesKey,
        start: u32,
        end: u32,
    },
}

/// Samples on their way into storage.
#[derive(Debug, Default, Clone)]
pub struct WriteBatch {
    labels: String,
    /// Where in `labels` is what series in two parts share.
    shared: Range<usize>,
    raw: Vec<u8>,
    decode: Option<Decode>,
    series: Vec<Place>,
    float_series: Vec<BatchSeries>,
    float_timestamps_ms: Vec<i64>,
    float_values: Vec<f64>,
    float_starts: StartColumn,
    histograms: Vec<BatchHistogram>,
    exemplars: Vec<BatchExemplar>,
    metadata: Vec<(String, Metadata)>,
    patient: bool,
}

/// A native histogram in a batch.
#[derive(Debug, Clone)]
pub struct BatchHistogram {
    /// Whose it is.
    pub series: BatchSeries,
    /// When.
    pub timestamp_ms: i64,
    /// When its counter began; [`UNKNOWN_START_MS`] if nobody said.
    pub start_ms: i64,
    /// The value.
    pub histogram: FloatHistogram,
}

/// An exemplar in a batch. `exemplar.timestamp_ms` must be set by whoever fills the batch.
#[derive(Debug, Clone)]
pub struct BatchExemplar {
    /// Whose it is.
    pub series: BatchSeries,
    /// What.
    pub exemplar: Exemplar,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties the batch and keeps its allocations.
    pub fn clear(&mut self) {
        self.labels.clear();
        self.shared = 0..0;
        self.decode = None;
        self.series.clear();
        self.float_series.clear();
        self.float_timestamps_ms.clear();
        self.float_values.clear();
        self.float_starts.clear();
        self.histograms.clear();
        self.exemplars.clear();
        self.metadata.clear();
        self.patient = false;
    }

    /// Says that nobody waits for this batch to be durable: it may become so a moment later, together with others, which costs
    /// fewer syncs. For what is collected, not for what a client was promised.
    pub fn set_patient(&mut self) {
        self.patient = true;
    }

    /// Whether [`Self::set_patient`] was said.
    pub fn is_patient(&self) -> bool {
        self.patient
    }

    /// Adds a series; samples are then added under the returned position. A label set may be added twice.
    pub fn add_series(&mut self, labels: LabelsRef<'_>) -> BatchSeries {
        self.add_series_with(|packed| packed.push_str(labels.packed()))
    }

    /// Adds a series whose packed labels `write` appends (see `model::labels::pack`), without a copy.
    pub fn add_series_with(&mut self, write: impl FnOnce(&mut String)) -> BatchSeries {
        let start = position(self.labels.len());
        write(&mut self.labels);
        self.add_place(Place::Packed { start, end: position(self.labels.len()) })
    }

    /// The buffer of raw labels, to be filled and given back by [`Self::set_raw`]. It still holds what was there
    /// last, so that nobody need pay for zeros that are overwritten.
    pub fn take_raw_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.raw)
    }

    /// Sets the bytes (of the whole request, as a rule) that raw labels are parts of, and what decodes such a part. To be
    /// called before storage sees the batch; series may be added before.
    pub fn set_raw(&mut self, bytes: Vec<u8>, decode: DecodeLabels) {
        (self.raw, self.decode) = (bytes, Some(Decode::Alone(decode)));
    }

    /// As [`Self::set_raw`], for labels that cannot be decoded without the other bytes.
    pub fn set_raw_within(&mut self, bytes: Vec<u8>, decode: DecodeLabelsWithin) {
        (self.raw, self.decode) = (bytes, Some(Decode::Within(decode)));
    }

    /// Adds a series of which only a range of the raw bytes and their key are known.
    pub fn add_raw_series(&mut self, key: SeriesKey, range: Range<usize>) -> BatchSeries {
        self.add_place(Place::Raw { key, start: position(range.start), end: position(range.end) })
    }

    /// Adds a series by its key and its own part of the labels. With `is_whole` that is all of them, otherwise those of
    /// [`Self::set_shared`] belong to them.
    pub fn add_parted_series(&mut self, key: SeriesKey, own: LabelsRef<'_>, is_whole: bool) -> BatchSeries {
        let start = position(self.labels.len());
        self.labels.push_str(own.packed());
        let end = position(self.labels.len());
        self.add_place(match is_whole {
            true => Place::PartedWhole { key, start, end },
            false => Place::Parted { key, start, end },
        })
    }

    /// Sets what series in two parts share, without a name that one of them has of its own. To be called before storage sees the batch.
    pub fn set_shared(&mut self, labels: LabelsRef<'_>) {
        let start = self.labels.len();
        self.labels.push_str(labels.packed());
        self.shared = start..self.labels.len();
    }

    fn add_place(&mut self, place: Place) -> BatchSeries {
        self.series.push(place);
        position(self.series.len() - 1)
    }

    /// Adds a float sample.
    pub fn add_float(&mut self, series: BatchSeries, timestamp_ms: i64, value: f64) {
        debug_assert!((series as usize) < self.series.len(), "BUG: series is not in this batch");
        self.float_series.push(series);
        self.float_timestamps_ms.push(timestamp_ms);
        self.float_values.push(value);
    }

    /// Adds a float sample of a counter that began at `start_ms` ([`UNKNOWN_START_MS`] if nobody knows).
    pub fn add_float_since(&mut self, series: BatchSeries, timestamp_ms: i64, value: f64, start_ms: i64) {
        self.float_starts.push_at(self.float_series.len(), start_ms);
        self.add_float(series, timestamp_ms, value);
    }

    /// Adds a native histogram sample. It must have passed `FloatHistogram::validate`.
    pub fn add_histogram(&mut self, series: BatchSeries, timestamp_ms: i64, histogram: FloatHistogram) {
        self.add_histogram_since(series, timestamp_ms, histogram, UNKNOWN_START_MS);
    }

    /// Adds a native histogram that began to count at `start_ms` ([`UNKNOWN_START_MS`] if nobody knows).
    pub fn add_histogram_since(
        &mut self,
        series: BatchSeries,
        timestamp_ms: i64,
        histogram: FloatHistogram,
        start_ms: i64,
    ) {
        debug_assert!((series as usize) < self.series.len(), "BUG: series is not in this batch");
        self.histograms.push(BatchHistogram { series, timestamp_ms, start_ms, histogram });
    }

    /// Adds an exemplar; one without a timestamp gets `default_timestamp_ms`.
    pub fn add_exemplar(&mut self, series: BatchSeries, mut exemplar: Exemplar, default_timestamp_ms: i64) {
        exemplar.timestamp_ms.get_or_insert(default_timestamp_ms);
        self.exemplars.push(BatchExemplar { series, exemplar });
    }

    /// Adds what is known about a metric family.
    pub fn add_metadata(&mut self, metric: &str, metadata: Metadata) {
        self.metadata.push((metric.to_owned(), metadata));
    }

    /// How many series there are.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// Float and histogram samples.
    pub fn sample_count(&self) -> usize {
        self.float_series.len() + self.histograms.len()
    }

    /// Whether there is nothing to write at all.
    pub fn is_empty(&self) -> bool {
        self.sample_count() == 0 && self.exemplars.is_empty() && self.metadata.is_empty()
    }

    /// The labels of a series that was added packed.
    ///
    /// # Panics
    /// For raw ones: whoever may meet those asks [`Self::labels`].
    pub fn series(&self, series: BatchSeries) -> LabelsRef<'_> {
        match self.labels(series) {
            BatchLabels::Packed(labels) => labels,
            BatchLabels::Raw(_) => panic!("BUG: raw labels are decoded by whoever may meet them"),
        }
    }

    /// The labels of a series in the form they came in.
    pub fn labels(&self, series: BatchSeries) -> BatchLabels<'_> {
        match self.series[series as usize] {
            Place::Packed { start, end } => BatchLabels::Packed(LabelsRef::from_packed_trusted(
                &self.labels[start as usize..end as usize],
            )),
            Place::Raw { key, start, end } => BatchLabels::Raw(RawLabels {
                key,
                bytes: &self.raw[start as usize..end as usize],
                all: &self.raw,
                form: Form::Coded(self.decode.expect("BUG: raw series without their bytes")),
            }),
            Place::Parted { key, start, end } => self.parted(key, start..end, self.shared.clone()),
            Place::PartedWhole { key, start, end } => self.parted(key, start..end, 0..0),
        }
    }

    fn parted(&self, key: SeriesKey, own: Range<u32>, shared: Range<usize>) -> BatchLabels<'_> {
        let own = &self.labels[own.start as usize..own.end as usize];
        BatchLabels::Raw(RawLabels {
            key,
            bytes: own.as_bytes(),
            all: self.labels.as_bytes(),
            form: Form::Parts(PartedLabels {
                own: LabelsRef::from_packed_trusted(own),
                shared: LabelsRef::from_packed_trusted(&self.labels[shared]),
            }),
        })
    }

    /// Float samples as three columns of equal length: series, timestamps, values.
    pub fn float_columns(&self) -> (&[BatchSeries], &[i64], &[f64]) {
        (&self.float_series, &self.float_timestamps_ms, &self.float_values)
    }

    /// When the counters of the float samples began, by the places of the samples in the columns.
    pub fn float_starts(&self) -> &StartColumn {
        &self.float_starts
    }

    /// Float samples one by one, in the order they were added.
    pub fn floats(&self) -> impl ExactSizeIterator<Item = (BatchSeries, i64, f64)> {
        (0..self.float_series.len())
            .map(|i| (self.float_series[i], self.float_timestamps_ms[i], self.float_values[i]))
    }

    /// Histogram samples in the order they were added.
    pub fn histograms(&self) -> &[BatchHistogram] {
        &self.histograms
    }

    /// Exemplars in the order they were added.
    pub fn exemplars(&self) -> &[BatchExemplar] {
        &self.exemplars
    }

    /// Metric families with what is known about them.
    pub fn metadata(&self) -> &[(String, Metadata)] {
        &self.metadata
    }

    /// Bytes held in buffers, for the accountant.
    pub fn size_bytes(&self) -> usize {
        self.labels.len()
            + self.raw.len()
            + self.series.len() * size_of::<Place>()
            + self.float_series.len() * 20
            + self.float_starts.size_bytes()
            + self.histograms.iter().map(|h| h.histogram.size_bytes()).sum::<usize>()
    }
}

fn position(at: usize) -> u32 {
    u32::try_from(at).expect("limits of requests and scrapes keep a batch far below 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;

    #[test]
    fn a_batch_gives_back_what_was_added_and_can_be_reused() {
        let mut batch = WriteBatch::new();
        for round in 0..2 {
            batch.clear();
            assert!(batch.is_empty());
            let (a, b) = (
                Labels::from_pairs([("__name__", "a")]),
                Labels::from_pairs([("__name__", "b"), ("x", "y")]),
            );
            let first = batch.add_series(a.as_ref());
            let second = batch.add_series_with(|packed| packed.push_str(b.packed()));
            batch.add_float(second, 10, 1.5);
            batch.add_float(first, 10, f64::from(round));
            assert_eq!(batch.series(first).to_labels(), a);
            assert_eq!(batch.series(second).to_labels(), b);
            assert_eq!(batch.floats().collect::<Vec<_>>(), [(1, 10, 1.5), (0, 10, f64::from(round))]);
            assert_eq!((batch.series_count(), batch.sample_count()), (2, 2));
        }
    }

    #[test]
    fn labels_in_two_parts_are_put_together() {
        let whole = Labels::from_pairs([("__name__", "a"), ("b", "1"), ("c", "2"), ("d", "3")]);
        let (shared, mut batch) = (["b", "d"], WriteBatch::new());
        let own = whole.without(|name| shared.contains(&name));
        let key = |number| SeriesKey::new(number);
        let parted = batch.add_parted_series(key(1), own.as_ref(), false);
        let alone = batch.add_parted_series(key(2), own.as_ref(), true);
        batch.set_shared(whole.without(|name| !shared.contains(&name)).as_ref());
        let mut buffer = String::new();
        assert_eq!(batch.labels(parted).decode(&mut buffer).expect("sound").to_labels(), whole);
        assert_eq!(batch.labels(alone).decode(&mut buffer).expect("sound").to_labels(), own);
        let BatchLabels::Raw(raw) = batch.labels(parted) else { panic!("it has a key") };
        assert_eq!(raw.key, key(1));
        assert!(raw.parts().expect("two parts").iter().eq(whole.iter()));
        batch.clear();
        let alone = batch.add_parted_series(key(1), own.as_ref(), false);
        assert_eq!(
            batch.labels(alone).decode(&mut buffer).expect("sound").to_labels(),
            own,
            "nothing is shared any more"
        );
    }

    #[test]
    fn raw_labels_are_decoded_when_asked_for() {
        let mut batch = WriteBatch::new();
        let packed = Labels::from_pairs([("__name__", "a")]);
        let mut bytes = batch.take_raw_buffer();
        bytes.extend_from_slice(b"..raw");
        let first = batch.add_raw_series(SeriesKey::new(1 << 64 | 2), 2..5);
        let second = batch.add_series(packed.as_ref());
        batch.set_raw(bytes, |raw, packed| {
            model::labels::pack(
                packed,
                model::METRIC_NAME,
                std::str::from_utf8(raw).map_err(|_| InvalidLabels)?,
            );
            Ok(())
        });
        let BatchLabels::Raw(raw) = batch.labels(first) else { panic!("it was added raw") };
        assert_eq!((raw.key.halves(), raw.bytes), ([2, 1], &b"raw"[..]));
        let mut buffer = String::new();
        assert_eq!(batch.labels(first).decode(&mut buffer).expect("sound").get("__name__"), Some("raw"));
        assert_eq!(batch.labels(second).decode(&mut buffer).expect("sound").to_labels(), packed);
        batch.clear();
        assert_eq!((batch.series_count(), batch.is_empty()), (0, true));
    }
}
