//! Which queries cost the most: totals of each text that was asked lately, in a table of bounded size.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::TenantId;
use parking_lot::Mutex;

use super::class::Class;

/// Texts in the table; what was not asked for longest goes first.
const ENTRIES_MAX: usize = 1_000;
/// Longer texts are cut, so that the table has a bound in bytes, too.
const TEXT_BYTES_MAX: usize = 2_000;

/// What one text has cost in all its runs since it was last forgotten.
#[derive(Debug, Clone, PartialEq)]
pub struct TopQuery {
    /// Who asked.
    pub tenant: TenantId,
    /// The text; cut after 2,000 bytes.
    pub query: Arc<str>,
    /// Whether it is a range query.
    pub is_range: bool,
    /// Of the last run.
    pub class: Class,
    /// How often it ran.
    pub count: u64,
    /// How often it failed.
    pub error_count: u64,
    /// Time of all runs, waiting included.
    pub total: Duration,
    /// Time of the longest run.
    pub longest: Duration,
    /// The most memory that a run held.
    pub memory_peak_bytes: u64,
    /// Samples read in all runs.
    pub samples_read: u64,
}

/// By what the table is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopBy {
    /// How often it ran.
    Count,
    /// Time of all runs.
    Time,
    /// The most memory that a run held.
    Memory,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) class: Class,
    pub(super) failed: bool,
    pub(super) took: Duration,
    pub(super) memory_peak_bytes: u64,
    pub(super) samples_read: u64,
}

#[derive(Debug, Default)]
pub(super) struct TopQueries(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<(TenantId, Arc<str>, bool), Entry>,
    now: u64,
}

#[derive(Debug)]
struct Entry {
    totals: TopQuery,
    used_at: u64,
}

impl TopQueries {
    pub(super) fn note(&self, tenant: &TenantId, query: &Arc<str>, is_range: bool, run: Run) {
        let query = match query.len() {
            0..=TEXT_BYTES_MAX => Arc::clone(query),
            _ => Arc::from(&query[..query.floor_char_boundary(TEXT_BYTES_MAX)]),
        };
        let table = &mut *self.0.lock();
        table.now += 1;
        let key = (tenant.clone(), query, is_range);
        if table.entries.len() >= ENTRIES_MAX && !table.entries.contains_key(&key) {
            table.forget_oldest();
        }
        let entry = table.entries.entry(key).or_insert_with_key(|(tenant, query, is_range)| {
            let totals = TopQuery {
                tenant: tenant.clone(),
                query: Arc::clone(query),
                is_range: *is_range,
                class: run.class,
                count: 0,
                error_count: 0,
                total: Duration::ZERO,
                longest: Duration::ZERO,
                memory_peak_bytes: 0,
                samples_read: 0,
            };
            Entry { totals, used_at: 0 }
        });
        entry.used_at = table.now;
        let totals = &mut entry.totals;
        totals.class = run.class;
        totals.count += 1;
        totals.error_count += u64::from(run.failed);
        totals.total = totals.total.saturating_add(run.took);
        totals.longest = totals.longest.max(run.took);
        totals.memory_peak_bytes = totals.memory_peak_bytes.max(run.memory_peak_bytes);
        totals.samples_read = totals.samples_read.saturating_add(run.samples_read);
    }

    /// The first `limit` of a tenant, or of all, the costliest first.
    pub(super) fn list(&self, tenant: Option<&TenantId>, by: TopBy, limit: usize) -> Vec<TopQuery> {
        let table = self.0.lock();
        let mut all: Vec<TopQuery> = table
            .entries
            .values()
            .map(|entry| &entry.totals)
            .filter(|totals| tenant.is_none_or(|tenant| totals.tenant == *tenant))
            .cloned()
            .collect();
        drop(table);
        let cost = |one: &TopQuery| match by {
            TopBy::Count => u128::from(one.count),
            TopBy::Time => one.total.as_nanos(),
            TopBy::Memory => u128::from(one.memory_peak_bytes),
        };
        all.sort_by(|a, b| cost(b).cmp(&cost(a)).then_with(|| a.query.cmp(&b.query)));
        all.truncate(limit);
        all
    }
}

impl Table {
    /// Forgets an eighth of the table at a time, so that a new text rarely looks at all.
    fn forget_oldest(&mut self) {
        let mut ages: Vec<u64> = self.entries.values().map(|entry| entry.used_at).collect();
        let (_, bound, _) = ages.select_nth_unstable(ENTRIES_MAX / 8);
        let bound = *bound;
        self.entries.retain(|_, entry| entry.used_at > bound);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(top: &TopQueries, query: &str, took_ms: u64, memory_peak_bytes: u64) {
        let took = Duration::from_millis(took_ms);
        let run =
            Run { class: Class::AdHoc, failed: took_ms == 7, took, memory_peak_bytes, samples_read: 10 };
        top.note(&TenantId::anonymous(), &Arc::from(query), true, run);
    }

    fn names(top: &TopQueries, by: TopBy) -> Vec<String> {
        top.list(None, by, 2).into_iter().map(|one| one.query.to_string()).collect()
    }

    #[test]
    fn runs_of_a_text_add_up_and_are_sorted_by_what_is_asked() {
        let top = TopQueries::default();
        for _ in 0..3 {
            note(&top, "often", 7, 1);
        }
        note(&top, "slow", 100, 2);
        note(&top, "large", 10, 1 << 20);
        assert_eq!(names(&top, TopBy::Count), ["often", "large"]);
        assert_eq!(names(&top, TopBy::Time), ["slow", "often"]);
        assert_eq!(names(&top, TopBy::Memory), ["large", "slow"]);
        let often = &top.list(Some(&TenantId::anonymous()), TopBy::Count, 1)[0];
        assert_eq!((often.count, often.error_count, often.samples_read), (3, 3, 30));
        assert_eq!((often.total.as_millis(), often.longest.as_millis()), (21, 7));
        let other = TenantId::new("other").expect("valid");
        assert!(top.list(Some(&other), TopBy::Count, 9).is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_keeps_what_is_asked_again() {
        let top = TopQueries::default();
        for at in 0..5_000 {
            note(&top, &format!("q{at}{}", "x".repeat(3_000)), 1, 1);
            note(&top, "again", 1, 1);
        }
        let all = top.list(None, TopBy::Count, usize::MAX);
        assert!(all.len() <= ENTRIES_MAX, "{}", all.len());
        assert!(all.iter().all(|one| one.query.len() <= TEXT_BYTES_MAX));
        assert_eq!((&*all[0].query, all[0].count), ("again", 5_000));
    }
}
