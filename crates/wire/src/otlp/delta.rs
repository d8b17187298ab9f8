//! Totals of what clients send as deltas.
//!
//! A delta counts what happened since the point before; Prometheus' functions want the total since a start. So for each stream the
//! total so far is kept, and each delta is added to it. A point that was counted already (a client that sends again) is
//! known by its time and not counted twice; one from before is refused, because nobody knows whether it was counted.
//!
//! A request changes totals before storage has taken them. [`Accumulators::commit`] or [`Accumulators::rollback`] ends it, so that
//! a client that is told to send again is not told later that it did already. Memory is bounded: streams that
//! were silent for long are forgotten, and beyond the bound new ones are refused.

use std::collections::HashMap;

use super::{Buckets, Point};

/// A stream that was silent for so long begins anew.
const STALE_MS: i64 = 3_600_000;
/// How often streams that are silent are looked for.
const SWEEP_MS: i64 = 60_000;
/// Widest exponential histogram that is kept; wider ones lose resolution.
const WIDTH_MAX: usize = 1_024;

/// Why a delta was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeltaFault {
    /// It ends before what was counted last.
    #[error("the delta ends before one that was counted already")]
    OutOfOrder,
    /// Not finite.
    #[error("the delta is not a finite number")]
    NotFinite,
    /// The bound of memory.
    #[error("there are {0} streams of deltas already; have the client send cumulative values")]
    TooMany(usize),
}

/// Totals by stream.
#[derive(Debug)]
pub struct Accumulators {
    streams: HashMap<u128, Stream>,
    /// What streams were before the request at hand.
    undo: Vec<(u128, Option<Stream>)>,
    bytes: usize,
    bytes_max: usize,
    swept_ms: i64,
}

#[derive(Debug, Clone)]
struct Stream {
    start_ns: u64,
    last: Span,
    seen_ms: i64,
    total: Total,
}

/// What a delta covers, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Begin; 0 if unknown.
    pub start_ns: u64,
    /// End.
    pub end_ns: u64,
}

/// What has been counted.
#[derive(Debug, Clone, PartialEq)]
pub enum Total {
    /// Of a sum.
    Number(f64),
    /// Of a histogram with explicit bounds.
    Explicit(Box<Explicit>),
    /// Of an exponential one.
    Exponential(Box<Exponential>),
}

/// A histogram with explicit bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Explicit {
    /// Upper bounds of all buckets but the last.
    pub bounds: Vec<f64>,
    /// Observations in each bucket.
    pub counts: Vec<u64>,
    /// All observations.
    pub count: u64,
    /// Their sum, if each part had one.
    pub sum: Option<f64>,
}

/// A histogram with exponential buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct Exponential {
    /// The base is `2^(2^-scale)`.
    pub scale: i32,
    /// What counts as zero.
    pub zero_threshold: f64,
    /// Observations that do.
    pub zero_count: u64,
    /// Buckets above.
    pub positive: Buckets,
    /// Buckets below.
    pub negative: Buckets,
    /// All observations.
    pub count: u64,
    /// Their sum, if each part had one.
    pub sum: Option<f64>,
}

/// A total after a delta was added.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Added<'a> {
    /// When counting began, in nanoseconds.
    pub start_ns: u64,
    /// Whether it began with this delta.
    pub is_first: bool,
    /// The total.
    pub total: &'a Total,
}

impl Accumulators {
    /// None yet; at most about `bytes_max` of memory.
    pub fn new(bytes_max: usize) -> Self {
        Self { streams: HashMap::new(), undo: Vec::new(), bytes: 0, bytes_max, swept_ms: i64::MIN }
    }

