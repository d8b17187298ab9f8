//! Rules of a group as range queries, a piece of time at once.
//!
//! A piece that fails or is too large is halved, down to single evaluations: what fails then would have failed in the server, too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use model::{FloatHistogram, Labels, LabelsBuilder, METRIC_NAME, STALE_NAN};
use promql::QueryError;
use promql::value::{MatrixSeries, SampleValue, Value, VectorSample};

use super::life::Life;
use super::{Episode, Error, Run, times};
use crate::env::EvaluationError;
use crate::group::Group;
use crate::rule::{ALERT_NAME, Alerting, Rule};
use crate::text::{About, Text};

/// Evaluations in a piece. More would need more memory, and be no faster.
const PIECE_STEPS: usize = 1_500;
/// After so many failures in a row a rule is not tried any more: it is broken, not unlucky.
const FAILURES_MAX: u64 = 200;

/// Evaluates all rules of a group. `read` says of which the results are read by others.
pub(super) fn run(run: &mut Run<'_>, group: &Group, first_rule: usize, read: &[bool]) -> Result<(), Error> {
    let (first_ms, count, interval_ms) = times(run.request, group);
    let steps: Vec<i64> = (0..count).map(|at| first_ms + at * interval_ms).collect();
    for (at, rule) in group.rules().iter().enumerate() {
        let mut columns = Columns {
            group,
            rule,
            at: first_rule + at,
            is_read: read[at],
            interval_ms,
            failures_in_row: 0,
            lives: BTreeMap::new(),
            continuing: BTreeSet::new(),
        };
        for piece in steps.chunks(PIECE_STEPS) {
            columns.piece(run, piece)?;
            run.add_done(piece.len() as u64);
        }
        let mut rest: Vec<Episode> =
            columns.lives.values_mut().filter_map(|life| life.end(first_rule + at, None)).collect();
        run.keep(&mut rest)?;
    }
    Ok(())
}

/// A rule over time.
struct Columns<'a> {
    group: &'a Group,
    rule: &'a Rule,
    /// Its place among all.
    at: usize,
    is_read: bool,
    interval_ms: i64,
    failures_in_row: u64,
    /// Of an alerting rule: alerts that are there.
    lives: BTreeMap<Labels, Life>,
    /// Of a recording rule that is read: series that were in its last result.
    continuing: BTreeSet<Labels>,
}

/// What a piece of time yields for one alert, or one recorded series.
#[derive(Debug, Default)]
pub(crate) struct Yield {
    pub(crate) floats: Vec<(i64, f64)>,
    pub(crate) histograms: Vec<(i64, Arc<FloatHistogram>)>,
    /// Whether several series of the result became one.
    is_merged: bool,
}

