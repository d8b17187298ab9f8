//! What a recording rule would have written in the past, written now: its range query, with the staleness markers of series that ended.
//!
//! The same again writes the same. What failed is left out, as it would have been.

use std::sync::Arc;

use model::{Labels, TenantId};
use promql::value::{MatrixSeries, Value};
use promql::{AskedBy, Class, Engine, Origin, QueryError, QueryOptions};
use stdx::cancel::Cancel;
use storage::{Appender, Querier, WriteBatch};

use crate::backtest::columns::{Yield, clashes, recorded};
use crate::backtest::{Error, Request, groups, times};
use crate::env::EvaluationError;
use crate::file::RuleKind;
use crate::group::Group;
use crate::rule::Rule;

/// Evaluations in a piece.
const PIECE_STEPS: usize = 1_500;
/// Samples of a batch.
const BATCH_SAMPLES: usize = 20_000;

/// What is needed for it.
pub struct Deps {
    /// Evaluates queries.
    pub engine: Arc<Engine>,
    /// Answers what is stored.
    pub querier: Arc<dyn Querier>,
    /// Takes results in.
    pub appender: Arc<dyn Appender>,
    /// Whose it is.
    pub tenant: TenantId,
    /// Stops it.
    pub cancel: Cancel,
    /// Whether the rules run here, and missed these evaluations: then their queries go first.
    pub is_repair: bool,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Samples, staleness markers aside.
    pub sample_count: u64,
    /// Evaluations that failed.
    pub failure_count: u64,
    /// Why, last.
    pub last_error: String,
    /// Samples that storage did not take, and why the first was not.
    pub rejected: Option<(u64, &'static str)>,
}

/// How many recording rules there are.
pub fn rule_count(request: &Request) -> usize {
    let groups = request.files.iter().flat_map(|(_, file)| &file.groups);
    groups.flat_map(|group| &group.rules).filter(|rule| rule.kind == RuleKind::Recording).count()
}

/// Writes what one recording rule yields, the `number`th of all from 0.
///
/// # Errors
/// If there is none, the request makes no sense, it was stopped, or storage takes nothing.
pub fn run(request: &Request, number: usize, deps: &Deps) -> Result<Written, Error> {
    let groups = groups(request)?;
    let rules = groups.iter().flat_map(|group| group.rules().iter().map(move |rule| (group, rule)));
    let found = rules.filter(|(_, rule)| rule.kind() == RuleKind::Recording).nth(number);
    let (group, rule) = found
        .ok_or_else(|| Error::Request(format!("there is no recording rule {number}; they count from 0")))?;
    let (first_ms, count, interval_ms) = times(request, group);
    let steps: Vec<i64> = (0..count).map(|at| first_ms + at * interval_ms).collect();
    fill(group, rule, &steps, interval_ms, deps)
}

/// Writes what a recording rule yields at some evaluations, an interval apart.
///
/// # Errors
/// As [`run`].
pub(crate) fn fill(
    group: &Group,
    rule: &Rule,
    steps: &[i64],
    interval_ms: i64,
    deps: &Deps,
) -> Result<Written, Error> {
    let mut filling = Filling { group, rule, interval_ms, deps, written: Written::default() };
    for piece in steps.chunks(PIECE_STEPS) {
        filling.piece(piece)?;
    }
    Ok(filling.written)
}

struct Filling<'a> {
    group: &'a Group,
    rule: &'a Rule,
    interval_ms: i64,
    deps: &'a Deps,
    written: Written,
}