    /// How many streams there are.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// About what they take.
    pub fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is no stream.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Adds a delta to the total of a stream. `None` if it was counted already.
    ///
    /// # Errors
    /// If it cannot be counted; nothing has changed then.
    pub fn add(
        &mut self,
        key: u128,
        span: Span,
        delta: Total,
        now_ms: i64,
    ) -> Result<Option<Added<'_>>, DeltaFault> {
        if matches!(delta, Total::Number(number) if !number.is_finite()) {
            return Err(DeltaFault::NotFinite);
        }
        let start_ns = if span.start_ns == 0 { span.end_ns } else { span.start_ns };
        let fresh = |total| Stream { start_ns, last: span, seen_ms: now_ms, total };
        let mut is_first = true;
        if let Some(stream) = self.streams.get_mut(&key) {
            if stream.last == span {
                return Ok(None);
            }
            if span.end_ns <= stream.last.end_ns {
                return Err(DeltaFault::OutOfOrder);
            }
            let before = stream.clone();
            is_first = !stream.total.add(&delta);
            if is_first {
                *stream = fresh(delta);
            } else {
                (stream.last, stream.seen_ms) = (span, now_ms);
            }
            self.bytes = (self.bytes + stream.size_bytes()).saturating_sub(before.size_bytes());
            self.undo.push((key, Some(before)));
        } else {
            self.make_room(now_ms)?;
            let stream = fresh(delta);
            self.bytes += stream.size_bytes();
            self.streams.insert(key, stream);
            self.undo.push((key, None));
        }
        let stream = &self.streams[&key];
        Ok(Some(Added { start_ns: stream.start_ns, is_first, total: &stream.total }))
    }

    fn make_room(&mut self, now_ms: i64) -> Result<(), DeltaFault> {
        if self.bytes < self.bytes_max {
            return Ok(());
        }
        // Not within a request that may be taken back.
        if self.undo.is_empty() && now_ms.saturating_sub(self.swept_ms) >= SWEEP_MS {
            self.swept_ms = now_ms;
            self.streams.retain(|_, stream| now_ms - stream.seen_ms < STALE_MS);
            self.bytes = self.streams.values().map(Stream::size_bytes).sum();
        }
        if self.bytes < self.bytes_max { Ok(()) } else { Err(DeltaFault::TooMany(self.streams.len())) }
    }

    /// What was added since the last call is stored.
    pub fn commit(&mut self) {
        self.undo.clear();
    }

    /// What was added since the last commit is not stored: as if it had never come.
    pub fn rollback(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            let undone = match before {
                Some(before) => {
                    self.bytes += before.size_bytes();
                    self.streams.insert(key, before)
                }
                None => self.streams.remove(&key),
            };
            self.bytes = self.bytes.saturating_sub(undone.map_or(0, |stream| stream.size_bytes()));
        }
    }
}

impl Stream {
    fn size_bytes(&self) -> usize {
        // A little more for its place in the table.
        24 + size_of::<Self>()
            + match &self.total {
                Total::Number(_) => 0,
                Total::Explicit(total) => {
                    size_of::<Explicit>() + 8 * (total.bounds.len() + total.counts.len())
                }
                Total::Exponential(total) => {
                    size_of::<Exponential>() + 8 * (total.positive.counts.len() + total.negative.counts.len())
                }
            }
    }
}

fn add_sums(total: &mut Option<f64>, delta: Option<f64>) {
    *total = total.zip(delta).map(|(total, delta)| total + delta);
}

impl Total {
    /// Returns whether the two can be added; nothing has changed if not.
    fn add(&mut self, delta: &Self) -> bool {
        match (self, delta) {
            (Self::Number(total), Self::Number(delta)) => *total += delta,
            (Self::Explicit(total), Self::Explicit(delta)) => {
                if total.bounds != delta.bounds || total.counts.len() != delta.counts.len() {
                    return false;
                }
                for (total, delta) in total.counts.iter_mut().zip(&delta.counts) {
                    *total = total.saturating_add(*delta);
                }
                total.count = total.count.saturating_add(delta.count);
                add_sums(&mut total.sum, delta.sum);
            }
            (Self::Exponential(total), Self::Exponential(delta)) => total.add((**delta).clone()),
            _ => return false,
        }
        true
    }
}

impl Explicit {
    /// Of a point.
    pub fn of(point: &Point<'_>) -> Self {
        Self {
            bounds: point.bounds.clone(),
            counts: point.bucket_counts.clone(),
            count: point.count,
            sum: point.sum,
        }
    }
}

impl Exponential {
    /// Of a point.
    pub fn of(point: &Point<'_>) -> Self {
        Self {
            scale: point.scale,
            zero_threshold: point.zero_threshold,
            zero_count: point.zero_count,
            positive: point.positive.clone(),
            negative: point.negative.clone(),
            count: point.count,
            sum: point.sum,
        }
    }

    /// Lowers the resolution to `scale`, if it is higher.
    pub fn downscale(&mut self, scale: i32) {
        let by = self.scale.saturating_sub(scale);
        if by > 0 {
            self.positive.downscale(by.unsigned_abs());
            self.negative.downscale(by.unsigned_abs());
            self.scale = scale;
        }
    }

    fn add(&mut self, mut delta: Self) {
        let scale = self.scale.min(delta.scale);
        self.downscale(scale);
        delta.downscale(scale);
        while self.positive.joint_width(&delta.positive).max(self.negative.joint_width(&delta.negative))
            > WIDTH_MAX
        {
            let scale = self.scale - 1;
            self.downscale(scale);
            delta.downscale(scale);
        }
        if self.zero_threshold != delta.zero_threshold {
            // Widening one zero bucket to the end of a bucket may make it wider than the other.
            for _ in 0..2 {
                let threshold = self.zero_threshold.max(delta.zero_threshold);
                self.widen_zero(threshold);
                delta.widen_zero(threshold);
            }
        }
        self.positive.add(&delta.positive);
        self.negative.add(&delta.negative);
        self.zero_count = self.zero_count.saturating_add(delta.zero_count);
        self.count = self.count.saturating_add(delta.count);
        add_sums(&mut self.sum, delta.sum);
    }

