//! Labels that many targets share. Ten thousand exporters of one kind have the same series but for the labels of the target: what is
//! left without those, a shape, is kept once for all of them.

use std::sync::Arc;

use hashbrown::HashTable;
use model::{Labels, LabelsBuilder, LabelsRef};
use parking_lot::Mutex;
use storage::{BatchSeries, PartedLabels, SeriesKey, WriteBatch};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

/// So many shapes are kept without asking who needs them.
const PURGE_MIN: usize = 1_024;

/// The labels of a series without those of its target.
#[derive(Debug)]
pub(crate) struct Shape {
    packed: Box<str>,
    hash: u128,
    /// The target's labels are in it, as far as the series has them: relabelling took some away or changed them.
    is_whole: bool,
}

impl Shape {
    /// Bytes of its labels.
    pub(crate) fn len(&self) -> usize {
        self.packed.len()
    }

    /// By which storage knows the series of a target that has this shape.
    pub(crate) fn key(&self, target: u128, seed: u64) -> SeriesKey {
        let target = if self.is_whole { 0 } else { target };
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.hash.to_le_bytes());
        bytes[16..].copy_from_slice(&target.to_le_bytes());
        SeriesKey::new(xxh3_128_with_seed(&bytes, seed))
    }

    /// Appends the packed labels of the series.
    pub(crate) fn append_labels(&self, target: LabelsRef<'_>, packed: &mut String) {
        let shared = if self.is_whole { LabelsRef::from_packed_trusted("") } else { target };
        PartedLabels { own: self.own(), shared }.append_to(packed);
    }

    /// Adds the series of a target to a batch, which is told the target's labels once.
    pub(crate) fn add_to(&self, batch: &mut WriteBatch, target: u128, seed: u64) -> BatchSeries {
        batch.add_parted_series(self.key(target, seed), self.own(), self.is_whole)
    }

    fn own(&self) -> LabelsRef<'_> {
        LabelsRef::from_packed_trusted(&self.packed)
    }
}

/// Shapes that are in use, each once.
#[derive(Debug)]
pub(crate) struct Shapes {
    seed: u64,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    table: HashTable<Arc<Shape>>,
    /// With so many, those that nobody uses are looked for.
    purge_at: usize,
}

impl Shapes {
    /// None yet. `seed` keys the hashes, so that no exporter can choose colliding labels.
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let known = Known { table: HashTable::new(), purge_at: PURGE_MIN };
        Arc::new(Self { seed, known: Mutex::new(known) })
    }

    /// The shape of a series of a target. `scratch` is a buffer.
    pub(crate) fn of(&self, labels: &LabelsBuilder, target: &Labels, scratch: &mut String) -> Arc<Shape> {
        scratch.clear();
        let is_whole = !target.iter().all(|(name, value)| labels.get(name) == Some(value));
        if is_whole {
            labels.pack_into(scratch);
        } else {
            for (name, value) in labels.iter().filter(|(name, _)| target.get(name).is_none()) {
                model::labels::pack(scratch, name, value);
            }
        }
        self.intern(scratch, is_whole)
    }

    fn intern(&self, packed: &str, is_whole: bool) -> Arc<Shape> {
        let table_hash = |packed: &str| xxh3_64_with_seed(packed.as_bytes(), self.seed);
        let hash = table_hash(packed);
        let mut known = self.known.lock();
        let same = |shape: &Arc<Shape>| shape.is_whole == is_whole && *shape.packed == *packed;
        if let Some(shape) = known.table.find(hash, same) {
            return Arc::clone(shape);
        }
        if known.table.len() >= known.purge_at {
            // Nobody else can take one while the table is locked.
            known.table.retain(|shape| Arc::strong_count(shape) > 1);
            known.table.shrink_to_fit(|shape| table_hash(&shape.packed));
            known.purge_at = (known.table.len() * 2).max(PURGE_MIN);
        }
        let seed = self.seed ^ u64::from(is_whole);
        let shape = Arc::new(Shape {
            packed: packed.into(),
            hash: xxh3_128_with_seed(packed.as_bytes(), seed),
            is_whole,
        });
        known.table.insert_unique(hash, Arc::clone(&shape), |shape| table_hash(&shape.packed));
        shape
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied())
    }

    /// Splits labels and puts them together again, in both ways.
    #[track_caller]
    fn check(shapes: &Shapes, series: &Labels, target: &Labels) -> Arc<Shape> {
        let shape = shapes.of(&series.to_builder(), target, &mut String::new());
        let mut packed = String::new();
        shape.append_labels(target.as_ref(), &mut packed);
        assert_eq!(packed, series.packed());
        let mut batch = WriteBatch::new();
        let added = shape.add_to(&mut batch, 1, 7);
        batch.set_shared(target.as_ref());
        assert_eq!(batch.labels(added).decode(&mut packed).expect("sound").packed(), series.packed());
        shape
    }

    #[test]
    fn targets_share_what_is_not_their_own() {
        let shapes = Shapes::new(7);
        let target = |instance| labels(&[("instance", instance), ("job", "j")]);
        let series =
            |instance| labels(&[("__name__", "up"), ("instance", instance), ("job", "j"), ("z", "1")]);
        let a = check(&shapes, &series("a"), &target("a"));
        let b = check(&shapes, &series("b"), &target("b"));
        assert!(Arc::ptr_eq(&a, &b) && !a.is_whole);
        assert_ne!(a.key(1, 7), a.key(2, 7), "another target, another series");
        // Relabelling took the job away: the labels are the series' own.
        let odd = check(&shapes, &labels(&[("__name__", "up"), ("instance", "a")]), &target("a"));
        assert!(odd.is_whole);
        assert_eq!(odd.key(1, 7), odd.key(2, 7), "the same labels");
    }

    #[test]
    fn shapes_that_nobody_uses_are_forgotten() {
        let shapes = Shapes::new(7);
        let kept = check(&shapes, &labels(&[("__name__", "kept")]), &Labels::empty());
        for number in 0..10 * PURGE_MIN {
            let name = number.to_string();
            drop(check(&shapes, &labels(&[("__name__", &name)]), &Labels::empty()));
        }
        assert!(shapes.known.lock().table.len() <= PURGE_MIN);
        let again = check(&shapes, &labels(&[("__name__", "kept")]), &Labels::empty());
        assert!(Arc::ptr_eq(&kept, &again));
    }

    proptest! {
        #[test]
        fn any_labels_come_together_again(
            series in proptest::collection::btree_map("[a-e]", "[xy]{0,2}", 0..5),
            target in proptest::collection::btree_map("[a-e]", "[xy]{0,2}", 0..4),
        ) {
            check(&Shapes::new(1), &Labels::from_pairs(&series), &Labels::from_pairs(&target));
        }
    }
}
