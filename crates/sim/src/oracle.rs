//! Knows what must be read: everything acknowledged; what may be read besides: what was under way; and that
//! nothing else may be. What was deleted must be gone; what is too old may be.
//!
//! Writes and deletes are reported with the moments of the simulated disk (its op count) at which they were submitted and
//! acknowledged, so one run can be judged at every crash point. Without crashes, [`Oracle::compare`] asks all
//! questions of a querier and of `storage`'s reference engine and expects the same answers.

use std::collections::BTreeMap;

use model::matcher::matches_all;
use model::{Exemplar, Labels, Matcher, TenantId};
use storage::memory::MemoryStorage;
use storage::{
    Appended, Appender, LabelRequest, Querier, QueryContext, SelectHints, SelectRequest, SeriesSamples,
    WriteBatch,
};

use crate::stored::{Stored, of_batch, of_series};

/// Most complaints that are listed.
const COMPLAINTS_MAX: usize = 10;

/// Remembers writes.
#[derive(Debug, Default)]
pub struct Oracle {
    writes: Vec<Write>,
    deletes: Vec<Delete>,
    /// From an op count on, what is older than a time may be gone.
    expiries: Vec<(u64, i64)>,
}

/// A write that was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(usize);

#[derive(Debug)]
struct Write {
    tenant: TenantId,
    samples: Vec<(Labels, i64, Stored)>,
    batch: WriteBatch,
    submitted_at: u64,
    acknowledged_at: Option<u64>,
}

/// A delete that was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteTicket(usize);

#[derive(Debug)]
struct Delete {
    tenant: TenantId,
    matchers: Vec<Matcher>,
    /// Inclusive at both ends.
    range_ms: (i64, i64),
    /// Writes that came before it.
    write_count: usize,
    submitted_at: u64,
    acknowledged_at: Option<u64>,
}

/// What a check found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checked {
    /// Samples that had to be there, and were.
    pub required_count: usize,
    /// Samples that were there without having been acknowledged.
    pub extra_count: usize,
}

/// What is known of one timestamp of one series.
#[derive(Debug, Default)]
struct Expected {
    /// One of these, if anything.
    allowed: Vec<Stored>,
    /// What was overwritten.
    earlier: Vec<Stored>,
    is_required: bool,
}

/// What is known of a tenant.
type Tenants = BTreeMap<TenantId, BTreeMap<Labels, Timeline>>;
type Timeline = BTreeMap<i64, Expected>;

impl Oracle {
    /// Knows of no write.
    pub fn new() -> Self {
        Self::default()
    }

    /// A batch is about to be written. Call it in the order of the writes.
    pub fn submit(&mut self, tenant: &TenantId, batch: &WriteBatch, op_count: u64) -> Ticket {
        let samples =
            of_batch(batch).map(|(s, t, stored)| (batch.series(s).to_labels(), t, stored)).collect();
        self.writes.push(Write {
            tenant: tenant.clone(),
            samples,
            batch: batch.clone(),
            submitted_at: op_count,
            acknowledged_at: None,
        });
        Ticket(self.writes.len() - 1)
    }

    /// The batch was acknowledged as durable.
    ///
    /// # Panics
    /// If samples were refused: workloads for the oracle are to be within all limits.
    pub fn acknowledge(&mut self, ticket: Ticket, appended: &Appended, op_count: u64) {
        assert!(
            appended.rejected.is_empty(),
            "the workload is not within the limits: {:?}",
            appended.rejected.first()
        );
        self.writes[ticket.0].acknowledged_at = Some(op_count);
    }

    /// Samples are about to be deleted, in a range that is inclusive at both ends. Writes before and after it are not under way.
    pub fn submit_delete(
        &mut self,
        tenant: &TenantId,
        matchers: &[Matcher],
        range_ms: (i64, i64),
        op_count: u64,
    ) -> DeleteTicket {
        self.deletes.push(Delete {
            tenant: tenant.clone(),
            matchers: matchers.to_vec(),
            range_ms,
            write_count: self.writes.len(),
            submitted_at: op_count,
            acknowledged_at: None,
        });
        DeleteTicket(self.deletes.len() - 1)
    }

