//! Results on their way into storage, and the ends of series that are not among them any more.

use model::{Labels, STALE_NAN};
use promql::value::SampleValue;
use storage::{Durability, WriteBatch};

use super::{Group, Memory};
use crate::env::{Env, EvaluationError};

/// A sample that a rule yields.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) labels: Labels,
    pub(super) value: SampleValue,
}

/// What became of a rule's samples.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) sample_count: usize,
    pub(super) durable: Durability,
    /// If storage did not take all.
    pub(super) rejected: Option<EvaluationError>,
}

impl Group {
    /// Writes samples, which must be sorted by labels, each label set once; and ends series that the rule wrote at its last evaluation
    /// and does not now, unless another rule has taken them over.
    pub(super) fn write(
        &self,
        env: &Env,
        at: usize,
        time_ms: i64,
        samples: Vec<Sample>,
    ) -> Result<Written, EvaluationError> {
        let time_ms = time_ms - self.query_offset_ms();
        let mut batch = WriteBatch::new();
        for sample in &samples {
            let series = batch.add_series(sample.labels.as_ref());
            match &sample.value {
                SampleValue::Float(value) => batch.add_float(series, time_ms, *value),
                SampleValue::Histogram(histogram) => {
                    batch.add_histogram(series, time_ms, histogram.as_ref().clone());
                }
            }
        }
        let mut previous = self.rules[at].previous.lock();
        for gone in missing(&previous, &samples) {
            let is_taken_over = self.siblings[at]
                .iter()
                .any(|other| self.rules[*other].previous.lock().binary_search(gone).is_ok());
            if !is_taken_over {
                let series = batch.add_series(gone.as_ref());
                batch.add_float(series, time_ms, STALE_NAN);
            }
        }
        if batch.is_empty() {
            return Ok(Written { sample_count: 0, durable: Durability::done(), rejected: None });
        }
        let appended = env.appender.append(&env.tenant, &batch)?;
        let of = samples.len();
        // What could not be ended is not there to be ended.
        let mut refused = appended.rejected.iter().filter(|rejected| (rejected.series as usize) < of);
        let rejected = refused.next().map(|first| EvaluationError::Rejected {
            count: 1 + refused.count(),
            of,
            reason: first.reason.message(),
        });
        *previous = samples.into_iter().map(|sample| sample.labels).collect();
        Ok(Written { sample_count: of, durable: appended.durable, rejected })
    }

    /// Ends series of rules that are gone.
    pub(super) fn end_stale(&self, env: &Env, memory: &mut Memory, time_ms: i64) {
        if memory.stale.is_empty() {
            return;
        }
        let mut series = std::mem::take(&mut memory.stale);
        series.retain(|series| !self.writes(series));
        if let Err(error) = end_series(env, &series, time_ms - self.query_offset_ms()) {
            tracing::warn!(group = self.name(), %error, "cannot end series of rules that are gone; trying again");
            memory.stale = series;
        }
    }
}

/// Writes the end of series.
pub(crate) fn end_series(env: &Env, series: &[Labels], time_ms: i64) -> Result<(), storage::Error> {
    if series.is_empty() {
        return Ok(());
    }
    let mut batch = WriteBatch::new();
    for labels in series {
        let series = batch.add_series(labels.as_ref());
        batch.add_float(series, time_ms, STALE_NAN);
    }
    env.appender.append(&env.tenant, &batch)?.durable.wait()
}

/// Those of `previous` that are not among `samples`; both are sorted.
fn missing<'p>(previous: &'p [Labels], samples: &[Sample]) -> Vec<&'p Labels> {
    let mut now = samples.iter().map(|sample| &sample.labels).peekable();
    let is_missing = |before: &&Labels| {
        while now.next_if(|labels| labels < before).is_some() {}
        now.peek().is_none_or(|labels| labels != before)
    };
    previous.iter().filter(is_missing).collect()
}

/// Sorts samples by labels; false if two have the same.
pub(super) fn sort(samples: &mut [Sample]) -> bool {
    samples.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
    samples.windows(2).all(|pair| pair[0].labels != pair[1].labels)
}
