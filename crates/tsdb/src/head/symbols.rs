//! Pairs of label name and value, each kept once for all series of a tenant and known by a number.
//!
//! A pair is kept in packed form (see `model::labels`), so that the labels of a series are the texts of its pairs, one
//! after the other: put together by copying, compared by comparing.
//!
//! Invariants: a number is used again only after all series that had it gave it back. Locks: one, innermost: who holds
//! it takes no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashTable;
use model::{Labels, LabelsRef};
use parking_lot::{RwLock, RwLockReadGuard};
use xxhash_rust::xxh3::xxh3_64;

/// What a pair costs besides its text: the text's counters, its places here and in the index.
const PAIR_BYTES: usize = 24 + size_of::<Option<Pair>>() + 8 + 48;

/// Pairs of one tenant's series.
#[derive(Debug, Default)]
pub(crate) struct Symbols(RwLock<Pairs>);

#[derive(Debug, Default)]
struct Pairs {
    by_hash: HashTable<u32>,
    all: Vec<Option<Pair>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Pair {
    text: Arc<str>,
    /// Series that have it.
    series_count: AtomicU32,
}

impl Pairs {
    fn find(&self, text: &str, hash: u64) -> Option<(u32, &Pair)> {
        let pair = |number: &u32| self.all[*number as usize].as_ref();
        let number =
            self.by_hash.find(hash, |number| pair(number).is_some_and(|pair| *pair.text == *text))?;
        pair(number).map(|pair| (*number, pair))
    }

    fn insert(&mut self, text: &str, hash: u64) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            if self.all.len() == self.all.capacity() {
                self.all.reserve_exact(64 + self.all.len() / 8);
            }
            self.all.push(None);
            (self.all.len() - 1) as u32
        });
        self.all[number as usize] = Some(Pair { text: Arc::from(text), series_count: AtomicU32::new(1) });
        let all = &self.all;
        let rehash =
            |number: &u32| all[*number as usize].as_ref().map_or(0, |pair| xxh3_64(pair.text.as_bytes()));
        self.by_hash.insert_unique(hash, number, rehash);
        number
    }
}

impl Symbols {
    /// Appends the numbers of a new series' pairs, which it holds from now on. Answers how many bytes new pairs take.
    pub(super) fn intern(&self, labels: LabelsRef<'_>, numbers: &mut Vec<u32>) -> usize {
        let mut texts = labels.packed_pairs().peekable();
        {
            let pairs = self.0.read();
            while let Some(text) = texts.peek() {
                let Some((number, pair)) = pairs.find(text, xxh3_64(text.as_bytes())) else { break };
                pair.series_count.fetch_add(1, Ordering::Relaxed);
                numbers.push(number);
                texts.next();
            }
            if texts.peek().is_none() {
                return 0;
            }
        }
        let mut bytes = 0;
        let pairs = &mut *self.0.write();
        for text in texts {
            let hash = xxh3_64(text.as_bytes());
            let known = pairs.find(text, hash).map(|(number, pair)| {
                pair.series_count.fetch_add(1, Ordering::Relaxed);
                number
            });
            numbers.push(known.unwrap_or_else(|| {
                bytes += PAIR_BYTES + text.len();
                pairs.insert(text, hash)
            }));
        }
        bytes
    }

    /// Takes back the pairs of series that are gone, and have left the index. Answers how many bytes that frees.
    pub(super) fn release(&self, numbers: impl IntoIterator<Item = u32>) -> usize {
        let mut bytes = 0;
        let pairs = &mut *self.0.write();
        for number in numbers {
            let place = &mut pairs.all[number as usize];
            let Some(pair) = place else { continue };
            if pair.series_count.fetch_sub(1, Ordering::Relaxed) > 1 {
                continue;
            }
            let hash = xxh3_64(pair.text.as_bytes());
            bytes += PAIR_BYTES + pair.text.len();
            *place = None;
            if let Ok(entry) = pairs.by_hash.find_entry(hash, |other| *other == number) {
                entry.remove();
            }
            pairs.free.push(number);
        }
        bytes
    }

    #[cfg(test)]
    pub(super) fn is_unlocked(&self) -> bool {
        self.0.try_write().is_some()
    }

    /// For looking at many.
    pub(crate) fn read(&self) -> ReadSymbols<'_> {
        ReadSymbols(self.0.read())
    }
}

/// Locked for reading.
pub(crate) struct ReadSymbols<'a>(RwLockReadGuard<'a, Pairs>);

impl ReadSymbols<'_> {
    /// The packed pair with a number that is held.
    #[inline]
    pub(super) fn text(&self, number: u32) -> &str {
        self.0.all[number as usize].as_ref().map_or("", |pair| &pair.text)
    }

    /// As [`Self::text`], to keep.
    pub(super) fn shared(&self, number: u32) -> Option<Arc<str>> {
        self.0.all.get(number as usize)?.as_ref().map(|pair| Arc::clone(&pair.text))
    }

    /// All numbers are below.
    pub(super) fn end(&self) -> usize {
        self.0.all.len()
    }

    /// Puts labels together.
    pub(super) fn append_to(&self, numbers: impl Iterator<Item = u32>, packed: &mut String) {
        for number in numbers {
            packed.push_str(self.text(number));
        }
    }

    /// Whether the pairs are those of packed labels.
    pub(super) fn are(&self, numbers: impl Iterator<Item = u32>, mut packed: &str) -> bool {
        for number in numbers {
            match packed.strip_prefix(self.text(number)) {
                Some(rest) => packed = rest,
                None => return false,
            }
        }
        packed.is_empty()
    }

    /// Puts labels together; `buffer` is only for the time being.
    pub(super) fn labels(&self, numbers: impl Iterator<Item = u32>, buffer: &mut String) -> Labels {
        buffer.clear();
        self.append_to(numbers, buffer);
        LabelsRef::from_packed_trusted(buffer).to_labels()
    }
}

