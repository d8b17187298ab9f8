//! What queries mean, at one time, straight from Prometheus' description of its language.

use std::collections::BTreeMap;

use model::{Labels, is_stale};

use super::Rows;
use super::query::{Aggregation, Map, Operator, OverTime, Query, Range, Select, SetOperator, Shift};

/// Values by labels, at one time.
pub(super) type Vector = BTreeMap<Labels, f64>;
type Samples = Vec<(i64, f64)>;

/// Over which data.
pub(super) struct Evaluation<'a> {
    pub(super) rows: &'a Rows,
    pub(super) lookback_ms: i64,
}

fn shifted(time_ms: i64, shift: Shift) -> i64 {
    shift.at_s.map_or(time_ms, |at_s| at_s * 1_000) - shift.offset_s * 1_000
}

fn without_name(labels: &Labels) -> Labels {
    labels.without(|name| name == "__name__")
}

/// Adds a series; two of the same labels are an error.
fn insert(into: &mut Vector, labels: Labels, value: f64) -> Result<(), String> {
    match into.insert(labels, value) {
        None => Ok(()),
        Some(_) => Err("the same labels twice".to_owned()),
    }
}

impl Evaluation<'_> {
    pub(super) fn vector(&self, query: &Query, time_ms: i64) -> Result<Vector, String> {
        match query {
            Query::Select(select) => Ok(self.latest(select, time_ms)),
            Query::Over(function, range) => self.over_time(*function, range, time_ms),
            Query::Map(function, inner) => {
                let mut out = Vector::new();
                for (labels, value) in self.vector(inner, time_ms)? {
                    insert(&mut out, without_name(&labels), map(*function, value))?;
                }
                Ok(out)
            }
            Query::WithNumber(operator, inner, number) => {
                let mut out = Vector::new();
                for (labels, value) in self.vector(inner, time_ms)? {
                    let labels = if operator.changes_metric() { without_name(&labels) } else { labels };
                    if let Some(value) = apply(*operator, value, *number) {
                        insert(&mut out, labels, value)?;
                    }
                }
                Ok(out)
            }
            Query::Aggregate { operator, without, labels, inner } => {
                let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
                for (own, value) in self.vector(inner, time_ms)? {
                    let group = own.without(|name| {
                        let named = labels.contains(&name);
                        if *without { named || name == "__name__" } else { !named }
                    });
                    groups.entry(group).or_default().push(value);
                }
                Ok(groups.into_iter().map(|(group, values)| (group, aggregate(*operator, &values))).collect())
            }
            Query::Match { operator, left, right, on } => {
                matched(*operator, &self.vector(left, time_ms)?, &self.vector(right, time_ms)?, on.as_deref())
            }
            Query::Set { operator, left, right, on } => {
                set(*operator, self.vector(left, time_ms)?, self.vector(right, time_ms)?, on.as_deref())
            }
        }
    }

    fn selected<'a>(&'a self, select: &'a Select) -> impl Iterator<Item = &'a (Labels, Samples)> {
        self.rows.iter().filter(|(labels, _)| {
            let wanted =
                |(label, equal, value): (&str, bool, &str)| (labels.get(label) == Some(value)) == equal;
            labels.metric_name() == select.name && select.matcher.is_none_or(wanted)
        })
    }

    fn latest(&self, select: &Select, time_ms: i64) -> Vector {
        let time_ms = shifted(time_ms, select.shift);
        let mut out = Vector::new();
        for (labels, samples) in self.selected(select) {
            let last = samples.iter().rev().find(|(at, _)| *at <= time_ms);
            if let Some((at, value)) = last
                && *at > time_ms - self.lookback_ms
                && !is_stale(*value)
            {
                out.insert(labels.clone(), *value);
            }
        }
        out
    }

    /// The samples of each series in the window, and its bounds.
    fn windows(&self, range: &Range, time_ms: i64) -> Result<(BTreeMap<Labels, Samples>, i64, i64), String> {
        let mut windows: BTreeMap<Labels, Samples> = BTreeMap::new();
        let (start_ms, end_ms) = match range {
            Range::Stored { select, window_s } => {
                let end_ms = shifted(time_ms, select.shift);
                let start_ms = end_ms - window_s * 1_000;
                for (labels, samples) in self.selected(select) {
                    let inside =
                        samples.iter().filter(|(at, v)| *at > start_ms && *at <= end_ms && !is_stale(*v));
                    windows.insert(labels.clone(), inside.copied().collect());
                }
                (start_ms, end_ms)
            }
            Range::Computed { inner, window_s, step_s, shift } => {
                let end_ms = shifted(time_ms, *shift);
                let (start_ms, step_ms) = (end_ms - window_s * 1_000, step_s * 1_000);
                let mut at_ms = start_ms.div_euclid(step_ms) * step_ms;
                while at_ms <= end_ms {
                    if at_ms > start_ms {
                        for (labels, value) in self.vector(inner, at_ms)? {
                            windows.entry(labels).or_default().push((at_ms, value));
                        }
                    }
                    at_ms += step_ms;
                }
                (start_ms, end_ms)
            }
        };
        Ok((windows, start_ms, end_ms))
    }

    fn over_time(&self, function: OverTime, range: &Range, time_ms: i64) -> Result<Vector, String> {
        let (windows, start_ms, end_ms) = self.windows(range, time_ms)?;
        let mut out = Vector::new();
        for (labels, samples) in windows {
            let labels = if function == OverTime::Last { labels } else { without_name(&labels) };
            if let Some(value) = over_samples(function, &samples, start_ms, end_ms) {
                insert(&mut out, labels, value)?;
            }
        }
        Ok(out)
    }
}

