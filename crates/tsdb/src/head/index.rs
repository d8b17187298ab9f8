//! The head's index: for each label name its values, sorted, and for each value the series that have it.
//!
//! Series come with the numbers of their label pairs (see [`super::symbols`]), so that postings are found without looking at
//! text; text is looked at when a pair comes or goes, and by selectors.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use chunk::Corrupt;
use model::LabelsRef;
use roaring::RoaringBitmap;
use storage::Error;

use super::symbols::ReadSymbols;
use crate::postings::{self, LabelIndex, Union, VisitValue};

/// Index of one tenant's head.
#[derive(Debug, Default)]
pub(crate) struct HeadIndex {
    all: RoaringBitmap,
    /// Goes up with every change, so that what was found can be kept as long as it holds.
    version: u64,
    names: BTreeMap<Box<str>, NameIndex>,
    /// By the number of the pair.
    postings: Vec<Postings>,
}

/// Values of one label name, sorted, with the numbers of their pairs.
#[derive(Debug, Default)]
struct NameIndex {
    /// Series that have the label.
    any: RoaringBitmap,
    values: BTreeMap<Value, u32>,
}

/// A packed pair, ordered by its value.
#[derive(Debug, PartialEq, Eq)]
struct Value(Arc<str>);

impl Value {
    fn text(&self) -> &str {
        split(&self.0).1
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text().cmp(other.text())
    }
}

impl std::borrow::Borrow<str> for Value {
    fn borrow(&self) -> &str {
        self.text()
    }
}

/// Name and value of a packed pair.
fn split(pair: &str) -> (&str, &str) {
    LabelsRef::from_packed_trusted(pair).iter().next().unwrap_or_default()
}

/// Series that have one value. Most values of a large index have one or few series.
#[derive(Debug, Default)]
enum Postings {
    #[default]
    None,
    One(u32),
    /// Sorted.
    Few(Box<[u32]>),
    Many(Box<RoaringBitmap>),
}

/// So many pairs are ranked while the index is locked.
const RANKS_AT_ONCE: usize = 4096;

/// From here on a bitmap is smaller.
const FEW_MAX: usize = 16;

impl Postings {
    fn add(&mut self, series: u32) {
        match self {
            Self::None => *self = Self::One(series),
            Self::One(one) if *one == series => {}
            Self::One(one) => *self = Self::Few(Box::from([series.min(*one), series.max(*one)])),
            Self::Few(few) => {
                let Err(at) = few.binary_search(&series) else { return };
                if few.len() < FEW_MAX {
                    let mut more = std::mem::take(few).into_vec();
                    more.reserve_exact(1);
                    more.insert(at, series);
                    *few = more.into_boxed_slice();
                } else {
                    let mut many: RoaringBitmap = few.iter().copied().collect();
                    many.insert(series);
                    *self = Self::Many(Box::new(many));
                }
            }
            Self::Many(many) => {
                many.insert(series);
            }
        }
    }