/// Lists of numbers, each known by where it begins: its length, then the numbers, as varints.
#[derive(Debug, Default)]
pub(super) struct Lists {
    bytes: Vec<u8>,
    /// Bytes of lists that are gone.
    dead: usize,
}

impl Lists {
    /// Adds a list. `None` if there is no room for more.
    pub(super) fn push(&mut self, numbers: &[u32]) -> Option<u32> {
        let place = u32::try_from(self.bytes.len()).ok()?;
        if self.bytes.capacity() - self.bytes.len() < 10 + numbers.len() * 5 {
            // Doubling would waste up to half of it.
            self.bytes.reserve_exact(256 + numbers.len() * 5 + self.bytes.len() / 16);
        }
        chunk::varint::write_u64(&mut self.bytes, numbers.len() as u64);
        for number in numbers {
            chunk::varint::write_u64(&mut self.bytes, u64::from(*number));
        }
        Some(place)
    }

    /// The list at a place that [`Self::push`] gave.
    #[inline]
    pub(super) fn get(&self, place: u32) -> ListNumbers<'_> {
        let mut numbers = ListNumbers { bytes: &self.bytes[place as usize..], left: 0 };
        numbers.left = numbers.number();
        numbers
    }

    /// Bytes of the list at a place.
    pub(super) fn len_of(&self, place: u32) -> usize {
        let mut numbers = self.get(place);
        let start = self.bytes.len() - place as usize;
        for _ in numbers.by_ref() {}
        start - numbers.bytes.len()
    }

    /// The list at a place is not needed any more. Answers whether it is time for [`Self::tidied`].
    pub(super) fn forget(&mut self, place: u32) -> bool {
        self.dead += self.len_of(place);
        self.dead > self.bytes.len() / 4 + 4096
    }

    /// Only the lists at `places`, which are changed to where they are now.
    pub(super) fn tidied<'a>(&self, places: impl Iterator<Item = &'a mut u32>) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len() - self.dead);
        for place in places {
            let at = *place as usize;
            *place = bytes.len() as u32;
            bytes.extend_from_slice(&self.bytes[at..at + self.len_of(at as u32)]);
        }
        Self { bytes, dead: 0 }
    }
}

/// Numbers of a list.
#[derive(Debug, Clone)]
pub(super) struct ListNumbers<'a> {
    bytes: &'a [u8],
    left: u32,
}

impl ListNumbers<'_> {
    #[inline]
    fn number(&mut self) -> u32 {
        let (mut number, mut shift) = (0, 0);
        while let Some((byte, rest)) = self.bytes.split_first() {
            self.bytes = rest;
            number |= u32::from(byte & 0x7f) << shift;
            if *byte < 0x80 || shift >= 28 {
                break;
            }
            shift += 7;
        }
        number
    }
}

impl Iterator for ListNumbers<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        Some(self.number())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pairs_are_shared_and_go_with_their_last_series() {
        let symbols = Symbols::default();
        let a = Labels::from_pairs([("__name__", "up"), ("job", "a"), ("zone", "x")]);
        let b = Labels::from_pairs([("__name__", "up"), ("job", "b")]);
        let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
        let first = symbols.intern(a.as_ref(), &mut of_a);
        let second = symbols.intern(b.as_ref(), &mut of_b);
        assert_eq!((of_a.as_slice(), of_b.as_slice()), ([0, 1, 2].as_slice(), [0, 3].as_slice()));
        let mut buffer = String::new();
        assert_eq!(symbols.read().labels(of_a.iter().copied(), &mut buffer), a);
        assert!(symbols.read().are(of_b.iter().copied(), b.packed()));
        assert!(!symbols.read().are(of_b.iter().copied(), a.packed()));
        assert!(!symbols.read().are(of_b[..1].iter().copied(), b.packed()));
        let gone = symbols.release(of_a.iter().copied());
        assert!(gone > 0 && gone < first, "the name is still in use");
        assert_eq!(symbols.release(of_b.iter().copied()), first + second - gone);
        let mut again = Vec::new();
        assert_eq!(symbols.intern(a.as_ref(), &mut again), first);
        assert_eq!(symbols.read().end(), 4, "numbers are used again");
    }

    proptest! {
        #[test]
        fn lists_stay_when_others_go(all in proptest::collection::vec((proptest::collection::vec(any::<u32>(), 0..70), any::<bool>()), 0..200)) {
            let mut lists = Lists::default();
            let mut places: Vec<u32> = all.iter().map(|(list, _)| lists.push(list).expect("there is room")).collect();
            let total: usize = places.iter().map(|place| lists.len_of(*place)).sum();
            prop_assert_eq!(total, lists.bytes.len());
            for ((_, stays), place) in all.iter().zip(&places) {
                if !stays {
                    lists.forget(*place);
                }
            }
            let stays = |(at, place)| { let (_, stays): &(Vec<u32>, bool) = &all[at]; stays.then_some(place) };
            let lists = lists.tidied(places.iter_mut().enumerate().filter_map(stays));
            for ((list, stays), place) in all.iter().zip(&places) {
                if *stays {
                    prop_assert_eq!(&lists.get(*place).collect::<Vec<_>>(), list);
                }
            }
        }
    }
}
