//! What takes longer to make of its text than a small query to be evaluated, kept by its text: regular expressions, alone
//! or in the selectors of a query. Dashboards and rules ask the same texts again and again.
//!
//! Bounded and accounted; what was not asked for longest goes first.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use stdx::memory::{Budget, Reservation};

/// Texts that are kept at most.
const ENTRIES_MAX: usize = 64;
/// Longer texts are not kept.
const TEXT_BYTES_MAX: usize = 2 << 10;
/// What a regular expression is taken to hold, its room to search included.
const REGEX_BYTES: u64 = 128 << 10;
/// Longer patterns may hold far more.
const PATTERN_BYTES_MAX: usize = 256;
/// How many classes of thousands of characters a pattern may name.
const CLASSES_MAX: usize = 4;

/// How many of these regular expressions there are; 0 if one of them may be large.
pub(crate) fn regexes_worth_keeping(patterns: &[&str]) -> usize {
    let is_small = |pattern: &&str| {
        let classes =
            pattern.split('\\').skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
        pattern.len() <= PATTERN_BYTES_MAX && !pattern.contains('{') && classes.count() <= CLASSES_MAX
    };
    if patterns.iter().all(is_small) { patterns.len() } else { 0 }
}

/// Things made of texts.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    /// `None`: nothing is kept.
    budget: Option<Arc<Budget>>,
    table: Mutex<Table<T>>,
}

#[derive(Debug)]
struct Table<T> {
    entries: HashMap<Arc<str>, Entry<T>>,
    /// Goes up with every question.
    now: u64,
}

#[derive(Debug)]
struct Entry<T> {
    made: T,
    used_at: u64,
    _memory: Reservation,
}

impl<T: Clone> Kept<T> {
    /// Keeps things, their memory taken from `budget`; none without one.
    pub(crate) fn new(budget: Option<Arc<Budget>>) -> Self {
        Self { budget, table: Mutex::new(Table { entries: HashMap::new(), now: 0 }) }
    }

    /// What is known of this text, else what is made of it. `regex_count` says how many regular expressions are in what was
    /// made; without any, it is not kept.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn get_or_make<E>(
        &self,
        text: &str,
        make: impl FnOnce() -> Result<T, E>,
        regex_count: impl FnOnce(&T) -> usize,
    ) -> Result<T, E> {
        let Some(budget) = self.budget.as_ref().filter(|_| text.len() <= TEXT_BYTES_MAX) else {
            return make();
        };
        if let Some(known) = self.table.lock().get(text) {
            return Ok(known);
        }
        let made = make()?;
        let count = regex_count(&made) as u64;
        if count > 0
            && let Ok(memory) = budget.reserve(count * REGEX_BYTES + text.len() as u64)
        {
            self.table.lock().put(text, made.clone(), memory);
        }
        Ok(made)
    }
}

impl<T: Clone> Table<T> {
    fn get(&mut self, text: &str) -> Option<T> {
        self.now += 1;
        let entry = self.entries.get_mut(text)?;
        entry.used_at = self.now;
        Some(entry.made.clone())
    }

    fn put(&mut self, text: &str, made: T, memory: Reservation) {
        if self.entries.len() >= ENTRIES_MAX {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used_at);
            if let Some(key) = oldest.map(|(key, _)| Arc::clone(key)) {
                self.entries.remove(&key);
            }
        }
        self.entries.insert(Arc::from(text), Entry { made, used_at: self.now, _memory: memory });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(kept: &Kept<u32>, text: &str, value: u32) -> u32 {
        kept.get_or_make(text, || Ok::<_, ()>(value), |made| *made as usize).expect("made")
    }

    #[test]
    fn what_was_made_of_a_text_is_kept_if_it_was_dear() {
        let budget = Budget::root("all", 1 << 30);
        let kept = Kept::new(Some(Arc::clone(&budget)));
        assert_eq!((ask(&kept, "a", 1), ask(&kept, "a", 2), ask(&kept, "b", 0)), (1, 1, 0));
        assert_eq!(budget.used_bytes(), REGEX_BYTES + 1);
        assert_eq!((ask(&kept, "b", 3), ask(&Kept::new(None), "a", 2)), (3, 2));
        assert_eq!(kept.get_or_make("c", || Err::<u32, _>("no"), |_| 1), Err("no"));
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        assert_eq!((ask(&kept, &long, 1), ask(&kept, &long, 2)), (1, 2));
    }

    #[test]
    fn patterns_that_may_be_large_are_not_kept() {
        assert_eq!(regexes_worth_keeping(&[]), 0);
        assert_eq!(regexes_worth_keeping(&["/(login|cart).*", "10[.]0\\.0\\.[1-5].*"]), 2);
        for large in [r"a{1,1000}", r"\w\w\w\w\w", &"a".repeat(PATTERN_BYTES_MAX + 1)] {
            assert_eq!(regexes_worth_keeping(&["a.*", large]), 0, "{large}");
        }
    }

    #[test]
    fn it_is_bounded_and_the_oldest_goes_first() {
        let budget = Budget::root("all", 1 << 30);
        let kept = Kept::new(Some(Arc::clone(&budget)));
        for number in 0..500 {
            ask(&kept, &number.to_string(), 1);
            assert_eq!((ask(&kept, "often", 7), kept.table.lock().entries.len() <= ENTRIES_MAX), (7, true));
        }
        assert_eq!(ask(&kept, "often", 8), 7);
        assert_eq!(ask(&kept, "0", 9), 9, "it is gone");
        drop(kept);
        assert_eq!(budget.used_bytes(), 0);
        let none = Kept::new(Some(Budget::root("none", 10)));
        assert_eq!((ask(&none, "a", 1), ask(&none, "a", 2)), (1, 2), "there is no memory for it");
    }
}