impl Filling<'_> {
    fn piece(&mut self, steps: &[i64]) -> Result<(), Error> {
        let (Some(first_ms), Some(last_ms)) = (steps.first(), steps.last()) else { return Ok(()) };
        let offset_ms = self.group.query_offset_ms();
        let (file, name) = (self.group.file().to_owned(), self.group.name().to_owned());
        let options = QueryOptions {
            class: if self.deps.is_repair { Class::Alert } else { Class::Batch },
            no_cache: true,
            origin: Origin {
                asked_by: AskedBy::RuleGroup { file, name },
                source: "backfill of rules".to_owned(),
                ..Origin::default()
            },
            cancel: self.deps.cancel.clone(),
            ..QueryOptions::default()
        };
        // One evaluation more in front tells which series end with the first.
        let result = self.deps.engine.range(
            &*self.deps.querier,
            &self.deps.tenant,
            &self.rule.query,
            first_ms - offset_ms - self.interval_ms,
            last_ms - offset_ms,
            self.interval_ms,
            &options,
        );
        match result {
            Ok(result) => match result.value {
                Value::Matrix(series) => self.write(series, steps),
                _ => Ok(()),
            },
            Err(QueryError::Execution(_) | QueryError::Limit(_)) if steps.len() > 1 => {
                let (before, after) = steps.split_at(steps.len() / 2);
                self.piece(before)?;
                self.piece(after)
            }
            Err(error @ (QueryError::Execution(_) | QueryError::Limit(_))) => {
                self.failed(1, error.to_string());
                Ok(())
            }
            Err(error) => Err(Error::Query(error)),
        }
    }

    fn failed(&mut self, count: usize, error: String) {
        self.written.failure_count += count as u64;
        self.written.last_error = error;
    }

    fn write(&mut self, series: Vec<MatrixSeries>, steps: &[i64]) -> Result<(), Error> {
        let offset_ms = self.group.query_offset_ms();
        let mut yields = recorded(self.rule, series);
        let clashes = clashes(&mut yields);
        if !clashes.is_empty() {
            self.failed(clashes.len(), EvaluationError::SameSeries.to_string());
        }
        let limit = usize::try_from(self.group.limit()).ok().filter(|limit| *limit > 0);
        if let Some(limit) = limit.filter(|limit| yields.len() > *limit) {
            let error = EvaluationError::TooManySeries { limit: self.group.limit(), count: yields.len() };
            // More than that in all need not be more at any time.
            if steps.len() > 1 && yields.len() > limit {
                let (before, after) = steps.split_at(steps.len() / 2);
                self.piece(before)?;
                return self.piece(after);
            }
            self.failed(1, error.to_string());
            return Ok(());
        }
        let times: Vec<i64> = steps.iter().map(|time_ms| time_ms - offset_ms).collect();
        let good: Vec<i64> = times.iter().copied().filter(|time_ms| !clashes.contains(time_ms)).collect();
        let (Some(&first_ms), mut batch) = (times.first(), WriteBatch::new()) else { return Ok(()) };
        batch.set_patient();
        let mut sorted: Vec<(Labels, Yield)> = yields.into_iter().collect();
        sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (labels, mut found) in sorted {
            let first = |time_ms: Option<&i64>| time_ms.is_some_and(|time_ms| *time_ms < first_ms);
            let was_there = first(found.floats.first().map(|(time_ms, _)| time_ms))
                || first(found.histograms.first().map(|(time_ms, _)| time_ms));
            let is_wanted = |time_ms: i64| time_ms >= first_ms && !clashes.contains(&time_ms);
            found.floats.retain(|(time_ms, _)| is_wanted(*time_ms));
            found.histograms.retain(|(time_ms, _)| is_wanted(*time_ms));
            let (ends, _) = found.ends(&good, was_there);
            self.written.sample_count += (found.floats.len() + found.histograms.len()) as u64;
            if found.floats.is_empty() && found.histograms.is_empty() && ends.is_empty() {
                continue;
            }
            let series = batch.add_series(labels.as_ref());
            for (time_ms, value) in found.floats.into_iter().chain(ends) {
                batch.add_float(series, time_ms, value);
            }
            for (time_ms, value) in found.histograms {
                batch.add_histogram(series, time_ms, value.as_ref().clone());
            }
            if batch.sample_count() >= BATCH_SAMPLES {
                self.append(&batch)?;
                batch.clear();
                batch.set_patient();
            }
        }
        if batch.is_empty() { Ok(()) } else { self.append(&batch) }
    }

    fn append(&mut self, batch: &WriteBatch) -> Result<(), Error> {
        let appended = self.deps.appender.append_durably(&self.deps.tenant, batch)?;
        if let Some(first) = appended.rejected.first() {
            let (count, reason) = self.written.rejected.unwrap_or((0, first.reason.message()));
            self.written.rejected = Some((count + appended.rejected.len() as u64, reason));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::tests::{MINUTE, N, Row, request, stored};
    use crate::group::tests::Tube;

    #[test]
    fn what_is_filled_is_what_evaluations_would_have_written() {
        let series: &[Row<'_>] = &[
            (&[("__name__", "m"), ("a", "1")], &[1.0, 5.0, N, 6.0, 7.0, 1.0]),
            (&[("__name__", "m"), ("a", "2")], &[4.0, 4.0, 4.0, N, 0.0, 5.0]),
        ];
        let rules = "groups: [{name: g, rules: [{record: r, expr: m * 2, labels: {by: r}}, {record: s, expr: sum(r > 5)}]}]";
        let lived = Tube::over(stored(series), 0);
        let group = crate::group::tests::group_with(rules, false);
        for step in 0..=8 {
            lived.evaluate(&group, step * MINUTE);
        }
        let filled = Tube::over(stored(series), 0);
        let deps = Deps {
            engine: Arc::clone(&filled.env.engine),
            querier: Arc::clone(&filled.env.querier),
            appender: Arc::clone(&filled.env.appender),
            tenant: TenantId::anonymous(),
            cancel: Cancel::never(),
            is_repair: false,
        };
        // Twice, and in pieces that overlap.
        for _ in 0..2 {
            for number in 0..rule_count(&request(rules, MINUTE)) {
                for (from_ms, to_ms) in [(0, 3 * MINUTE), (3 * MINUTE, 8 * MINUTE)] {
                    let request = Request { from_ms, ..request(rules, to_ms) };
                    run(&request, number, &deps).expect("filled");
                }
            }
        }
        for metric in ["r", "s"] {
            assert_eq!(filled.stored(metric), lived.stored(metric));
        }
        assert!(run(&request(rules, MINUTE), 2, &deps).is_err(), "there are two rules");
    }
}
