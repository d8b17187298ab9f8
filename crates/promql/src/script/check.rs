//! Results against what a script expects of them.

use std::fmt::Write;

use model::{CounterResetHint, FloatHistogram, Labels};

use crate::error::QueryError;
use crate::histogram_math;
use crate::value::{MatrixSeries, QueryResult, SampleValue, Value};

use super::Mismatch;
use super::command::{AnnotationRule, Eval, Expected, Text};
use super::points::{Point, SeriesPoints};

/// Values may differ by this part of themselves.
const TOLERANCE: f64 = 1e-6;

/// Whether an instant query must give the same result as a step of a range query.
pub(super) fn holds_in_ranges(eval: &Eval) -> bool {
    // These depend on the range by design.
    let of_range = ["start()", "end()", "step()", "range()"].iter().any(|call| eval.query.contains(call));
    let all_steps = crate::parser::parse(&eval.query).is_ok_and(|expr| expr.sees_all_steps());
    !eval.ordered
        && !of_range
        && !all_steps
        && matches!(eval.expected, Expected::Series(_) | Expected::Scalar(_))
}

/// Checks the result of an instant query.
pub(super) fn instant_result(
    eval: &Eval,
    result: Result<QueryResult, QueryError>,
    time_ms: i64,
) -> Result<(), Mismatch> {
    let Some(result) = expect_success(eval, result)? else { return Ok(()) };
    annotations(&eval.warn, &result.warnings, "warning")?;
    annotations(&eval.info, &result.infos, "info")?;
    match (&eval.expected, &result.value) {
        (Expected::Scalar(want), Value::Scalar { value, .. }) => floats(*want, *value),
        (Expected::Text(want), Value::String { value, .. }) if want == value => Ok(()),
        (Expected::Series(want), Value::Vector(samples)) => {
            if let Some(sample) = samples.iter().find(|sample| sample.timestamp_ms != time_ms) {
                return Err(Mismatch::new(
                    format!("samples at {time_ms}"),
                    format!("one at {}", sample.timestamp_ms),
                ));
            }
            let got: Vec<(&Labels, &SampleValue)> =
                samples.iter().map(|sample| (&sample.labels, &sample.value)).collect();
            vector(want, &got, eval.ordered)
        }
        (Expected::Matrix { series, start_ms, step_ms }, Value::Matrix(got)) => {
            matrix(series, got, *start_ms, *step_ms)
        }
        // No series at all: the script does not say of which type.
        (Expected::Series(want), Value::Matrix(got)) if want.is_empty() && got.is_empty() => Ok(()),
        (want, got) => Err(Mismatch::new(format!("{want:?}"), format!("{got:?}"))),
    }
}

/// Checks the result of a range query.
pub(super) fn range_result(
    eval: &Eval,
    result: Result<QueryResult, QueryError>,
    start_ms: i64,
    step_ms: i64,
) -> Result<(), Mismatch> {
    let Some(result) = expect_success(eval, result)? else { return Ok(()) };
    annotations(&eval.warn, &result.warnings, "warning")?;
    annotations(&eval.info, &result.infos, "info")?;
    match (&eval.expected, &result.value) {
        (Expected::Series(want), Value::Matrix(got)) => {
            sorted(got)?;
            matrix(want, got, start_ms, step_ms)
        }
        (want, got) => Err(Mismatch::new(format!("{want:?}"), format!("{got:?}"))),
    }
}

/// Checks one step of a range query against what an instant query is expected to give.
pub(super) fn step_of_range(
    eval: &Eval,
    result: Result<QueryResult, QueryError>,
    time_ms: i64,
) -> Result<(), Mismatch> {
    let result = result.map_err(|error| Mismatch::new("success", error.to_string()))?;
    let Value::Matrix(series) = &result.value else {
        return Err(Mismatch::new("a matrix", format!("{:?}", result.value)));
    };
    sorted(series)?;
    let mut at_step: Vec<(&Labels, SampleValue)> = Vec::new();
    for one in series {
        let float =
            one.floats.iter().find(|(t, _)| *t == time_ms).map(|(_, value)| SampleValue::Float(*value));
        let histogram = one.histograms.iter().find(|(t, _)| *t == time_ms);
        let value = float.or_else(|| histogram.map(|(_, value)| SampleValue::Histogram(value.clone())));
        at_step.extend(value.map(|value| (&one.labels, value)));
    }
    let at_step: Vec<(&Labels, &SampleValue)> =
        at_step.iter().map(|(labels, value)| (*labels, value)).collect();
    match &eval.expected {
        Expected::Series(want) => vector(want, &at_step, false),
        Expected::Scalar(want) => match at_step.first() {
            Some((_, SampleValue::Float(value))) => floats(*want, *value),
            other => Err(Mismatch::new(want.to_string(), format!("{other:?}"))),
        },
        _ => Ok(()),
    }
}