    /// The delete was acknowledged: what it met must be gone from now on.
    pub fn acknowledge_delete(&mut self, ticket: DeleteTicket, op_count: u64) {
        self.deletes[ticket.0].acknowledged_at = Some(op_count);
    }

    /// From now on, samples before this time are too old to be kept: they may go, in any order.
    pub fn may_expire(&mut self, before_ms: i64, op_count: u64) {
        self.expiries.push((op_count, before_ms));
    }

    /// Deletes acknowledged so far.
    pub fn acknowledged_delete_count(&self) -> usize {
        self.deletes.iter().filter(|delete| delete.acknowledged_at.is_some()).count()
    }

    /// Batches acknowledged so far.
    pub fn acknowledged_count(&self) -> usize {
        self.writes.iter().filter(|write| write.acknowledged_at.is_some()).count()
    }

    /// Judges what an engine holds that was restarted after a crash at `op_count` (`u64::MAX`: no crash, but
    /// perhaps failed writes).
    ///
    /// # Errors
    /// Lists what is missing, wrong, or was never written.
    pub fn check(&self, querier: &dyn Querier, op_count: u64) -> Result<Checked, String> {
        let mut complaints = Vec::new();
        let mut checked = Checked::default();
        for (tenant, mut expected) in self.expected_at(op_count) {
            let judged = judge(&tenant, &mut expected, querier, &mut checked, &mut complaints)
                .and_then(|()| self.judge_extras(&tenant, querier, op_count, &mut complaints));
            if let Err(error) = judged {
                complaints.push(format!("tenant {tenant} cannot be read: {error}"));
            }
            for (labels, timeline) in &expected {
                for (timestamp_ms, expected) in timeline.iter().filter(|(_, expected)| expected.is_required) {
                    complaints.push(format!("missing: {labels} at {timestamp_ms}, {:?}", expected.allowed));
                }
            }
        }
        conclude(checked, complaints)
    }

    /// Exemplars and metadata: all acknowledged ones must be there, and no exemplar that nobody wrote.
    fn judge_extras(
        &self,
        tenant: &TenantId,
        querier: &dyn Querier,
        op_count: u64,
        complaints: &mut Vec<String>,
    ) -> Result<(), storage::Error> {
        let metadata = querier.metadata(tenant, None)?;
        let mut exemplars = BTreeMap::new();
        for series in querier.exemplars(tenant, &[Vec::new()], EARLIEST_MS, LATEST_MS)? {
            for exemplar in series.exemplars {
                exemplars.insert(exemplar_key(&series.labels, &exemplar), ());
            }
        }
        let known = exemplars.clone();
        for write in self.writes.iter().filter(|w| w.tenant == *tenant && w.submitted_at <= op_count) {
            let is_required = write.acknowledged_at.is_some_and(|at| at <= op_count);
            for item in write.batch.exemplars() {
                let key = exemplar_key(&write.batch.series(item.series).to_labels(), &item.exemplar);
                exemplars.remove(&key);
                if is_required && !known.contains_key(&key) {
                    complaints.push(format!("missing exemplar: {key:?}"));
                }
            }
            for (metric, told) in write.batch.metadata() {
                if is_required && !metadata.get(metric).is_some_and(|known| known.contains(told)) {
                    complaints.push(format!("missing metadata: {metric} {told:?}"));
                }
            }
        }
        complaints.extend(exemplars.into_keys().map(|key| format!("exemplar never written: {key:?}")));
        Ok(())
    }

    /// Judges what an engine holds whose files were damaged: samples may be missing and reading may fail, but what
    /// is read must have been written.
    ///
    /// # Errors
    /// Lists what is wrong or was never written.
    pub fn check_no_lies(&self, querier: &dyn Querier) -> Result<Checked, String> {
        let mut complaints = Vec::new();
        let mut checked = Checked::default();
        for (tenant, mut expected) in self.ever_written() {
            // A damaged place may end the reading with an error; that is no lie.
            let _ = judge(&tenant, &mut expected, querier, &mut checked, &mut complaints);
        }
        conclude(checked, complaints)
    }

