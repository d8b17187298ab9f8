//! Applies the entries of a window to the heads, shard by shard.
//!
//! Samples of a shard are gathered from all entries of the window, sorted by series (in one pass, keeping the order of the journal within
//! each), and then each series takes all of its samples at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use model::{FloatHistogram, LabelsRef, UNKNOWN_START_MS};
use storage::StartColumn;

use super::window::{Piece, Work};
use crate::append::hash_labels;
use crate::head::memory::HeadMemory;
use crate::head::series::{Series, Tally};
use crate::head::{Shard, locate, shard_of};
use crate::journal::record::{self, Definitions, Samples};
use crate::metrics::Metrics;

/// A series may have a number this much larger than all that its segment has defined so far; more is damage.
const NUMBER_GAP_MAX: usize = 1 << 20;
/// So many samples are gathered at most, ...
const GATHERED_MAX: usize = 1 << 20;
/// ... and so many histograms, which are a hundred times as large.
const HISTOGRAMS_MAX: usize = 1 << 13;

/// The slots of series of one shard, by the slots that they have in the segment.
type Known = Vec<u32>;

/// No series of ours.
const UNKNOWN: u32 = u32::MAX;

/// Applies samples to the heads.
pub(super) struct Applier<'a> {
    metrics: &'a Metrics,
    memory: &'a HeadMemory,
    segment: u64,
    /// By what the segment calls the tenant, and by shard.
    known: HashMap<(u32, usize), Known>,
    samples: Samples,
    gathered: Gathered,
    lost: BTreeMap<u64, u64>,
}

impl<'a> Applier<'a> {
    pub(super) fn new(metrics: &'a Metrics, memory: &'a HeadMemory) -> Self {
        let (samples, gathered) = (Samples::default(), Gathered::default());
        Self { metrics, memory, segment: 0, known: HashMap::new(), samples, gathered, lost: BTreeMap::new() }
    }

    /// Works until the queue is closed. Returns by segment how many entries were damaged or spoke of series whose
    /// definition was lost.
    pub(super) fn run(mut self, queue: &Receiver<Work>) -> BTreeMap<u64, u64> {
        for work in queue {
            if self.segment != work.segment {
                self.segment = work.segment;
                // Numbers mean something within their segment only.
                self.known.clear();
            }
            for (shard, mut pieces) in work.pieces {
                // Stable: those of one tenant stay in order.
                pieces.sort_by_key(|piece| piece.number);
                for pieces in pieces.chunk_by(|a, b| a.number == b.number) {
                    self.shard(shard, pieces, &work.window);
                }
            }
        }
        self.lost
    }

    /// Applies entries of one tenant and shard.
    fn shard(&mut self, number: usize, pieces: &[Piece], window: &[u8]) {
        let Some(first) = pieces.first() else { return };
        let head = &first.tenant.head;
        let known = self.known.entry((first.number, number)).or_default();
        let mut tally = Tally::default();
        let (mut series_count, mut lost_count) = (0, 0);
        let shard = &mut *head.shards[number].write();
        for piece in pieces {
            let Ok(defined) = record::read_samples(&window[piece.body.clone()], &mut self.samples) else {
                lost_count += 1;
                continue;
            };
            let mut define = |hash, labels: LabelsRef<'_>| {
                if shard_of(hash) != number {
                    return None;
                }
                head.find(shard, hash, labels).or_else(|| {
                    let slot = head.insert(shard, hash, labels)?;
                    series_count += 1;
                    tally.bytes += shard.take_new_bytes();
                    Some(slot)
                })
            };
            let defined = learn(known, &defined, &mut define);
            let gathered = self.gathered.add(known, number, &self.samples);
            lost_count += u64::from(!(defined && gathered));
            if self.gathered.is_full() {
                self.gathered.apply(shard, &mut tally);
            }
        }
        self.gathered.apply(shard, &mut tally);
        self.metrics.head_series.add(series_count);
        self.metrics.head_chunks.add(tally.chunk_count);
        self.memory.change(tally.bytes);
        if lost_count > 0 {
            *self.lost.entry(self.segment).or_default() += lost_count;
        }
    }
}