fn sorted(series: &[MatrixSeries]) -> Result<(), Mismatch> {
    match series.windows(2).find(|pair| pair[0].labels >= pair[1].labels) {
        None => Ok(()),
        Some(pair) => Err(Mismatch::new(
            "series sorted by labels",
            format!("{} before {}", pair[0].labels, pair[1].labels),
        )),
    }
}

/// The result of a query that had to succeed; `None` for one that had to fail, and did so as expected.
fn expect_success(
    eval: &Eval,
    result: Result<QueryResult, QueryError>,
) -> Result<Option<QueryResult>, Mismatch> {
    match (&eval.fail, result) {
        (None, Ok(result)) => Ok(Some(result)),
        (None, Err(error)) => Err(Mismatch::new("success", format!("error: {error}"))),
        (Some(text), Err(error)) if text.matches(&error.to_string()) => Ok(None),
        (Some(text), Err(error)) => {
            Err(Mismatch::new(format!("error {}", describe(text)), error.to_string()))
        }
        (Some(text), Ok(result)) => {
            Err(Mismatch::new(format!("error {}", describe(text)), format!("{:?}", result.value)))
        }
    }
}

fn describe(text: &Text) -> String {
    match text {
        Text::Any => "of any text".to_owned(),
        Text::Exact(text) => text.clone(),
        Text::Pattern(pattern) => format!("matching {pattern}"),
    }
}

fn annotations(rule: &AnnotationRule, got: &[String], kind: &str) -> Result<(), Mismatch> {
    if rule.none && !got.is_empty() {
        return Err(Mismatch::new(format!("no {kind}"), got.join("; ")));
    }
    if rule.texts.is_empty() {
        return Ok(());
    }
    if let Some(missing) = rule.texts.iter().find(|text| !got.iter().any(|got| text.matches(got))) {
        return Err(Mismatch::new(format!("{kind} {}", describe(missing)), format!("[{}]", got.join("; "))));
    }
    match got.iter().find(|got| !rule.texts.iter().any(|text| text.matches(got))) {
        Some(unexpected) => Err(Mismatch::new(format!("no other {kind}"), unexpected.clone())),
        None => Ok(()),
    }
}

fn vector(want: &[SeriesPoints], got: &[(&Labels, &SampleValue)], ordered: bool) -> Result<(), Mismatch> {
    let mismatch = || {
        let mut expected = String::new();
        for series in want {
            let _ = write!(expected, "{} {}, ", series.labels, point_text(Eval::first_point(series)));
        }
        let mut came = String::new();
        for (labels, value) in got {
            let _ = write!(came, "{labels} {}, ", value_text(value));
        }
        Mismatch::new(expected, came)
    };
    if want.len() != got.len() {
        return Err(mismatch());
    }
    for (at, series) in want.iter().enumerate() {
        let found = got.iter().position(|(labels, _)| **labels == series.labels);
        let Some(found) = found.filter(|found| !ordered || *found == at) else { return Err(mismatch()) };
        let same = match (Eval::first_point(series), got[found].1) {
            (Some(Point::Float(want)), SampleValue::Float(got)) => almost_equal(*want, *got),
            (Some(Point::Histogram(want)), SampleValue::Histogram(got)) => same_histogram(want, got),
            _ => false,
        };
        if !same {
            return Err(mismatch());
        }
    }
    Ok(())
}