    /// Lets the zero bucket reach to `threshold`, or to the end of a bucket that reaches beyond it.
    fn widen_zero(&mut self, threshold: f64) {
        self.zero_threshold = self.zero_threshold.max(threshold);
        let base = f64::exp2(f64::exp2(-f64::from(self.scale)));
        for side in [&mut self.positive, &mut self.negative] {
            let lower = |index: i32| base.powi(index);
            let inside = (0..side.counts.len())
                .take_while(|at| lower(side.offset.saturating_add(*at as i32)) < self.zero_threshold);
            let inside = inside.count();
            let folded: u64 = side.counts.drain(..inside).fold(0, u64::saturating_add);
            side.offset = side.offset.saturating_add(inside as i32);
            self.zero_count = self.zero_count.saturating_add(folded);
            if folded > 0 {
                self.zero_threshold = self.zero_threshold.max(lower(side.offset));
            }
        }
    }
}

impl Buckets {
    /// Merges `2^by` buckets into one.
    fn downscale(&mut self, by: u32) {
        // Beyond that there are two buckets left.
        let by = by.min(40);
        let index = |at: usize| (i64::from(self.offset) + at as i64) >> by;
        if let Some(last) = self.counts.len().checked_sub(1) {
            let first = index(0);
            let mut counts = vec![0u64; (index(last) - first) as usize + 1];
            for (at, count) in self.counts.iter().enumerate() {
                let place = &mut counts[(index(at) - first) as usize];
                *place = place.saturating_add(*count);
            }
            (self.offset, self.counts) = (first as i32, counts);
        }
    }

    /// First index and the one behind the last; `None` if there is no bucket.
    fn range(&self) -> Option<(i64, i64)> {
        let first = i64::from(self.offset);
        (!self.counts.is_empty()).then(|| (first, first + self.counts.len() as i64))
    }

    fn joint_width(&self, other: &Self) -> usize {
        match (self.range(), other.range()) {
            (Some(a), Some(b)) => (a.1.max(b.1) - a.0.min(b.0)) as usize,
            _ => self.counts.len().max(other.counts.len()),
        }
    }

