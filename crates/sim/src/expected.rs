//! What may be read of an engine that writes, deletes, expires, fails and crashes: of each timestamp the values that
//! would be right.
//!
//! After an acknowledged write there is one; after a write that failed its value may be there or not; after a delete
//! there is none. What is older than the retention may go at any time, in any order. Deletes that failed may have
//! happened. An engine that starts again has settled which of these it is: see [`Expected::settle`].

use std::collections::BTreeMap;

use model::matcher::matches_all;
use model::{Labels, Matcher, TenantId};
use storage::{
    Error, Querier, QueryContext, Rejected, SelectHints, SelectRequest, SeriesSamples, WriteBatch,
};

use crate::stored::{Stored, of_batch, of_series};

/// A range that holds all that anybody writes, without being at the ends of what fits.
pub const ALL_TIME_MS: (i64, i64) = (-(1 << 52), 1 << 52);
/// Most complaints that are listed.
const COMPLAINTS_MAX: usize = 8;

/// See the module.
#[derive(Debug, Default, Clone)]
pub struct Expected {
    tenants: BTreeMap<TenantId, BTreeMap<Labels, Timeline>>,
    writes: u64,
}

type Timeline = BTreeMap<i64, Point>;

/// What may be read at one timestamp of one series.
#[derive(Debug, Default, Clone)]
struct Point {
    /// One of these; `None` is that there is no sample.
    allowed: Vec<Option<Stored>>,
    /// Every value that was ever written here.
    ever: Vec<Stored>,
    /// Number of the last write.
    written_at: u64,
}

impl Point {
    fn allows(&self, stored: Option<&Stored>) -> bool {
        self.allowed.iter().any(|allowed| match (allowed, stored) {
            (None, None) => true,
            (Some(allowed), Some(stored)) => allowed.same(stored),
            _ => false,
        })
    }

    fn allow(&mut self, stored: Option<Stored>) {
        if !self.allows(stored.as_ref()) {
            self.allowed.push(stored);
        }
    }

    fn allow_any(&mut self) {
        self.allow(None);
        for stored in self.ever.clone() {
            self.allow(Some(stored));
        }
    }
}

/// Whether something is known to have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It was acknowledged.
    Done,
    /// It failed, so that it may have happened.
    Doubtful,
}

/// What a check was about.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Whose samples.
    pub tenant: &'a TenantId,
    /// All must be met.
    pub matchers: &'a [Matcher],
    /// Inclusive at both ends.
    pub range_ms: (i64, i64),
}

/// Why a check failed.
#[derive(Debug)]
pub enum Failure {
    /// It could not be read.
    Unread(Error),
    /// What was read is wrong.
    Wrong(String),
}

/// What was read: by series and time.
pub type Found = BTreeMap<Labels, BTreeMap<i64, Stored>>;

impl Expected {
    /// Of nothing that was ever written.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tenants that were ever written to.
    pub fn tenants(&self) -> Vec<TenantId> {
        self.tenants.keys().cloned().collect()
    }

    /// How many writes there were; see [`Self::deleted`].
    pub fn write_count(&self) -> u64 {
        self.writes
    }

    /// Series of a tenant.
    pub fn series(&self, tenant: &TenantId) -> Vec<&Labels> {
        self.tenants.get(tenant).into_iter().flat_map(BTreeMap::keys).collect()
    }

    /// A batch was written, except for what was refused.
    pub fn written(
        &mut self,
        tenant: &TenantId,
        batch: &WriteBatch,
        rejected: &[Rejected],
        certainty: Certainty,
    ) {
        self.writes += 1;
        let series = self.tenants.entry(tenant.clone()).or_default();
        for (number, timestamp_ms, stored) in of_batch(batch) {
            if rejected.iter().any(|r| r.series == number && r.timestamp_ms == timestamp_ms) {
                continue;
            }
            let labels = batch.series(number).to_labels();
            let point = series
                .entry(labels)
                .or_default()
                .entry(timestamp_ms)
                .or_insert_with(|| Point { allowed: vec![None], ..Point::default() });
            if !point.ever.iter().any(|ever| ever.same(&stored)) {
                point.ever.push(stored.clone());
            }
            point.written_at = self.writes;
            if certainty == Certainty::Done {
                point.allowed.clear();
            }
            point.allow(Some(stored));
        }
    }

