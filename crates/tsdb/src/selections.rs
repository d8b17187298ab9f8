//! Resolved selectors that are kept, because dashboards and rules ask the same ones again and again.
//!
//! Bounded in entries and in cost; what was not asked for longest goes first.

use std::collections::HashMap;

use model::Matcher;
use parking_lot::Mutex;
use stdx::memory::Reservation;

/// Most selectors that are kept.
const ENTRIES_MAX: usize = 64;

/// Resolved selectors of one index.
#[derive(Debug)]
pub(crate) struct SelectionCache<T> {
    state: Mutex<State<T>>,
    cost_max: usize,
}

#[derive(Debug)]
struct State<T> {
    entries: HashMap<Box<[Matcher]>, Entry<T>>,
    cost: usize,
    /// Of `cost` bytes.
    memory: Reservation,
    /// Goes up with every question.
    now: u64,
}

#[derive(Debug)]
struct Entry<T> {
    result: T,
    version: u64,
    cost: usize,
    used_at: u64,
}

impl<T: Clone> SelectionCache<T> {
    /// Keeps results of at most so many bytes together, as far as the budget of `memory` has them.
    pub(crate) fn new(memory: Reservation, cost_max: usize) -> Self {
        let state = State { entries: HashMap::new(), cost: 0, memory, now: 0 };
        Self { state: Mutex::new(state), cost_max }
    }

    /// What was found for these matchers at this version of the index.
    pub(crate) fn get(&self, version: u64, matchers: &[Matcher]) -> Option<T> {
        let state = &mut *self.state.lock();
        state.now += 1;
        let entry = state.entries.get_mut(matchers).filter(|entry| entry.version == version)?;
        entry.used_at = state.now;
        Some(entry.result.clone())
    }

    /// Keeps what was found. `cost` is its size in bytes.
    pub(crate) fn insert(&self, version: u64, matchers: &[Matcher], result: T, cost: usize) {
        let text: usize = matchers.iter().map(|m| m.name().len() + m.value().len() + 64).sum();
        let cost = cost + text;
        if cost > self.cost_max {
            return;
        }
        let state = &mut *self.state.lock();
        if state.memory.grow(cost as u64).is_err() {
            // Others need the memory more.
            return;
        }
        let entry = Entry { result, version, cost, used_at: state.now };
        state.cost += cost;
        if let Some(before) = state.entries.insert(Box::from(matchers), entry) {
            state.give_up(&before);
        }
        while state.cost > self.cost_max || state.entries.len() > ENTRIES_MAX {
            let oldest = state.entries.iter().min_by_key(|(_, entry)| entry.used_at);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { return };
            if let Some(gone) = state.entries.remove(&key) {
                state.give_up(&gone);
            }
        }
    }
}

impl<T> State<T> {
    fn give_up(&mut self, gone: &Entry<T>) {
        self.cost -= gone.cost;
        self.memory.shrink(gone.cost as u64);
    }
}

#[cfg(test)]
mod tests {
    use stdx::memory::Budget;

    use super::*;

    fn job(name: &str) -> Vec<Matcher> {
        vec![Matcher::equal("job", name)]
    }

    #[test]
    fn a_result_holds_for_its_version_only() {
        let cache = SelectionCache::new(Budget::unlimited().reserve_none(), 1000);
        cache.insert(1, &job("a"), 7, 10);
        assert_eq!(
            (cache.get(1, &job("a")), cache.get(2, &job("a")), cache.get(1, &job("b"))),
            (Some(7), None, None)
        );
        cache.insert(2, &job("a"), 8, 10);
        assert_eq!((cache.get(1, &job("a")), cache.get(2, &job("a"))), (None, Some(8)));
    }

    #[test]
    fn what_was_not_asked_for_goes_first_and_bounds_hold() {
        let budget = Budget::unlimited();
        let cache = SelectionCache::new(budget.reserve_none(), 1000);
        for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
            cache.insert(0, &job(name), at, 300 - 68);
            assert_eq!(cache.get(0, &job("a")), Some(0));
        }
        cache.insert(0, &job("d"), 3, 300 - 68);
        assert_eq!(cache.get(0, &job("b")), None);
        assert_eq!(cache.get(0, &job("a")), Some(0));
        cache.insert(0, &job("e"), 4, 2000);
        assert_eq!(cache.get(0, &job("e")), None);
        for at in 0..200 {
            cache.insert(0, &job(&at.to_string()), at, 0);
        }
        let state = cache.state.lock();
        assert!(state.entries.len() <= ENTRIES_MAX && state.cost <= 1000);
        assert_eq!(state.cost, state.entries.values().map(|entry| entry.cost).sum::<usize>());
        assert_eq!(state.cost as u64, budget.used_bytes());
    }

    #[test]
    fn nothing_is_kept_that_the_budget_does_not_have_and_all_is_given_back() {
        let budget = Budget::root("storage", 500);
        let cache = SelectionCache::new(budget.reserve_none(), 1000);
        cache.insert(0, &job("a"), 0, 300 - 68);
        cache.insert(0, &job("b"), 1, 300 - 68);
        assert_eq!((cache.get(0, &job("a")), cache.get(0, &job("b"))), (Some(0), None));
        assert_eq!(budget.used_bytes(), 300);
        drop(cache);
        assert_eq!(budget.used_bytes(), 0);
    }
}