    fn add(&mut self, other: &Self) {
        let Some(theirs) = other.range() else { return };
        let ours = self.range().unwrap_or(theirs);
        let (first, end) = (ours.0.min(theirs.0), ours.1.max(theirs.1));
        if ours != (first, end) || self.counts.is_empty() {
            let mut counts = vec![0; (end - first) as usize];
            let at = (ours.0 - first) as usize;
            counts[at..at + self.counts.len()].copy_from_slice(&self.counts);
            (self.offset, self.counts) = (first as i32, counts);
        }
        let at = (theirs.0 - first) as usize;
        for (total, count) in self.counts[at..].iter_mut().zip(&other.counts) {
            *total = total.saturating_add(*count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(start_ns: u64, end_ns: u64) -> Span {
        Span { start_ns, end_ns }
    }

    #[track_caller]
    fn check(
        sums: &mut Accumulators,
        of: Span,
        delta: f64,
        want: Result<Option<(u64, bool, f64)>, DeltaFault>,
    ) {
        let added = sums.add(1, of, Total::Number(delta), 0);
        let got = added.map(|added| {
            added.map(|Added { start_ns, is_first, total }| match total {
                Total::Number(total) => (start_ns, is_first, *total),
                other => panic!("{other:?}"),
            })
        });
        assert_eq!(got, want);
    }

    #[test]
    fn deltas_are_added_once_each_and_in_order() {
        let mut sums = Accumulators::new(1 << 20);
        check(&mut sums, span(10, 20), 5.0, Ok(Some((10, true, 5.0))));
        check(&mut sums, span(20, 30), 2.0, Ok(Some((10, false, 7.0))));
        check(&mut sums, span(20, 30), 2.0, Ok(None));
        check(&mut sums, span(15, 25), 2.0, Err(DeltaFault::OutOfOrder));
        check(&mut sums, span(25, 35), 1.0, Ok(Some((10, false, 8.0))));
        check(&mut sums, span(35, 45), f64::NAN, Err(DeltaFault::NotFinite));
        check(&mut sums, span(50, 60), 1.0, Ok(Some((10, false, 9.0))));
    }

    #[test]
    fn what_storage_did_not_take_is_taken_back() {
        let mut sums = Accumulators::new(1 << 20);
        check(&mut sums, span(10, 20), 5.0, Ok(Some((10, true, 5.0))));
        sums.commit();
        check(&mut sums, span(20, 30), 2.0, Ok(Some((10, false, 7.0))));
        check(&mut sums, span(30, 40), 2.0, Ok(Some((10, false, 9.0))));
        sums.rollback();
        check(&mut sums, span(20, 30), 2.0, Ok(Some((10, false, 7.0))));
        sums.commit();
        sums.rollback();
        check(&mut sums, span(30, 40), 1.0, Ok(Some((10, false, 8.0))));
        let mut empty = Accumulators::new(1 << 20);
        check(&mut empty, span(10, 20), 5.0, Ok(Some((10, true, 5.0))));
        empty.rollback();
        assert!(empty.is_empty() && empty.bytes == 0);
    }

    #[test]
    fn beyond_the_bound_new_streams_wait_until_old_ones_are_silent() {
        let mut sums = Accumulators::new(1_000);
        let add = |sums: &mut Accumulators, key, now_ms| {
            let added = sums.add(key, span(1, 2 + key as u64), Total::Number(1.0), now_ms).map(|_| ());
            sums.commit();
            added
        };
        let fitting = (0..100).take_while(|key| add(&mut sums, *key, 0).is_ok()).count();
        assert!((2..50).contains(&fitting), "{fitting}");
        assert_eq!(sums.len(), fitting);
        assert_eq!(add(&mut sums, 200, STALE_MS - 1), Err(DeltaFault::TooMany(fitting)));
        assert_eq!(add(&mut sums, 0, 5), Ok(()), "known ones go on");
        assert_eq!(add(&mut sums, 200, STALE_MS + SWEEP_MS), Ok(()));
        assert_eq!(sums.len(), 1);
    }

    #[test]
    fn other_bounds_begin_anew() {
        let mut sums = Accumulators::new(1 << 20);
        let of = |bounds: &[f64], counts: &[u64], sum| {
            let count = counts.iter().sum();
            Total::Explicit(Box::new(Explicit {
                bounds: bounds.to_vec(),
                counts: counts.to_vec(),
                count,
                sum,
            }))
        };
        sums.add(1, span(1, 2), of(&[1.0], &[1, 2], Some(3.0)), 0).expect("added");
        let second = sums.add(1, span(2, 3), of(&[1.0], &[1, 0], None), 0).expect("added").expect("new");
        assert_eq!((second.start_ns, second.is_first, second.total), (1, false, &of(&[1.0], &[2, 2], None)));
        let third = sums.add(1, span(3, 4), of(&[2.0], &[1, 0], Some(1.0)), 0).expect("added").expect("new");
        assert_eq!((third.start_ns, third.is_first), (3, true));
    }

    fn exponential() -> impl Strategy<Value = Exponential> {
        let buckets = || {
            (-40i32..40, proptest::collection::vec(0u64..5, 0..12))
                .prop_map(|(offset, counts)| Buckets { offset, counts })
        };
        let threshold = prop_oneof![Just(0.0), Just(0.01), Just(0.5)];
        (-2i32..4, threshold, 0u64..5, buckets(), buckets()).prop_map(
            |(scale, zero_threshold, zero_count, positive, negative)| {
                let count = zero_count + positive.counts.iter().chain(&negative.counts).sum::<u64>();
                Exponential { scale, zero_threshold, zero_count, positive, negative, count, sum: Some(1.0) }
            },
        )
    }

    proptest! {
        #[test]
        fn no_observation_is_lost(first in exponential(), second in exponential()) {
            let mut total = first.clone();
            total.add(second.clone());
            let all = |h: &Exponential| h.zero_count + h.positive.counts.iter().chain(&h.negative.counts).sum::<u64>();
            prop_assert_eq!(all(&total), first.count + second.count);
            prop_assert_eq!(total.count, first.count + second.count);
            prop_assert_eq!(total.sum, Some(2.0));
            prop_assert!(total.scale <= first.scale.min(second.scale));
            prop_assert!(total.positive.counts.len() <= WIDTH_MAX);
            prop_assert!(total.zero_threshold >= first.zero_threshold.max(second.zero_threshold));
        }

        #[test]
        fn downscaling_puts_each_bucket_where_it_belongs(offset in -100i32..100, counts in proptest::collection::vec(0u64..9, 1..40), by in 0u32..6) {
            let mut buckets = Buckets { offset, counts: counts.clone() };
            buckets.downscale(by);
            for (at, count) in buckets.counts.iter().enumerate() {
                let index = buckets.offset + at as i32;
                let want: u64 = counts.iter().enumerate()
                    .filter(|(at, _)| (offset + *at as i32) >> by == index).map(|(_, count)| count).sum();
                prop_assert_eq!(*count, want);
            }
            prop_assert_eq!(buckets.counts.iter().sum::<u64>(), counts.iter().sum::<u64>());
        }
    }
}