    /// What was asked about was deleted. Of what was written after the first `write_count` writes, while the delete was
    /// under way, nothing is certain.
    pub fn deleted(&mut self, question: &Question<'_>, write_count: u64, certainty: Certainty) {
        self.each(question, |point| {
            if certainty == Certainty::Done && point.written_at <= write_count {
                point.allowed.clear();
            }
            point.allow(None);
        });
    }

    /// What is older than this may be gone, and with it what hid still older writes.
    pub fn may_expire(&mut self, before_ms: i64) {
        self.each_of_all((ALL_TIME_MS.0, before_ms.saturating_sub(1)), Point::allow_any);
    }

    /// Of what was written after the first `write_count` writes nothing is certain.
    pub fn doubt_since(&mut self, write_count: u64) {
        self.each_of_all(ALL_TIME_MS, |point| {
            if point.written_at > write_count {
                point.allow_any();
            }
        });
    }

    fn each_of_all(&mut self, (start_ms, end_ms): (i64, i64), mut change: impl FnMut(&mut Point)) {
        for timeline in self.tenants.values_mut().flat_map(BTreeMap::values_mut) {
            timeline.range_mut(start_ms..=end_ms).for_each(|(_, point)| change(point));
        }
    }

    fn each(&mut self, question: &Question<'_>, mut change: impl FnMut(&mut Point)) {
        let (start_ms, end_ms) = question.range_ms;
        for (labels, timeline) in self.tenants.get_mut(question.tenant).into_iter().flatten() {
            if matches_all(question.matchers, labels) && start_ms <= end_ms {
                timeline.range_mut(start_ms..=end_ms).for_each(|(_, point)| change(point));
            }
        }
    }

    /// Asks, and compares. Returns what was read.
    ///
    /// # Errors
    /// If it could not be read, or something is missing, wrong, or was never written.
    pub fn check(&self, question: &Question<'_>, querier: &dyn Querier) -> Result<Found, Failure> {
        let found = read(question, querier).map_err(Failure::Unread)?;
        let mut complaints = Vec::new();
        let (start_ms, end_ms) = question.range_ms;
        let none = BTreeMap::new();
        let series = self.tenants.get(question.tenant).unwrap_or(&none);
        for (labels, timeline) in series.iter().filter(|(labels, _)| matches_all(question.matchers, labels)) {
            let read = found.get(labels);
            for (timestamp_ms, point) in timeline.range(start_ms..=end_ms) {
                let stored = read.and_then(|read| read.get(timestamp_ms));
                if !point.allows(stored) {
                    let allowed = &point.allowed;
                    complaints.push(format!(
                        "{labels} at {timestamp_ms}: {stored:?} instead of one of {allowed:?}"
                    ));
                }
            }
        }
        for (labels, read) in &found {
            let known = series.get(labels).filter(|_| matches_all(question.matchers, labels));
            for (timestamp_ms, stored) in read {
                let known = known.is_some_and(|timeline| timeline.contains_key(timestamp_ms));
                if !known || *timestamp_ms < start_ms || *timestamp_ms > end_ms {
                    complaints.push(format!("{labels} at {timestamp_ms}: {stored:?} was not asked for"));
                }
            }
        }
        if complaints.is_empty() {
            return Ok(found);
        }
        let count = complaints.len();
        complaints.truncate(COMPLAINTS_MAX);
        Err(Failure::Wrong(format!("{count} complaints:\n{}", complaints.join("\n"))))
    }

    /// What was read of a whole tenant is on disk, and settles what was doubtful.
    pub fn settle(&mut self, tenant: &TenantId, found: &Found) {
        for (labels, timeline) in self.tenants.get_mut(tenant).into_iter().flatten() {
            let read = found.get(labels);
            for (timestamp_ms, point) in timeline {
                point.allowed = vec![read.and_then(|read| read.get(timestamp_ms)).cloned()];
            }
        }
    }
}