fn map(function: Map, value: f64) -> f64 {
    match function {
        Map::Negate => -value,
        Map::Abs => value.abs(),
        Map::Sgn if value > 0.0 => 1.0,
        Map::Sgn if value < 0.0 => -1.0,
        Map::Sgn => value,
        Map::Sqrt => value.sqrt(),
        Map::Ceil => value.ceil(),
        Map::Floor => value.floor(),
    }
}

/// `None`: filtered out.
fn apply(operator: Operator, left: f64, right: f64) -> Option<f64> {
    match operator {
        Operator::Add => Some(left + right),
        Operator::Sub => Some(left - right),
        Operator::Mul => Some(left * right),
        Operator::Div => Some(left / right),
        Operator::Greater => (left > right).then_some(left),
        Operator::Less => (left <= right).then_some(left),
        Operator::NotEqualBool => Some(f64::from(u8::from(left != right))),
    }
}

fn aggregate(operator: Aggregation, values: &[f64]) -> f64 {
    let sum = || values.iter().sum::<f64>();
    match operator {
        Aggregation::Sum => sum(),
        Aggregation::Avg => sum() / values.len() as f64,
        Aggregation::Min => smallest(values.iter().copied()),
        Aggregation::Max => -smallest(values.iter().map(|value| -value)),
        Aggregation::Count => values.len() as f64,
        Aggregation::Group => 1.0,
    }
}

/// NaN only if there is nothing else.
fn smallest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::NAN, |least, value| if least.is_nan() || value < least { value } else { least })
}