    /// Every value that any write had, none of them required: after damage an older one may come to light.
    fn ever_written(&self) -> Tenants {
        let mut tenants = Tenants::new();
        for write in &self.writes {
            let series = tenants.entry(write.tenant.clone()).or_default();
            for (labels, timestamp_ms, value) in &write.samples {
                let expected = series.entry(labels.clone()).or_default().entry(*timestamp_ms).or_default();
                expected.allowed.push(value.clone());
            }
        }
        tenants
    }

    fn expected_at(&self, op_count: u64) -> Tenants {
        let mut tenants = Tenants::new();
        let mut deletes = self.deletes.iter().filter(|delete| delete.submitted_at <= op_count).peekable();
        for (number, write) in self.writes.iter().enumerate() {
            while let Some(delete) = deletes.next_if(|delete| delete.write_count <= number) {
                delete.apply(&mut tenants, op_count);
            }
            if write.submitted_at <= op_count {
                write.apply(&mut tenants, op_count);
            }
        }
        deletes.for_each(|delete| delete.apply(&mut tenants, op_count));
        let expired = self.expiries.iter().filter(|(at, _)| *at <= op_count).map(|(_, before_ms)| *before_ms);
        if let Some(before_ms) = expired.max() {
            for timeline in tenants.values_mut().flat_map(BTreeMap::values_mut) {
                for (_, expected) in timeline.range_mut(..before_ms) {
                    expected.is_required = false;
                    expected.allowed.append(&mut expected.earlier);
                }
            }
        }
        tenants
    }

    /// Asks a querier and the reference engine (filled with every acknowledged batch) the same questions.
    ///
    /// # Errors
    /// Names the first question that is answered differently.
    pub fn compare(&self, querier: &dyn Querier) -> Result<Checked, String> {
        let checked = self.check(querier, u64::MAX)?;
        let reference = MemoryStorage::new();
        for write in self.writes.iter().filter(|write| write.acknowledged_at.is_some()) {
            reference.append(&write.tenant, &write.batch).map_err(|error| error.to_string())?;
        }
        let context = QueryContext::unlimited();
        let request = LabelRequest { matcher_sets: &[], start_ms: EARLIEST_MS, end_ms: LATEST_MS, limit: 0 };
        let mut tenants: Vec<&TenantId> = self.writes.iter().map(|write| &write.tenant).collect();
        tenants.sort();
        tenants.dedup();
        for tenant in tenants {
            let names =
                reference.label_names(tenant, &request, &context).map_err(|error| error.to_string())?;
            same("label names", &names, querier.label_names(tenant, &request, &context))?;
            for name in &names {
                let values = reference
                    .label_values(tenant, name, &request, &context)
                    .map_err(|error| error.to_string())?;
                same(name, &values, querier.label_values(tenant, name, &request, &context))?;
            }
        }
        Ok(checked)
    }
}

impl Write {
    fn apply(&self, tenants: &mut Tenants, op_count: u64) {
        let is_required = self.acknowledged_at.is_some_and(|at| at <= op_count);
        let series = tenants.entry(self.tenant.clone()).or_default();
        for (labels, timestamp_ms, value) in &self.samples {
            let expected = series.entry(labels.clone()).or_default().entry(*timestamp_ms).or_default();
            if is_required {
                // It is durable and came last: earlier values must not show any more.
                expected.is_required = true;
                expected.earlier.append(&mut expected.allowed);
            }
            expected.allowed.push(value.clone());
        }
    }
}

impl Delete {
    fn apply(&self, tenants: &mut Tenants, op_count: u64) {
        let is_done = self.acknowledged_at.is_some_and(|at| at <= op_count);
        let (start_ms, end_ms) = self.range_ms;
        for (labels, timeline) in tenants.get_mut(&self.tenant).into_iter().flatten() {
            if !matches_all(&self.matchers, labels) {
                continue;
            }
            if is_done {
                timeline.retain(|timestamp_ms, _| *timestamp_ms < start_ms || *timestamp_ms > end_ms);
            } else {
                timeline.range_mut(start_ms..=end_ms).for_each(|(_, expected)| expected.is_required = false);
            }
        }
    }
}