fn read(question: &Question<'_>, querier: &dyn Querier) -> Result<Found, Error> {
    let request = SelectRequest {
        matchers: question.matchers,
        start_ms: question.range_ms.0,
        end_ms: question.range_ms.1,
        hints: SelectHints::default(),
    };
    let set = querier.select(question.tenant, &request, &QueryContext::unlimited())?;
    let (mut samples, mut found) = (SeriesSamples::default(), Found::new());
    for at in 0..set.len() {
        set.read(at, &mut samples)?;
        let read: BTreeMap<i64, Stored> = of_series(&samples).collect();
        assert_eq!(read.len(), samples.len(), "a timestamp occurs twice in {}", set.labels(at));
        found.insert(set.labels(at).clone(), read);
    }
    assert_eq!(found.len(), set.len(), "a series occurs twice");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::Appender;
    use storage::memory::MemoryStorage;

    fn batch(samples: &[(i64, f64)]) -> WriteBatch {
        let mut batch = WriteBatch::new();
        let series = batch.add_series(Labels::from_pairs([("__name__", "a")]).as_ref());
        for (timestamp_ms, value) in samples {
            batch.add_float(series, *timestamp_ms, *value);
        }
        batch
    }

    /// Whether an engine that holds this would be right.
    #[track_caller]
    fn check(expected: &Expected, held: &[(i64, f64)], want: bool) {
        let (tenant, engine) = (TenantId::anonymous(), MemoryStorage::new());
        engine.append(&tenant, &batch(held)).expect("written");
        let outcome = expected.check(&all(&tenant), engine.as_ref());
        assert_eq!(outcome.is_ok(), want, "{outcome:?}");
    }

    fn all(tenant: &TenantId) -> Question<'_> {
        Question { tenant, matchers: &[], range_ms: ALL_TIME_MS }
    }

    #[test]
    fn what_was_acknowledged_must_be_there_and_what_failed_may() {
        let (tenant, mut expected) = (TenantId::anonymous(), Expected::new());
        expected.written(&tenant, &batch(&[(1, 1.0), (2, 1.0)]), &[], Certainty::Done);
        expected.written(&tenant, &batch(&[(2, 2.0), (3, 3.0)]), &[], Certainty::Doubtful);
        check(&expected, &[(1, 1.0), (2, 1.0)], true);
        check(&expected, &[(1, 1.0), (2, 2.0), (3, 3.0)], true);
        check(&expected, &[(1, 1.0)], false);
        check(&expected, &[(1, 1.0), (2, 3.0)], false);
        check(&expected, &[(1, 1.0), (2, 1.0), (4, 1.0)], false);
        let engine = MemoryStorage::new();
        engine.append(&tenant, &batch(&[(1, 1.0), (2, 2.0)])).expect("written");
        let found = expected.check(&all(&tenant), engine.as_ref()).expect("right");
        expected.settle(&tenant, &found);
        check(&expected, &[(1, 1.0), (2, 1.0)], false);
        check(&expected, &[(1, 1.0), (2, 2.0)], true);
    }

    #[test]
    fn what_was_deleted_must_be_gone_and_what_is_old_may() {
        let (tenant, mut expected) = (TenantId::anonymous(), Expected::new());
        expected.written(&tenant, &batch(&[(1, 1.0), (2, 2.0), (3, 3.0)]), &[], Certainty::Done);
        let before = expected.write_count();
        expected.written(&tenant, &batch(&[(2, 5.0)]), &[], Certainty::Done);
        let question = Question { range_ms: (2, 3), ..all(&tenant) };
        expected.deleted(&question, before, Certainty::Done);
        check(&expected, &[(1, 1.0)], true);
        check(&expected, &[(1, 1.0), (2, 5.0)], true);
        check(&expected, &[(1, 1.0), (3, 3.0)], false);
        expected.written(&tenant, &batch(&[(3, 4.0)]), &[], Certainty::Done);
        check(&expected, &[(1, 1.0), (3, 4.0)], true);
        expected.may_expire(2);
        check(&expected, &[(3, 4.0)], true);
        check(&expected, &[(1, 1.0)], false);
        expected.deleted(&Question { range_ms: (3, 3), ..all(&tenant) }, 9, Certainty::Doubtful);
        check(&expected, &[], true);
    }
}
