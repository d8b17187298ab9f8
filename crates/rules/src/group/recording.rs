//! A recording rule: its result under another name.

use model::{LabelsBuilder, METRIC_NAME};

use super::Group;
use super::write::{Sample, Written, sort};
use crate::env::{Env, EvaluationError};

impl Group {
    pub(super) fn record(&self, env: &Env, at: usize, time_ms: i64) -> Result<Written, EvaluationError> {
        let rule = &self.rules[at];
        let found = env.query((self.file(), self.name()), &rule.query, time_ms - self.query_offset_ms())?;
        let mut builder = LabelsBuilder::new();
        let mut samples = Vec::with_capacity(found.len());
        for sample in found {
            builder.reset_to(sample.labels.as_ref());
            builder.set(METRIC_NAME, rule.name());
            // An empty value takes the label away.
            for (name, value) in &rule.spec.labels {
                builder.set(name, value);
            }
            samples.push(Sample { labels: builder.build(), value: sample.value });
        }
        if !sort(&mut samples) {
            return Err(EvaluationError::SameSeries);
        }
        let (limit, count) = (self.limit(), samples.len());
        if limit > 0 && i64::try_from(count).is_ok_and(|count| count > limit) {
            return Err(EvaluationError::TooManySeries { limit, count });
        }
        self.write(env, at, time_ms, samples)
    }
}