fn signature(labels: &Labels, on: Option<&[&'static str]>) -> Labels {
    labels.without(|name| match on {
        Some(on) => !on.contains(&name),
        None => name == "__name__",
    })
}

fn matched(
    operator: Operator,
    left: &Vector,
    right: &Vector,
    on: Option<&[&'static str]>,
) -> Result<Vector, String> {
    if left.is_empty() || right.is_empty() {
        return Ok(Vector::new());
    }
    let mut ones: BTreeMap<Labels, f64> = BTreeMap::new();
    for (labels, value) in right {
        insert(&mut ones, signature(labels, on), *value)?;
    }
    let mut out = Vector::new();
    let mut met: Vec<Labels> = Vec::new();
    for (labels, value) in left {
        let key = signature(labels, on);
        let Some(other) = ones.get(&key) else { continue };
        // A pair that a comparison filters out was a pair all the same.
        if met.contains(&key) {
            return Err("many on the left".to_owned());
        }
        met.push(key.clone());
        let Some(result) = apply(operator, *value, *other) else { continue };
        let kept = match on {
            Some(_) => key,
            None if operator.changes_metric() => without_name(labels),
            None => labels.clone(),
        };
        insert(&mut out, kept, result)?;
    }
    Ok(out)
}

fn set(
    operator: SetOperator,
    left: Vector,
    right: Vector,
    on: Option<&[&'static str]>,
) -> Result<Vector, String> {
    let has = |side: &Vector, labels: &Labels| {
        side.keys().any(|other| signature(other, on) == signature(labels, on))
    };
    match operator {
        SetOperator::And => Ok(left.into_iter().filter(|(labels, _)| has(&right, labels)).collect()),
        SetOperator::Unless => Ok(left.into_iter().filter(|(labels, _)| !has(&right, labels)).collect()),
        SetOperator::Or => {
            let mut out = left.clone();
            for (labels, value) in right {
                if !has(&left, &labels) {
                    insert(&mut out, labels, value)?;
                }
            }
            Ok(out)
        }
    }
}

fn over_samples(function: OverTime, samples: &[(i64, f64)], start_ms: i64, end_ms: i64) -> Option<f64> {
    let values = || samples.iter().map(|(_, value)| *value);
    let pairs = || samples.windows(2).map(|pair| (pair[0].1, pair[1].1));
    let (first, last) = (samples.first()?, samples.last()?);
    let count = samples.len() as f64;
    let mean = || values().sum::<f64>() / count;
    Some(match function {
        OverTime::Sum => values().sum(),
        OverTime::Avg => mean(),
        OverTime::Min => smallest(values()),
        OverTime::Max => -smallest(values().map(|value| -value)),
        OverTime::Count => count,
        OverTime::Last => last.1,
        OverTime::Present => 1.0,
        OverTime::Stddev => {
            let mean = mean();
            (values().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count).sqrt()
        }
        OverTime::Changes => pairs().filter(|(a, b)| a != b && !(a.is_nan() && b.is_nan())).count() as f64,
        OverTime::Resets => pairs().filter(|(a, b)| b < a).count() as f64,
        _ if samples.len() < 2 => return None,
        OverTime::Irate | OverTime::Idelta => {
            let (before, after) = (samples[samples.len() - 2], *last);
            let is_rate = function == OverTime::Irate;
            let change = if is_rate && after.1 < before.1 { after.1 } else { after.1 - before.1 };
            if is_rate { change / ((after.0 - before.0) as f64 / 1e3) } else { change }
        }
        OverTime::Deriv => slope(samples),
        OverTime::Rate | OverTime::Increase | OverTime::Delta => {
            let is_counter = function != OverTime::Delta;
            let lost: f64 = pairs().filter(|(a, b)| is_counter && b < a).map(|(a, _)| a).sum();
            let change = last.1 - first.1 + lost;
            let factor = extrapolation(samples, start_ms, end_ms, is_counter.then_some(change));
            let width_s = (end_ms - start_ms) as f64 / 1e3;
            change * factor / if function == OverTime::Rate { width_s } else { 1.0 }
        }
    })
}

/// By how much more than from the first to the last sample it changed over the window: to its edges, if they are near; half
/// an interval if not; never further down than to where a counter was zero.
fn extrapolation(samples: &[(i64, f64)], start_ms: i64, end_ms: i64, counter_change: Option<f64>) -> f64 {
    let (first, last) = (samples[0], samples[samples.len() - 1]);
    let seconds = |ms: i64| ms as f64 / 1e3;
    let sampled_s = seconds(last.0 - first.0);
    let interval_s = sampled_s / (samples.len() - 1) as f64;
    let reach = |edge_s: f64| if edge_s >= interval_s * 1.1 { interval_s / 2.0 } else { edge_s };
    let (mut before_s, after_s) = (reach(seconds(first.0 - start_ms)), reach(seconds(end_ms - last.0)));
    if let Some(change) = counter_change
        && change > 0.0
        && first.1 >= 0.0
    {
        before_s = before_s.min(sampled_s * (first.1 / change));
    }
    (sampled_s + before_s + after_s) / sampled_s
}

/// Of the line with the least squares.
fn slope(samples: &[(i64, f64)]) -> f64 {
    if samples.iter().all(|(_, value)| *value == samples[0].1) {
        return if samples[0].1.is_infinite() { f64::NAN } else { 0.0 };
    }
    let count = samples.len() as f64;
    let seconds = |at: i64| (at - samples[0].0) as f64 / 1e3;
    let mean_x = samples.iter().map(|(at, _)| seconds(*at)).sum::<f64>() / count;
    let mean_y = samples.iter().map(|(_, value)| value).sum::<f64>() / count;
    let covariance: f64 = samples.iter().map(|(at, value)| (seconds(*at) - mean_x) * (value - mean_y)).sum();
    let variance: f64 = samples.iter().map(|(at, _)| (seconds(*at) - mean_x).powi(2)).sum();
    covariance / variance
}
