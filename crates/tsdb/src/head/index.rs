//! The head's index: for each label name its values, sorted, and for each value the series that have it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use model::{Labels, LabelsRef};
use roaring::RoaringBitmap;
use storage::Error;
use xxhash_rust::xxh3::xxh3_64;

use crate::postings::{LabelIndex, Union};

/// Index of one tenant's head.
#[derive(Debug, Default)]
pub(crate) struct HeadIndex {
    all: RoaringBitmap,
    /// Goes up with every change, so that what was found can be kept as long as it holds.
    version: u64,
    pub(crate) names: BTreeMap<Box<str>, NameIndex>,
}

/// Values of one label name.
#[derive(Debug, Default)]
pub(crate) struct NameIndex {
    /// Series that have the label.
    any: RoaringBitmap,
    pub(crate) values: BTreeMap<Box<str>, Postings>,
}

/// Series that have one value. Most values of a large index have one or few series.
#[derive(Debug)]
pub(crate) enum Postings {
    /// Sorted.
    Few(Vec<u32>),
    Many(RoaringBitmap),
}

/// From here on a bitmap is smaller.
const FEW_MAX: usize = 16;

impl Postings {
    fn add(&mut self, series: u32) {
        match self {
            Self::Few(few) => {
                let Err(at) = few.binary_search(&series) else { return };
                if few.len() < FEW_MAX {
                    few.reserve_exact(1);
                    few.insert(at, series);
                } else {
                    let mut many: RoaringBitmap = few.iter().copied().collect();
                    many.insert(series);
                    *self = Self::Many(many);
                }
            }
            Self::Many(many) => {
                many.insert(series);
            }
        }
    }

    fn remove(&mut self, series: u32) {
        match self {
            Self::Few(few) => few.retain(|other| *other != series),
            Self::Many(many) => {
                many.remove(series);
            }
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Few(few) => few.len() as u64,
            Self::Many(many) => many.len(),
        }
    }

    fn add_to(&self, union: &mut Union) {
        match self {
            Self::Few(few) => few.iter().for_each(|series| union.add(*series)),
            Self::Many(many) => union.add_all(many),
        }
    }

    fn meets(&self, set: &RoaringBitmap) -> bool {
        match self {
            Self::Few(few) => few.iter().any(|series| set.contains(*series)),
            Self::Many(many) => !many.is_disjoint(set),
        }
    }
}

impl HeadIndex {
    /// An index of all series that `for_each` visits, in rising order of their numbers. Each thread visits all of them and
    /// takes the labels whose names fall to it.
    pub(super) fn build(
        thread_count: usize,
        for_each: impl Fn(&mut dyn FnMut(u32, LabelsRef<'_>)) + Sync,
    ) -> Self {
        let part = |at: usize| {
            let mut builder = IndexBuilder::new(at, thread_count);
            for_each(&mut |series, labels| builder.add(series, labels));
            builder.finish()
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..thread_count).map(|at| scope.spawn(move || part(at))).collect();
            let mut index = part(0);
            for other in others {
                match other.join() {
                    Ok(other) => index.names.extend(other.names),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            index
        })
    }

    /// Of what is found now: the same version, the same result.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn add(&mut self, series: u32, labels: &Labels) {
        self.version += 1;
        self.all.insert(series);
        for (name, value) in labels {
            if !self.names.contains_key(name) {
                self.names.insert(Box::from(name), NameIndex::default());
            }
            let index = self.names.get_mut(name).expect("just inserted");
            index.any.insert(series);
            match index.values.get_mut(value) {
                Some(postings) => postings.add(series),
                None => {
                    index.values.insert(Box::from(value), Postings::Few(vec![series]));
                }
            }
        }
    }

    pub(super) fn remove(&mut self, series: u32, labels: &Labels) {
        self.version += 1;
        self.all.remove(series);
        for (name, value) in labels {
            let Some(index) = self.names.get_mut(name) else { continue };
            index.any.remove(series);
            if let Some(postings) = index.values.get_mut(value) {
                postings.remove(series);
                if postings.len() == 0 {
                    index.values.remove(value);
                }
            }
            if index.values.is_empty() {
                self.names.remove(name);
            }
        }
    }
}

/// Builds the part of an index that falls to one of several threads.
struct IndexBuilder {
    part: usize,
    part_count: usize,
    all: RoaringBitmap,
    names: Vec<NameBuilder>,
    /// For each place in the labels of the last series: its name's place in `names`.
    last: Vec<usize>,
}

struct NameBuilder {
    name: Box<str>,
    is_mine: bool,
    any: RoaringBitmap,
    values: Vec<(Box<str>, Postings)>,
    /// Places in `values`, by hash of the value.
    by_value: hashbrown::HashTable<u32>,
    /// The place of the value that came last: most often the next one too.
    last: usize,
}

impl IndexBuilder {
    fn new(part: usize, part_count: usize) -> Self {
        Self { part, part_count, all: RoaringBitmap::new(), names: Vec::new(), last: Vec::new() }
    }