/// An exemplar with its series, comparable whatever its value is.
fn exemplar_key(series: &Labels, exemplar: &Exemplar) -> (Labels, Labels, Option<i64>, u64) {
    (series.clone(), exemplar.labels.clone(), exemplar.timestamp_ms, exemplar.value.to_bits())
}

/// A range that holds all that anybody writes, without being at the ends of what fits.
const EARLIEST_MS: i64 = -(1 << 52);
const LATEST_MS: i64 = 1 << 52;

fn same(question: &str, want: &[String], got: Result<Vec<String>, storage::Error>) -> Result<(), String> {
    match got {
        Err(error) => Err(format!("{question}: {error}")),
        Ok(got) if got == want => Ok(()),
        Ok(got) => Err(format!("{question}: wanted {want:?}, got {got:?}")),
    }
}

fn conclude(checked: Checked, mut complaints: Vec<String>) -> Result<Checked, String> {
    if complaints.is_empty() {
        return Ok(checked);
    }
    let count = complaints.len();
    complaints.truncate(COMPLAINTS_MAX);
    Err(format!("{count} complaints:\n{}", complaints.join("\n")))
}

/// Compares a tenant's samples and removes from `expected` what was found.
fn judge(
    tenant: &TenantId,
    expected: &mut BTreeMap<Labels, Timeline>,
    querier: &dyn Querier,
    checked: &mut Checked,
    complaints: &mut Vec<String>,
) -> Result<(), storage::Error> {
    let request = SelectRequest {
        matchers: &[],
        start_ms: EARLIEST_MS,
        end_ms: LATEST_MS,
        hints: SelectHints::default(),
    };
    let set = querier.select(tenant, &request, &QueryContext::unlimited())?;
    let mut samples = SeriesSamples::default();
    for at in 0..set.len() {
        let labels = set.labels(at);
        set.read(at, &mut samples)?;
        for (timestamp_ms, value) in of_series(&samples) {
            match expected.get_mut(labels).and_then(|timeline| timeline.remove(&timestamp_ms)) {
                None => complaints
                    .push(format!("never written (or twice): {labels} at {timestamp_ms}, {value:?}")),
                Some(known) if known.allowed.iter().any(|allowed| allowed.same(&value)) => {
                    checked.required_count += usize::from(known.is_required);
                    checked.extra_count += usize::from(!known.is_required);
                }
                Some(known) => complaints.push(format!(
                    "wrong: {labels} at {timestamp_ms} is {value:?}, not one of {:?}",
                    known.allowed
                )),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(samples: &[(i64, f64)]) -> WriteBatch {
        let mut batch = WriteBatch::new();
        let series = batch.add_series(Labels::from_pairs([("__name__", "a")]).as_ref());
        for (timestamp_ms, value) in samples {
            batch.add_float(series, *timestamp_ms, *value);
        }
        batch
    }

    /// Samples, when they were submitted, when acknowledged.
    type Reported<'a> = (&'a [(i64, f64)], u64, Option<u64>);

    /// Writes, judged at `at` against an engine that holds `held`.
    #[track_caller]
    fn check(writes: &[Reported<'_>], held: &[(i64, f64)], at: u64, complaint: Option<&str>) {
        let tenant = TenantId::anonymous();
        let engine = MemoryStorage::new();
        engine.append(&tenant, &batch(held)).expect("written");
        let mut oracle = Oracle::new();
        for (samples, submitted_at, acknowledged_at) in writes {
            let ticket = oracle.submit(&tenant, &batch(samples), *submitted_at);
            let appended = MemoryStorage::new().append(&tenant, &batch(samples)).expect("written");
            if let Some(acknowledged_at) = acknowledged_at {
                oracle.acknowledge(ticket, &appended, *acknowledged_at);
            }
        }
        let outcome = oracle.check(engine.as_ref(), at);
        match complaint {
            None => assert!(outcome.is_ok(), "{outcome:?}"),
            Some(complaint) => {
                assert!(outcome.as_ref().is_err_and(|text| text.contains(complaint)), "{outcome:?}");
            }
        }
    }

    #[test]
    fn acknowledged_samples_must_be_there_and_others_may() {
        let writes: &[Reported<'_>] = &[(&[(1, 1.0)], 0, Some(10)), (&[(2, 2.0)], 10, Some(20))];
        check(writes, &[(1, 1.0), (2, 2.0)], 20, None);
        check(writes, &[(1, 1.0)], 20, Some("missing"));
        check(writes, &[(1, 1.0)], 19, None);
        check(writes, &[(1, 1.0), (2, 2.0)], 15, None);
        check(writes, &[(1, 1.0), (2, 2.0)], 9, Some("never written"));
        check(writes, &[], 9, None);
        check(writes, &[(1, 1.5), (2, 2.0)], 20, Some("wrong"));
        check(writes, &[(1, 1.0), (2, 2.0), (3, 0.0)], 20, Some("never written"));
    }

    #[test]
    fn the_last_acknowledged_value_wins_and_later_ones_may() {
        let writes: &[Reported<'_>] =
            &[(&[(1, 1.0)], 0, Some(10)), (&[(1, 2.0)], 10, Some(20)), (&[(1, 3.0)], 20, None)];
        check(writes, &[(1, 1.0)], 20, Some("wrong"));
        check(writes, &[(1, 2.0)], 20, None);
        check(writes, &[(1, 3.0)], 20, None);
        check(writes, &[], 20, Some("missing"));
        check(&[(&[(1, 1.0), (1, 4.0)], 0, Some(1))], &[(1, 1.0)], 1, Some("wrong"));
    }

    #[test]
    fn what_was_deleted_must_be_gone_and_what_is_too_old_may() {
        let (tenant, mut oracle) = (TenantId::anonymous(), Oracle::new());
        let write = |oracle: &mut Oracle, samples: &[(i64, f64)], at: u64| {
            let ticket = oracle.submit(&tenant, &batch(samples), at);
            let appended = MemoryStorage::new().append(&tenant, &batch(samples)).expect("written");
            oracle.acknowledge(ticket, &appended, at + 1);
        };
        write(&mut oracle, &[(1, 1.0), (2, 2.0), (3, 3.0)], 0);
        let ticket = oracle.submit_delete(&tenant, &[], (2, 3), 10);
        oracle.acknowledge_delete(ticket, 20);
        write(&mut oracle, &[(3, 4.0)], 30);
        oracle.may_expire(2, 40);
        assert_eq!(oracle.acknowledged_delete_count(), 1);
        for (held, at, want) in [
            (&[(1, 1.0), (2, 2.0), (3, 3.0)][..], 9, true),
            (&[(1, 1.0)], 9, false),
            (&[(1, 1.0), (3, 3.0)], 10, true),
            (&[(2, 2.0)], 10, false),
            (&[(1, 1.0)], 20, true),
            (&[(1, 1.0), (2, 2.0)], 20, false),
            (&[(1, 1.0), (3, 4.0)], 31, true),
            (&[(1, 1.0), (3, 3.0)], 31, false),
            (&[(3, 4.0)], 39, false),
            (&[(3, 4.0)], 40, true),
        ] {
            let engine = MemoryStorage::new();
            engine.append(&tenant, &batch(held)).expect("written");
            let outcome = oracle.check(engine.as_ref(), at);
            assert_eq!(outcome.is_ok(), want, "{held:?} at {at}: {outcome:?}");
        }
    }

    #[test]
    fn the_reference_agrees_with_itself() {
        let (tenant, engine) = (TenantId::anonymous(), MemoryStorage::new());
        let mut oracle = Oracle::new();
        let mut workload = crate::workload::Workload::new(crate::workload::Settings::default());
        let mut batch = WriteBatch::new();
        for at in 0..20 {
            workload.next_batch(&mut batch);
            let ticket = oracle.submit(&tenant, &batch, at);
            let appended = engine.append(&tenant, &batch).expect("written");
            oracle.acknowledge(ticket, &appended, at);
        }
        let checked = oracle.compare(engine.as_ref()).expect("the same");
        assert!(checked.required_count > 900 && checked.extra_count == 0, "{checked:?}");
        assert_eq!(oracle.acknowledged_count(), 20);
    }
}
