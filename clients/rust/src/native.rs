//! The buckets of native histograms: sparse, made when something falls into them, coarser when there are too many.
//!
//! Source: Prometheus' specification of native histograms. With schema `s`, bucket `i` holds what is above
//! `2^((i-1) / 2^s)` and not above `2^(i / 2^s)`.
//!
//! No lock: counts live in a table of slots that are claimed by compare-and-swap. A table that is too small, or whose buckets
//! are too many, gets a successor, which is larger or coarser; it stays, with whatever slow threads still count in it, and
//! is read together with the others. So nothing is copied, and nothing is lost.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

use crate::snapshot::NativeSnapshot;

pub(crate) const SCHEMA_MIN: i32 = -4;
pub(crate) const SCHEMA_MAX: i32 = 8;

/// Zero, and what is as good as zero.
pub(crate) const ZERO_THRESHOLD: f64 = f64::from_bits((1023 - 128) << 52);

const SLOTS_FIRST: usize = 32;
/// With more, `TABLES_MAX` would not do.
const BUCKETS_MAX: usize = 1024;
/// The first table, six that are larger, one for each lower schema, and one.
const TABLES_MAX: usize = 20;

/// Stands in a slot that nobody has claimed. Indexes of buckets have at most 20 bits and a sign.
const FREE: i32 = i32::MIN;

#[derive(Debug)]
pub(crate) struct NativeBuckets {
    buckets_max: usize,
    zero: AtomicU64,
    /// NaN, which is counted but in no bucket.
    nan: AtomicU64,
    tables: [OnceLock<Table>; TABLES_MAX],
    /// The table in which is counted now; it is there.
    current: AtomicUsize,
}

#[derive(Debug)]
struct Table {
    schema: i32,
    /// Bounds between 0.5 and 1, for the part of a float behind the exponent; none for schemas up to 0.
    bounds: Box<[f64]>,
    /// A power of two of them. A slot is claimed once, by its bucket's index times two plus one for negative values.
    slots: Box<[Slot]>,
    used: AtomicUsize,
    /// At so many used slots it is time for a successor.
    used_max: usize,
}

#[derive(Debug)]
struct Slot {
    bucket: AtomicI32,
    count: AtomicU64,
}

impl NativeBuckets {
    pub(crate) fn new(schema: i32, buckets_max: usize) -> Self {
        let buckets_max = buckets_max.clamp(4, BUCKETS_MAX);
        let tables: [OnceLock<Table>; TABLES_MAX] = Default::default();
        let first = Table::new(schema.clamp(SCHEMA_MIN, SCHEMA_MAX), SLOTS_FIRST, buckets_max);
        tables[0].get_or_init(|| first);
        Self {
            buckets_max,
            zero: AtomicU64::new(0),
            nan: AtomicU64::new(0),
            tables,
            current: AtomicUsize::new(0),
        }
    }