fn matrix(want: &[SeriesPoints], got: &[MatrixSeries], start_ms: i64, step_ms: i64) -> Result<(), Mismatch> {
    let all_labels = |labels: &mut dyn Iterator<Item = &Labels>| {
        labels.map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let wanted = want.iter().filter(|series| series.points.iter().any(|point| !matches!(point, Point::None)));
    if wanted.clone().count() != got.len() {
        let expected = all_labels(&mut wanted.map(|series| &series.labels));
        return Err(Mismatch::new(expected, all_labels(&mut got.iter().map(|series| &series.labels))));
    }
    for series in wanted {
        let Some(found) = got.iter().find(|found| found.labels == series.labels) else {
            return Err(Mismatch::new(
                series.labels.to_string(),
                all_labels(&mut got.iter().map(|series| &series.labels)),
            ));
        };
        let mut expected: Vec<(i64, &Point)> = Vec::new();
        for (at, point) in series.points.iter().enumerate() {
            if !matches!(point, Point::None) {
                expected.push((start_ms + at as i64 * step_ms, point));
            }
        }
        let same = expected.len() == found.floats.len() + found.histograms.len()
            && expected.iter().all(|(timestamp_ms, point)| point_is_there(*timestamp_ms, point, found));
        if !same {
            let mut text = format!("{}", series.labels);
            for (timestamp_ms, point) in &expected {
                let _ = write!(text, " {}@{timestamp_ms}", point_text(Some(point)));
            }
            return Err(Mismatch::new(text, series_text(found)));
        }
    }
    Ok(())
}

fn point_is_there(timestamp_ms: i64, point: &Point, series: &MatrixSeries) -> bool {
    match point {
        Point::None => true,
        Point::Float(want) => {
            let found = series.floats.iter().find(|(t, _)| *t == timestamp_ms);
            found.is_some_and(|(_, got)| almost_equal(*want, *got))
        }
        Point::Histogram(want) => {
            let found = series.histograms.iter().find(|(t, _)| *t == timestamp_ms);
            found.is_some_and(|(_, got)| same_histogram(want, got))
        }
    }
}

fn floats(want: f64, got: f64) -> Result<(), Mismatch> {
    if almost_equal(want, got) { Ok(()) } else { Err(Mismatch::new(want.to_string(), got.to_string())) }
}

/// Whether two values are the same within the tolerance.
fn almost_equal(a: f64, b: f64) -> bool {
    if a.is_nan() && b.is_nan() || a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

fn same_histogram(want: &FloatHistogram, got: &FloatHistogram) -> bool {
    if want.counter_reset_hint != CounterResetHint::Unknown
        && want.counter_reset_hint != got.counter_reset_hint
    {
        return false;
    }
    let (want, got) = (histogram_math::compact(want), histogram_math::compact(got));
    let all = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| almost_equal(*a, *b));
    want.schema == got.schema
        && almost_equal(want.count, got.count)
        && almost_equal(want.sum, got.sum)
        && almost_equal(want.zero_count, got.zero_count)
        && want.zero_threshold == got.zero_threshold
        && want.positive_spans == got.positive_spans
        && want.negative_spans == got.negative_spans
        && all(&want.positive_buckets, &got.positive_buckets)
        && all(&want.negative_buckets, &got.negative_buckets)
        && all(&want.custom_values, &got.custom_values)
}

fn point_text(point: Option<&Point>) -> String {
    match point {
        None | Some(Point::None) => "_".to_owned(),
        Some(Point::Float(value)) => value.to_string(),
        Some(Point::Histogram(histogram)) => histogram_text(histogram),
    }
}

fn value_text(value: &SampleValue) -> String {
    match value {
        SampleValue::Float(value) => value.to_string(),
        SampleValue::Histogram(histogram) => histogram_text(histogram),
    }
}

fn histogram_text(histogram: &FloatHistogram) -> String {
    let (text, hint) = (histogram_math::to_text(histogram), histogram.counter_reset_hint);
    format!("{text} (schema {}, bounds {:?}, {hint:?})", histogram.schema, histogram.custom_values)
}

fn series_text(series: &MatrixSeries) -> String {
    let mut text = series.labels.to_string();
    for (timestamp_ms, value) in &series.floats {
        let _ = write!(text, " {value}@{timestamp_ms}");
    }
    for (timestamp_ms, histogram) in &series.histograms {
        let _ = write!(text, " {}@{timestamp_ms}", histogram_text(histogram));
    }
    text
}