/// Notes what the segment calls the series that it defines. Whether all of them made sense.
fn learn(
    known: &mut Known,
    defined: &Definitions<'_>,
    mut define: impl FnMut(u64, LabelsRef<'_>) -> Option<u32>,
) -> bool {
    let mut sound = true;
    for (number, labels) in defined {
        let (_, theirs) = locate(*number);
        match define(hash_labels(labels.packed()), *labels) {
            Some(slot) if theirs < known.len() + NUMBER_GAP_MAX => {
                if known.len() <= theirs {
                    known.resize(theirs + 1, UNKNOWN);
                }
                known[theirs] = slot;
            }
            _ => sound = false,
        }
    }
    sound
}

/// `starts_ms` is empty if no sample of the shard has a start timestamp.
#[inline]
fn append_floats(series: &mut Series, samples: &[(i64, f64)], starts_ms: &[i64], tally: &mut Tally) {
    if starts_ms.is_empty() {
        for (timestamp_ms, value) in samples {
            series.append_float(*timestamp_ms, *value, UNKNOWN_START_MS, tally);
        }
        return;
    }
    for ((timestamp_ms, value), start_ms) in samples.iter().zip(starts_ms) {
        series.append_float(*timestamp_ms, *value, *start_ms, tally);
    }
}

/// Samples of one shard, in the order of the journal.
#[derive(Default)]
struct Gathered {
    slots: Vec<u32>,
    samples: Vec<(i64, f64)>,
    /// Places in `samples` that stand for histograms, rising.
    histograms: Vec<(u32, Arc<FloatHistogram>)>,
    /// By place in `samples`.
    starts: StartColumn,
    /// Kept from time to time: where the samples of each slot end, and the samples sorted by slot.
    ends: Vec<u32>,
    sorted: Vec<(i64, f64)>,
    sorted_histograms: Vec<(u32, Arc<FloatHistogram>)>,
    /// Empty if there are none.
    sorted_starts: Vec<i64>,
}

impl Gathered {
    fn is_full(&self) -> bool {
        self.slots.len() >= GATHERED_MAX || self.histograms.len() >= HISTOGRAMS_MAX
    }

    /// Adds the samples of an entry of shard `number`. Whether all their series are known.
    fn add(&mut self, known: &Known, number: usize, samples: &Samples) -> bool {
        let mut sound = true;
        let mut slot_of = |series: u32| {
            let (shard, theirs) = locate(series);
            let slot = known.get(theirs).copied().filter(|slot| *slot != UNKNOWN && shard == number);
            sound &= slot.is_some();
            slot
        };
        let floats = samples.series.iter().zip(&samples.timestamps_ms).zip(&samples.values);
        let has_starts = !samples.starts.is_empty();
        for (at, ((series, timestamp_ms), value)) in floats.enumerate() {
            if let Some(slot) = slot_of(*series) {
                if has_starts {
                    self.starts.push_at(self.slots.len(), samples.starts.get(at));
                }
                self.slots.push(slot);
                self.samples.push((*timestamp_ms, *value));
            }
        }
        for (at, (series, timestamp_ms, histogram)) in samples.histograms.iter().enumerate() {
            if let Some(slot) = slot_of(*series) {
                self.starts.push_at(self.slots.len(), samples.histogram_starts.get(at));
                self.histograms.push((self.slots.len() as u32, Arc::clone(histogram)));
                self.slots.push(slot);
                self.samples.push((*timestamp_ms, 0.0));
            }
        }
        sound
    }

    /// Writes everything to the series of its shard, and is empty then.
    fn apply(&mut self, shard: &mut Shard, tally: &mut Tally) {
        if self.slots.is_empty() {
            return;
        }
        self.sort(shard.slots.len());
        let mut histograms = self.sorted_histograms.drain(..).peekable();
        let (samples, starts_ms) = (&self.sorted, &self.sorted_starts);
        let starts_of =
            |from: usize, to: usize| if starts_ms.is_empty() { &[] } else { &starts_ms[from..to] };
        let mut from = 0;
        for (series, end) in shard.slots.iter_mut().zip(&self.ends) {
            let to = *end as usize;
            if from == to {
                continue;
            }
            let series: &mut Series = series.as_mut().expect("nothing is released during a replay");
            while let Some((at, histogram)) = histograms.next_if(|(at, _)| (*at as usize) < to) {
                let at = at as usize;
                append_floats(series, &samples[from..at], starts_of(from, at), tally);
                let start_ms = starts_ms.get(at).copied().unwrap_or(UNKNOWN_START_MS);
                series.append_histogram(samples[at].0, histogram, start_ms, tally);
                from = at + 1;
            }
            append_floats(series, &samples[from..to], starts_of(from, to), tally);
            from = to;
        }
        drop(histograms);
        self.slots.clear();
        self.samples.clear();
        self.starts.clear();
    }

    /// Sorts by slot, of which there are `slot_count`.
    fn sort(&mut self, slot_count: usize) {
        let ends = &mut self.ends;
        ends.clear();
        ends.resize(slot_count, 0);
        for slot in &self.slots {
            ends[*slot as usize] += 1;
        }
        // Where each begins; when its samples are in their places, where it ends.
        let mut before = 0;
        for end in ends.iter_mut() {
            before += std::mem::replace(end, before);
        }
        self.sorted.resize(self.samples.len(), (0, 0.0));
        self.sorted_starts.clear();
        if !self.starts.is_empty() {
            self.sorted_starts.resize(self.samples.len(), UNKNOWN_START_MS);
        }
        let mut place = |slot: u32| {
            let end = &mut ends[slot as usize];
            *end += 1;
            *end - 1
        };
        let mut histograms = self.histograms.drain(..).peekable();
        for (at, (slot, sample)) in (0..).zip(self.slots.iter().zip(&self.samples)) {
            let to = place(*slot);
            self.sorted[to as usize] = *sample;
            if let Some(start_ms) = self.sorted_starts.get_mut(to as usize) {
                *start_ms = self.starts.get(at as usize);
            }
            if let Some((_, histogram)) = histograms.next_if(|(place, _)| *place == at) {
                self.sorted_histograms.push((to, histogram));
            }
        }
        self.sorted_histograms.sort_unstable_by_key(|(place, _)| *place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Head;
    use crate::head::series_number;
    use model::Labels;
    use proptest::prelude::*;
    use storage::SeriesSamples;

    const SHARD: usize = 3;
    const SERIES: u32 = 5;

    fn shard_of_series() -> Head {
        let head = Head::new(&stdx::memory::Budget::unlimited());
        for at in 0..SERIES {
            let labels = Labels::from_pairs([("__name__", at.to_string())]);
            let shard = &mut *head.shards[SHARD].write();
            assert_eq!(head.insert(shard, u64::from(at), labels.as_ref()), Some(at));
        }
        head
    }

    fn contents(head: &Head) -> Vec<String> {
        let shard = head.shards[SHARD].read();
        let content = |series: &Series| {
            let mut samples = SeriesSamples::default();
            let mut merger = crate::merge::Merger::new(&mut samples, i64::MIN, i64::MAX);
            if let Some(snapshot) = series.snapshot(i64::MIN, i64::MAX) {
                snapshot.read(&mut merger).expect("sound");
            }
            format!("{samples:?}")
        };
        shard.slots.iter().flatten().map(content).collect()
    }

    proptest! {
        #[test]
        fn sorting_by_series_changes_no_series(entries in proptest::collection::vec((
            proptest::collection::vec((0..SERIES + 1, 0i64..40, -3i32..3, 0i64..3), 0..12),
            proptest::collection::vec((0..SERIES, 0i64..40, -3i32..3, 0i64..3), 0..3)), 0..8)) {
            // What the segment calls a series is not what we call it; one of them it never defined.
            let known: Known = (0..SERIES).map(|theirs| (theirs + 2) % SERIES).collect();
            let (sorted, one_by_one) = (shard_of_series(), shard_of_series());
            let (mut gathered, mut tally) = (Gathered::default(), Tally::default());
            for (floats, histograms) in entries {
                let mut samples = Samples::default();
                let mut sound = true;
                let shard = &mut *one_by_one.shards[SHARD].write();
                for (at, (theirs, timestamp_ms, value, start_ms)) in floats.into_iter().enumerate() {
                    samples.series.push(series_number(SHARD, theirs));
                    samples.timestamps_ms.push(timestamp_ms);
                    samples.values.push(f64::from(value));
                    samples.starts.push_at(at, start_ms);
                    match known.get(theirs as usize) {
                        Some(slot) => shard.slots[*slot as usize].as_mut().expect("inserted").append_float(
                            timestamp_ms, f64::from(value), start_ms, &mut tally),
                        None => sound = false,
                    }
                }
                for (at, (theirs, timestamp_ms, value, start_ms)) in histograms.into_iter().enumerate() {
                    let histogram = Arc::new(FloatHistogram { sum: f64::from(value), ..FloatHistogram::default() });
                    samples.histograms.push((series_number(SHARD, theirs), timestamp_ms, Arc::clone(&histogram)));
                    samples.histogram_starts.push_at(at, start_ms);
                    shard.slots[known[theirs as usize] as usize].as_mut().expect("inserted").append_histogram(
                        timestamp_ms, histogram, start_ms, &mut tally);
                }
                prop_assert_eq!(gathered.add(&known, SHARD, &samples), sound);
            }
            gathered.apply(&mut sorted.shards[SHARD].write(), &mut tally);
            prop_assert_eq!(contents(&sorted), contents(&one_by_one));
            prop_assert!(gathered.slots.is_empty() && gathered.samples.is_empty() && gathered.histograms.is_empty());
        }
    }
}