impl Columns<'_> {
    /// Evaluates the rule at some times.
    fn piece(&mut self, run: &mut Run<'_>, steps: &[i64]) -> Result<(), Error> {
        let (Some(first_ms), Some(last_ms)) = (steps.first(), steps.last()) else { return Ok(()) };
        if self.failures_in_row >= FAILURES_MAX {
            self.count(run, steps.len(), steps.len());
            return Ok(());
        }
        let offset_ms = self.group.query_offset_ms();
        let (engine, options) = (&run.deps.engine, run.options(self.group));
        let result = engine.range(
            &*run.overlay,
            &run.deps.tenant,
            &self.rule.query,
            first_ms - offset_ms,
            last_ms - offset_ms,
            self.interval_ms,
            &options,
        );
        match result {
            Ok(result) => {
                let Value::Matrix(series) = result.value else { return Ok(()) };
                // Its memory is accounted until here; what is made of it is smaller.
                self.take(run, series, steps)
            }
            Err(error @ (QueryError::Execution(_) | QueryError::Limit(_))) => {
                self.failed_piece(run, steps, &error.to_string())
            }
            Err(error @ (QueryError::BadRequest(_) | QueryError::Parse(_))) => {
                self.failures_in_row = FAILURES_MAX;
                self.failed_piece(run, &steps[..1], &error.to_string())?;
                self.piece(run, &steps[1..])
            }
            Err(error) => Err(Error::Query(error)),
        }
    }

    fn failed_piece(&mut self, run: &mut Run<'_>, steps: &[i64], error: &str) -> Result<(), Error> {
        if steps.len() > 1 {
            let (before, after) = steps.split_at(steps.len() / 2);
            self.piece(run, before)?;
            return self.piece(run, after);
        }
        error.clone_into(&mut run.tried[self.at].last_error);
        self.failures_in_row += 1;
        self.count(run, 1, 1);
        Ok(())
    }

    fn count(&self, run: &mut Run<'_>, evaluations: usize, failures: usize) {
        let tried = &mut run.tried[self.at];
        tried.evaluation_count += evaluations as u64;
        tried.failure_count += failures as u64;
    }

    /// Takes what a piece yielded.
    fn take(&mut self, run: &mut Run<'_>, series: Vec<MatrixSeries>, steps: &[i64]) -> Result<(), Error> {
        let samples = series.iter().map(|series| series.floats.len() + series.histograms.len());
        run.tried[self.at].sample_count += samples.sum::<usize>() as u64;
        let (mut yields, same) = match &self.rule.alerting {
            Some(alerting) => (self.alerts(alerting, series), EvaluationError::SameAlert),
            None if self.is_read => (recorded(self.rule, series), EvaluationError::SameSeries),
            None => {
                self.count(run, steps.len(), 0);
                return Ok(());
            }
        };
        let clashes = clashes(&mut yields);
        let mut good = Vec::new();
        let good = if clashes.is_empty() {
            steps
        } else {
            run.tried[self.at].last_error = same.to_string();
            good.extend(steps.iter().copied().filter(|time_ms| !clashes.contains(time_ms)));
            for found in yields.values_mut() {
                found.floats.retain(|(time_ms, _)| !clashes.contains(time_ms));
                found.histograms.retain(|(time_ms, _)| !clashes.contains(time_ms));
            }
            &good
        };
        self.failures_in_row = 0;
        self.count(run, steps.len(), clashes.len());
        match &self.rule.alerting {
            Some(alerting) => self.live(run, alerting, yields, good),
            None => self.write(run, yields, good),
        }
    }

    /// Points of the result by the labels of their alerts.
    fn alerts(&self, alerting: &Alerting, series: Vec<MatrixSeries>) -> HashMap<Labels, Yield> {
        let offset_ms = self.group.query_offset_ms();
        let is_fixed = alerting.labels.iter().all(|(_, text)| depends_on_labels_alone(text));
        let mut yields: HashMap<Labels, Yield> = HashMap::new();
        for series in series {
            let mut points = series.floats;
            if !series.histograms.is_empty() {
                // An alert's value is a number.
                points.extend(series.histograms.iter().map(|(time_ms, _)| (*time_ms, 0.0)));
                points.sort_unstable_by_key(|(time_ms, _)| *time_ms);
            }
            if offset_ms != 0 {
                points.iter_mut().for_each(|(time_ms, _)| *time_ms += offset_ms);
            }
            let Some((first_ms, value)) = points.first().copied() else { continue };
            if is_fixed {
                let labels = self.alert_labels(alerting, &series.labels, value, first_ms);
                yields.entry(labels).or_default().add(points);
                continue;
            }
            let mut by_value: HashMap<u64, Labels> = HashMap::new();
            for (time_ms, value) in points {
                let labels = by_value
                    .entry(value.to_bits())
                    .or_insert_with(|| self.alert_labels(alerting, &series.labels, value, time_ms));
                let found = yields.entry(labels.clone()).or_default();
                found.is_merged = true;
                found.floats.push((time_ms, value));
            }
        }
        yields
    }

    fn alert_labels(&self, alerting: &Alerting, labels: &Labels, value: f64, time_ms: i64) -> Labels {
        let sample =
            VectorSample { labels: labels.clone(), timestamp_ms: time_ms, value: SampleValue::Float(value) };
        let query = |_: &str| Err("BUG: labels that query go step by step".to_owned());
        let about = About::new(&sample, self.group.external(), &query, time_ms);
        let mut builder = LabelsBuilder::new();
        builder.reset_to(labels.as_ref());
        builder.remove(METRIC_NAME);
        for (name, text) in &alerting.labels {
            let expanded = text.expand(&about);
            builder
                .set(name, &expanded.unwrap_or_else(|error| format!("<error expanding template: {error}>")));
        }
        builder.set(ALERT_NAME, self.rule.name());
        builder.build()
    }

    fn live(
        &mut self,
        run: &mut Run<'_>,
        alerting: &Alerting,
        yields: HashMap<Labels, Yield>,
        good: &[i64],
    ) -> Result<(), Error> {
        let mut ended = Vec::new();
        for (labels, life) in &mut self.lives {
            if !yields.contains_key(labels) {
                life.advance(self.at, good, &[], alerting.terms, &mut ended);
            }
        }
        for (labels, found) in yields {
            let life = self.lives.entry(labels.clone()).or_insert_with(|| Life::new(labels));
            life.advance(self.at, good, &found.floats, alerting.terms, &mut ended);
        }
        self.lives.retain(|_, life| life.is_open());
        run.keep(&mut ended)
    }

    /// Puts recorded series in front of what is stored, with their ends.
    fn write(&mut self, run: &Run<'_>, yields: HashMap<Labels, Yield>, good: &[i64]) -> Result<(), Error> {
        let offset_ms = self.group.query_offset_ms();
        let times: Vec<i64> = good.iter().map(|time_ms| time_ms - offset_ms).collect();
        let Some(&first_ms) = times.first() else { return Ok(()) };
        for gone in self.continuing.iter().filter(|labels| !yields.contains_key(*labels)) {
            run.overlay.extend(gone, [(first_ms, STALE_NAN)], [])?;
        }
        let before = std::mem::take(&mut self.continuing);
        for (labels, mut found) in yields {
            let (ends, continues) = found.ends(&times, before.contains(&labels));
            found.floats.extend(ends);
            found.floats.sort_unstable_by_key(|(time_ms, _)| *time_ms);
            run.overlay.extend(&labels, found.floats, found.histograms)?;
            if continues {
                self.continuing.insert(labels);
            }
        }
        Ok(())
    }
}