    fn remove(&mut self, series: u32) {
        match self {
            Self::One(one) if *one == series => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Few(few) => {
                let left: Box<[u32]> = few.iter().copied().filter(|other| *other != series).collect();
                *self = if left.is_empty() { Self::None } else { Self::Few(left) };
            }
            Self::Many(many) => {
                many.remove(series);
                if many.is_empty() {
                    *self = Self::None;
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    fn unite(&self, union: &mut Union) {
        match self {
            Self::None => {}
            Self::One(one) => union.add(*one),
            Self::Few(few) => few.iter().for_each(|series| union.add(*series)),
            Self::Many(many) => union.add_all(many),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Few(few) => few.len() as u64,
            Self::Many(many) => many.len(),
        }
    }
}

impl postings::Postings for Postings {
    fn add_to(&self, union: &mut Union) -> Result<(), Corrupt> {
        self.unite(union);
        Ok(())
    }

    fn meets(&self, among: &RoaringBitmap) -> Result<bool, Corrupt> {
        Ok(match self {
            Self::None => false,
            Self::One(one) => among.contains(*one),
            Self::Few(few) => few.iter().any(|series| among.contains(*series)),
            Self::Many(many) => !many.is_disjoint(among),
        })
    }
}

impl HeadIndex {
    /// An index of all series that `for_each` visits, in rising order of their numbers. Each thread visits all of them and
    /// takes the label pairs that fall to it.
    pub(super) fn build<'a, I: Iterator<Item = u32> + 'a>(
        thread_count: usize,
        symbols: &ReadSymbols<'_>,
        for_each: impl Fn(&mut dyn FnMut(u32, I)) + Sync,
    ) -> Self {
        let end = symbols.end();
        let part = |part: usize| {
            let mut postings: Vec<Postings> = Vec::new();
            postings.resize_with(end.div_ceil(thread_count), Postings::default);
            let mut all = RoaringBitmap::new();
            for_each(&mut |series, pairs| {
                if part == 0 {
                    all.insert(series);
                }
                for pair in pairs.map(|pair| pair as usize).filter(|pair| pair % thread_count == part) {
                    postings[pair / thread_count].add(series);
                }
            });
            (all, postings)
        };
        let (all, parts) = std::thread::scope(|scope| {
            let part = &part;
            let others: Vec<_> = (1..thread_count).map(|at| scope.spawn(move || part(at))).collect();
            let (all, first) = part(0);
            let mut parts = vec![first];
            for other in others {
                match other.join() {
                    Ok((_, other)) => parts.push(other),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            (all, parts)
        });
        let mut parts: Vec<_> = parts.into_iter().map(Vec::into_iter).collect();
        let postings: Vec<Postings> = (0..end).filter_map(|pair| parts[pair % thread_count].next()).collect();
        let names = names_of(&postings, symbols);
        Self { all, version: 0, names, postings }
    }

    /// Of what is found now: the same version, the same result.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn add(&mut self, series: u32, pairs: impl Iterator<Item = u32>, symbols: &ReadSymbols<'_>) {
        self.version += 1;
        self.all.insert(series);
        for pair in pairs {
            if self.postings.len() <= pair as usize {
                let len = pair as usize + 1;
                if self.postings.capacity() < len {
                    self.postings.reserve_exact(len - self.postings.len() + 64 + len / 8);
                }
                self.postings.resize_with(len, Postings::default);
            }
            let postings = &mut self.postings[pair as usize];
            let is_new = postings.is_empty();
            postings.add(series);
            let name = split(symbols.text(pair)).0;
            if !self.names.contains_key(name) {
                self.names.insert(Box::from(name), NameIndex::default());
            }
            let index = self.names.get_mut(name).expect("just inserted");
            index.any.insert(series);
            if is_new && let Some(text) = symbols.shared(pair) {
                index.values.insert(Value(text), pair);
            }
        }
    }

    pub(super) fn remove(
        &mut self,
        series: u32,
        pairs: impl Iterator<Item = u32>,
        symbols: &ReadSymbols<'_>,
    ) {
        self.version += 1;
        self.all.remove(series);
        for pair in pairs {
            let (name, value) = split(symbols.text(pair));
            let Some(index) = self.names.get_mut(name) else { continue };
            index.any.remove(series);
            let Some(postings) = self.postings.get_mut(pair as usize) else { continue };
            postings.remove(series);
            if postings.is_empty() {
                index.values.remove(value);
                if index.values.is_empty() {
                    self.names.remove(name);
                }
            }
        }
    }

    /// Counts on through the pairs in order of names, then values, behind the pair `after`, and notes the place of each in
    /// `ranks`, by its number. Answers behind which pair to go on, `None` if there are no more.
    pub(super) fn rank_some(
        &self,
        after: Option<&str>,
        rank: &mut u32,
        ranks: &mut Vec<u32>,
    ) -> Option<Arc<str>> {
        ranks.resize(ranks.len().max(self.postings.len()), 0);
        let (last_name, last_value) = after.map(split).unwrap_or_default();
        let mut left = RANKS_AT_ONCE;
        for (name, index) in self.names.range::<str, _>((Bound::Included(last_name), Bound::Unbounded)) {
            let is_begun = after.is_some() && **name == *last_name;
            let from = if is_begun { Bound::Excluded(last_value) } else { Bound::Unbounded };
            for (value, pair) in index.values.range::<str, _>((from, Bound::Unbounded)) {
                *rank += 1;
                ranks[*pair as usize] = *rank;
                left -= 1;
                if left == 0 {
                    return Some(Arc::clone(&value.0));
                }
            }
        }
        None
    }

    /// Calls `visit` with each label name, and its values with their numbers of series.
    pub(crate) fn visit_names(&self, mut visit: impl FnMut(&str, &mut dyn Iterator<Item = (&str, u64)>)) {
        for (name, index) in &self.names {
            let values = index.values.iter();
            visit(name, &mut values.map(|(value, pair)| (value.text(), self.postings[*pair as usize].len())));
        }
    }

    fn values_of(&self, name: &str) -> Option<&BTreeMap<Value, u32>> {
        self.names.get(name).map(|index| &index.values)
    }
}

/// A name whose series and values are being collected.
#[derive(Default)]
struct NameBuilder {
    any: Union,
    values: Vec<(Value, u32)>,
}

/// Names and values of the pairs that have series.
fn names_of(postings: &[Postings], symbols: &ReadSymbols<'_>) -> BTreeMap<Box<str>, NameIndex> {
    let mut names: BTreeMap<Box<str>, NameBuilder> = BTreeMap::new();
    for (pair, postings) in (0..).zip(postings).filter(|(_, postings)| !postings.is_empty()) {
        let Some(text) = symbols.shared(pair) else { continue };
        let name = split(&text).0;
        if !names.contains_key(name) {
            names.insert(Box::from(name), NameBuilder::default());
        }
        let builder = names.get_mut(name).expect("just inserted");
        postings.unite(&mut builder.any);
        builder.values.push((Value(text), pair));
    }
    let finish = |(name, NameBuilder { any, values })| {
        // From a vector, which is sorted and packed densely.
        (name, NameIndex { any: any.finish(), values: values.into_iter().collect() })
    };
    names.into_iter().map(finish).collect()
}

impl LabelIndex for HeadIndex {
    fn all(&self) -> Result<RoaringBitmap, Error> {
        Ok(self.all.clone())
    }

    fn series_count(&self) -> u64 {
        self.all.len()
    }

    fn with_name(&self, name: &str) -> Result<RoaringBitmap, Error> {
        Ok(self.names.get(name).map(|index| index.any.clone()).unwrap_or_default())
    }

    fn value_count(&self, name: &str) -> Result<usize, Error> {
        Ok(self.values_of(name).map_or(0, BTreeMap::len))
    }

    fn visit_values(&self, name: &str, from: &str, visit: VisitValue<'_>) -> Result<(), Error> {
        let Some(values) = self.values_of(name) else { return Ok(()) };
        for (value, pair) in values.range::<str, _>((Bound::Included(from), Bound::Unbounded)) {
            // Nothing in memory is damaged, so nobody says that it is.
            if !visit(value.text(), &self.postings[*pair as usize]).unwrap_or(false) {
                break;
            }
        }
        Ok(())
    }

    fn each_name(&self, visit: &mut dyn FnMut(&str) -> Result<bool, Error>) -> Result<(), Error> {
        for name in self.names.keys() {
            if !visit(name)? {
                break;
            }
        }
        Ok(())
    }

    fn name_meets(&self, name: &str, among: &RoaringBitmap) -> Result<bool, Error> {
        Ok(self.names.get(name).is_some_and(|index| !index.any.is_disjoint(among)))
    }
}