    fn add(&mut self, series: u32, labels: LabelsRef<'_>) {
        if self.part == 0 {
            self.all.insert(series);
        }
        for (place, (name, value)) in labels.iter().enumerate() {
            let at = match self.last.get(place) {
                Some(at) if *self.names[*at].name == *name => *at,
                _ => self.find_name(place, name),
            };
            let index = &mut self.names[at];
            if index.is_mine {
                index.add(series, value);
            }
        }
    }

    fn find_name(&mut self, place: usize, name: &str) -> usize {
        let at = self.names.iter().position(|index| *index.name == *name).unwrap_or_else(|| {
            let is_mine = xxh3_64(name.as_bytes()) as usize % self.part_count == self.part;
            self.names.push(NameBuilder {
                name: Box::from(name),
                is_mine,
                any: RoaringBitmap::new(),
                values: Vec::new(),
                by_value: hashbrown::HashTable::new(),
                last: 0,
            });
            self.names.len() - 1
        });
        if self.last.len() <= place {
            self.last.resize(place + 1, at);
        }
        self.last[place] = at;
        at
    }

    fn finish(self) -> HeadIndex {
        let names = self.names.into_iter().filter(|index| index.is_mine).map(NameBuilder::finish).collect();
        HeadIndex { all: self.all, version: 0, names }
    }
}

impl NameBuilder {
    fn add(&mut self, series: u32, value: &str) {
        // Not `try_push`: it looks for the largest number first, which in a dense container means a search.
        self.any.insert(series);
        if self.values.get(self.last).is_none_or(|(last, _)| **last != *value) {
            let hash = xxh3_64(value.as_bytes());
            let values = &self.values;
            let same = |at: &u32| *values[*at as usize].0 == *value;
            self.last = match self.by_value.find(hash, same) {
                Some(at) => *at as usize,
                None => {
                    let rehash = |at: &u32| xxh3_64(values[*at as usize].0.as_bytes());
                    self.by_value.insert_unique(hash, values.len() as u32, rehash);
                    self.values.push((Box::from(value), Postings::Few(Vec::new())));
                    self.values.len() - 1
                }
            };
        }
        self.values[self.last].1.add(series);
    }

    fn finish(mut self) -> (Box<str>, NameIndex) {
        self.values.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        (self.name, NameIndex { any: self.any, values: self.values.into_iter().collect() })
    }
}

impl LabelIndex for HeadIndex {
    fn all(&self) -> Result<RoaringBitmap, Error> {
        Ok(self.all.clone())
    }

    fn with_name(&self, name: &str) -> Result<RoaringBitmap, Error> {
        Ok(self.names.get(name).map(|index| index.any.clone()).unwrap_or_default())
    }

    fn equal(&self, name: &str, value: &str) -> Result<RoaringBitmap, Error> {
        let mut found = Union::default();
        if let Some(postings) = self.names.get(name).and_then(|index| index.values.get(value)) {
            postings.add_to(&mut found);
        }
        Ok(found.finish())
    }

    fn value_count(&self, name: &str) -> Result<usize, Error> {
        Ok(self.names.get(name).map_or(0, |index| index.values.len()))
    }

    fn union_where(
        &self,
        name: &str,
        prefix: &str,
        wanted: &mut dyn FnMut(&str) -> bool,
    ) -> Result<RoaringBitmap, Error> {
        let mut found = Union::default();
        let Some(index) = self.names.get(name) else { return Ok(found.finish()) };
        let from = (Bound::Included(prefix), Bound::Unbounded);
        for (value, postings) in index.values.range::<str, _>(from).take_while(|(v, _)| v.starts_with(prefix))
        {
            if wanted(value) {
                postings.add_to(&mut found);
            }
        }
        Ok(found.finish())
    }

    fn names(
        &self,
        among: Option<&RoaringBitmap>,
        max: usize,
        into: &mut BTreeSet<String>,
    ) -> Result<(), Error> {
        let wanted = |index: &NameIndex| among.is_none_or(|among| !index.any.is_disjoint(among));
        let names = self.names.iter().filter(|(_, index)| wanted(index));
        into.extend(names.take(max).map(|(name, _)| name.to_string()));
        Ok(())
    }

    fn values(
        &self,
        name: &str,
        among: Option<&RoaringBitmap>,
        max: usize,
        into: &mut BTreeSet<String>,
    ) -> Result<(), Error> {
        let Some(index) = self.names.get(name) else { return Ok(()) };
        let wanted = |postings: &Postings| among.is_none_or(|among| postings.meets(among));
        let values = index.values.iter().filter(|(_, postings)| wanted(postings));
        into.extend(values.take(max).map(|(value, _)| value.to_string()));
        Ok(())
    }
}