    pub(crate) fn observe(&self, value: f64) {
        if value.is_nan() {
            self.nan.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if value.abs() <= ZERO_THRESHOLD {
            self.zero.fetch_add(1, Ordering::Relaxed);
            return;
        }
        loop {
            let current = self.current.load(Ordering::Acquire);
            let Some(table) = self.tables[current].get() else {
                unreachable!("BUG: a table is made before it is the current one")
            };
            // A table that cannot be succeeded has room for everything: the coarsest schema has 2 × 128 buckets or so.
            if table.count(value, current + 1 < TABLES_MAX) {
                if table.used.load(Ordering::Relaxed) >= table.used_max {
                    self.succeed(current);
                }
                return;
            }
            self.succeed(current);
        }
    }

    /// Makes a table after `at` the current one, unless somebody else has done so, or it can grow no further.
    #[cold]
    fn succeed(&self, at: usize) {
        let Some(table) = self.tables[at].get() else { return };
        let larger = table.slots.len() * 2;
        let too_many = table.used.load(Ordering::Relaxed) >= self.buckets_max;
        let schema = if too_many { (table.schema - 1).max(SCHEMA_MIN) } else { table.schema };
        if too_many && schema == table.schema && table.slots.len() >= SLOTS_LAST {
            return;
        }
        let slots = if too_many && schema != table.schema { table.slots.len() } else { larger };
        if let Some(place) = self.tables.get(at + 1) {
            place.get_or_init(|| Table::new(schema, slots, self.buckets_max));
            // Who comes second changes nothing: the current table only moves on.
            let _ = self.current.compare_exchange(at, at + 1, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        let in_tables: u64 =
            self.tables().flat_map(|table| &table.slots).map(|s| s.count.load(Ordering::Relaxed)).sum();
        in_tables + self.zero.load(Ordering::Relaxed) + self.nan.load(Ordering::Relaxed)
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().map_while(OnceLock::get)
    }

    /// The count of everything, and the buckets, no more than there may be.
    pub(crate) fn snapshot(&self) -> (u64, NativeSnapshot) {
        let mut schema = self.tables().map(|table| table.schema).min().unwrap_or(SCHEMA_MIN);
        let (mut negative, mut positive) = (BTreeMap::<i32, u64>::new(), BTreeMap::<i32, u64>::new());
        for table in self.tables() {
            for slot in &table.slots {
                let (bucket, count) =
                    (slot.bucket.load(Ordering::Relaxed), slot.count.load(Ordering::Relaxed));
                if count > 0 {
                    let side = if bucket & 1 == 1 { &mut negative } else { &mut positive };
                    *side.entry(coarser(bucket >> 1, table.schema - schema)).or_default() += count;
                }
            }
        }
        while negative.len() + positive.len() > self.buckets_max && schema > SCHEMA_MIN {
            schema -= 1;
            (negative, positive) = (merged(&negative), merged(&positive));
        }
        let zero_count = self.zero.load(Ordering::Relaxed);
        let count = negative.values().chain(positive.values()).sum::<u64>()
            + zero_count
            + self.nan.load(Ordering::Relaxed);
        let native = NativeSnapshot {
            schema,
            zero_threshold: ZERO_THRESHOLD,
            zero_count,
            negative: negative.into_iter().collect(),
            positive: positive.into_iter().collect(),
        };
        (count, native)
    }
}

/// With so many slots, a table of the coarsest schema cannot fill up: floats have 2,098 powers of two, 132 of the 16th, on
/// either side of zero.
const SLOTS_LAST: usize = 1024;

impl Table {
    fn new(schema: i32, slots: usize, buckets_max: usize) -> Self {
        let per_power = if schema > 0 { 1u32 << schema } else { 0 };
        let bounds = (0..per_power).map(|at| 0.5 * (f64::from(at) / f64::from(per_power)).exp2()).collect();
        let slots = (0..slots).map(|_| Slot { bucket: AtomicI32::new(FREE), count: AtomicU64::new(0) });
        let slots: Box<[Slot]> = slots.collect();
        let used_max = (slots.len() * 3 / 4).min(buckets_max);
        Self { schema, bounds, slots, used: AtomicUsize::new(0), used_max }
    }

    /// Counts `value`, if there is a slot for it. With `leave_room`, a quarter of the slots stays free, so that searches are short.
    fn count(&self, value: f64, leave_room: bool) -> bool {
        let bucket = self.bucket(value.abs()) * 2 + i32::from(value < 0.0);
        let mask = self.slots.len() - 1;
        // Neighbours are spread, or they would fight over cache lines.
        let first = (bucket as u32).wrapping_mul(0x9E37_79B1) as usize >> 7;
        for at in first..first + self.slots.len() {
            let slot = &self.slots[at & mask];
            let mut holder = slot.bucket.load(Ordering::Relaxed);
            if holder == FREE {
                if leave_room && self.used.load(Ordering::Relaxed) * 4 >= self.slots.len() * 3 {
                    return false;
                }
                match slot.bucket.compare_exchange(FREE, bucket, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => {
                        self.used.fetch_add(1, Ordering::Relaxed);
                        holder = bucket;
                    }
                    Err(other) => holder = other,
                }
            }
            if holder == bucket {
                slot.count.fetch_add(1, Ordering::Relaxed);
                return true;
            }
        }
        false
    }

    /// The index of the bucket of a value above zero.
    fn bucket(&self, value: f64) -> i32 {
        if value == f64::INFINITY {
            // Infinity is in the bucket after that of the largest float.
            return self.bucket(f64::MAX) + 1;
        }
        let (fraction, exponent) = fraction_and_exponent(value);
        if self.schema > 0 {
            let within = self.bounds.partition_point(|bound| *bound < fraction) as i32;
            return within + (exponent - 1) * self.bounds.len() as i32;
        }
        // A power of two is the end of its bucket.
        let exponent = if fraction == 0.5 { exponent - 1 } else { exponent };
        coarser(exponent, -self.schema)
    }
}

/// The index of the bucket that holds bucket `index` when the schema is `levels` lower.
fn coarser(index: i32, levels: i32) -> i32 {
    ((index - 1) >> levels) + 1
}

fn merged(buckets: &BTreeMap<i32, u64>) -> BTreeMap<i32, u64> {
    let mut merged = BTreeMap::new();
    for (index, count) in buckets {
        *merged.entry(coarser(*index, 1)).or_default() += count;
    }
    merged
}

/// `value` as a fraction of at least 0.5 and below 1, times two to the exponent. For what is above zero and finite.
fn fraction_and_exponent(value: f64) -> (f64, i32) {
    const BIAS: i32 = 1022;
    let bits = value.to_bits();
    let biased = (bits >> 52) as i32;
    if biased == 0 {
        // Subnormal: scaled up to where there is an exponent.
        let (fraction, exponent) = fraction_and_exponent(value * f64::from_bits((1023 + 64) << 52));
        return (fraction, exponent - 64);
    }
    (f64::from_bits(bits & !(0x7FF << 52) | (BIAS as u64) << 52), biased - BIAS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn buckets_of(values: &[f64], schema: i32, buckets_max: usize) -> NativeSnapshot {
        let buckets = NativeBuckets::new(schema, buckets_max);
        values.iter().for_each(|value| buckets.observe(*value));
        let (count, snapshot) = buckets.snapshot();
        assert_eq!(count, values.len() as u64);
        assert_eq!(count, buckets.count());
        snapshot
    }

    #[test]
    fn powers_of_two_end_their_buckets() {
        let seen = buckets_of(&[0.5, 1.0, 1.1, 2.0, 4.0, -1.0, 0.0, -0.0, f64::NAN], 0, 160);
        assert_eq!(seen.positive, [(-1, 1), (0, 1), (1, 2), (2, 1)]);
        assert_eq!(seen.negative, [(0, 1)]);
        assert_eq!(seen.zero_count, 2);
        // At schema 3, eight buckets a power of two.
        assert_eq!(buckets_of(&[1.0, 1.01, 2.0], 3, 160).positive, [(0, 1), (1, 1), (8, 1)]);
        // At schema -2, sixteen-fold buckets: (1, 16], (16, 256].
        assert_eq!(buckets_of(&[1.0, 1.5, 16.0, 17.0], -2, 160).positive, [(0, 1), (1, 2), (2, 1)]);
    }

    #[test]
    fn too_many_buckets_are_merged() {
        let values: Vec<f64> = (1..=1_000).map(f64::from).collect();
        let seen = buckets_of(&values, 8, 20);
        assert!(seen.positive.len() <= 20 && seen.positive.len() >= 10, "{seen:?}");
        assert_eq!(seen.positive.iter().map(|(_, count)| count).sum::<u64>(), 1_000);
    }

    #[test]
    fn the_widest_range_fits_the_coarsest_buckets() {
        let values: Vec<f64> = (-1074..1024)
            .flat_map(|power| [2f64.powi(power), -2f64.powi(power)])
            .chain([f64::INFINITY, f64::NEG_INFINITY])
            .collect();
        let seen = buckets_of(&values, 8, 4);
        assert_eq!(seen.schema, SCHEMA_MIN);
    }

    #[test]
    fn nothing_is_lost_while_tables_are_replaced() {
        let buckets = NativeBuckets::new(8, 50);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let buckets = &buckets;
                scope.spawn(move || {
                    for at in 0..20_000 {
                        buckets.observe(f64::from(at * 4 + thread) * 1.7);
                    }
                });
            }
        });
        let (count, snapshot) = buckets.snapshot();
        assert_eq!(count, 80_000);
        assert!(snapshot.positive.len() <= 50);
    }

    proptest! {
        #[test]
        fn a_value_lies_between_the_bounds_of_its_bucket(value in 1e-30f64..1e30, schema in SCHEMA_MIN..=SCHEMA_MAX) {
            let seen = buckets_of(&[value], schema, 160);
            let (index, _) = seen.positive[0];
            let bound = |index: i32| (f64::from(index) / f64::from(schema).exp2()).exp2();
            prop_assert!(bound(index - 1) <= value * (1.0 + 1e-12), "{} {}", value, index);
            prop_assert!(value <= bound(index) * (1.0 + 1e-12), "{} {}", value, index);
        }

        #[test]
        fn merged_buckets_are_those_of_the_coarser_schema(values in proptest::collection::vec(1e-9f64..1e9, 1..200)) {
            let fine = buckets_of(&values, 5, 160);
            let coarse = buckets_of(&values, fine.schema, 100_000);
            prop_assert_eq!(fine.positive, coarse.positive);
        }
    }
}