/// Points of a recording rule's result by the series that they are written to.
pub(crate) fn recorded(rule: &Rule, series: Vec<MatrixSeries>) -> HashMap<Labels, Yield> {
    let mut yields: HashMap<Labels, Yield> = HashMap::new();
    let mut builder = LabelsBuilder::new();
    for series in series {
        builder.reset_to(series.labels.as_ref());
        builder.set(METRIC_NAME, rule.name());
        // An empty value takes the label away.
        for (name, value) in &rule.spec.labels {
            builder.set(name, value);
        }
        let found = yields.entry(builder.build()).or_default();
        found.is_merged |= !found.histograms.is_empty();
        found.add(series.floats);
        found.histograms.extend(series.histograms);
    }
    yields
}

impl Yield {
    fn add(&mut self, points: Vec<(i64, f64)>) {
        if self.floats.is_empty() && self.histograms.is_empty() {
            self.floats = points;
        } else {
            self.is_merged = true;
            self.floats.extend(points);
        }
    }

    /// When the series ended: at evaluations without it that follow one with it. And whether the last one has it.
    pub(crate) fn ends(&self, times: &[i64], was_there: bool) -> (Vec<(i64, f64)>, bool) {
        let there: BTreeSet<i64> = self
            .floats
            .iter()
            .map(|(time_ms, _)| *time_ms)
            .chain(self.histograms.iter().map(|(time_ms, _)| *time_ms))
            .collect();
        let (mut ends, mut was_there) = (Vec::new(), was_there);
        for time_ms in times {
            let is_there = there.contains(time_ms);
            if was_there && !is_there {
                ends.push((*time_ms, STALE_NAN));
            }
            was_there = is_there;
        }
        (ends, was_there)
    }
}

/// Sorts what came from several series; the times at which two of them became one.
pub(crate) fn clashes(yields: &mut HashMap<Labels, Yield>) -> BTreeSet<i64> {
    let mut clashes = BTreeSet::new();
    for found in yields.values_mut().filter(|found| found.is_merged) {
        found.floats.sort_by_key(|(time_ms, _)| *time_ms);
        found.histograms.sort_by_key(|(time_ms, _)| *time_ms);
        let mut times: Vec<i64> = found.floats.iter().map(|(time_ms, _)| *time_ms).collect();
        times.extend(found.histograms.iter().map(|(time_ms, _)| *time_ms));
        times.sort_unstable();
        clashes.extend(times.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]));
    }
    clashes
}

/// Whether a template says the same at all times, whatever the value is.
fn depends_on_labels_alone(text: &Text) -> bool {
    let varying = ["alue", "query", "now", "Timestamp", "Time"];
    text.is_literal() || !varying.iter().any(|word| text.source().contains(word))
}
