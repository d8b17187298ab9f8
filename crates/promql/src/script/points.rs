//! The notation of series: labels, then points.
//!
//! A point is a number, `_` for none, `stale`, or a native histogram in double braces. `a+bxn` is `a` and n more,
//! each `b` above the one before; `axn` is `a` n+1 times; `_xn` is n times none.

use model::{BucketSpan, CounterResetHint, FloatHistogram, Labels, LabelsBuilder, METRIC_NAME, STALE_NAN};

use crate::histogram_math;

/// What stands at one place of a series.
#[derive(Debug, Clone)]
pub(super) enum Point {
    None,
    Float(f64),
    Histogram(Box<FloatHistogram>),
}

/// A series with its points.
#[derive(Debug, Clone)]
pub(super) struct SeriesPoints {
    pub(super) labels: Labels,
    pub(super) points: Vec<Point>,
    /// The points are start timestamps of the points of the series of the same labels.
    pub(super) start_timestamps: bool,
}

/// Marks a line whose points are start timestamps.
const START_TIMESTAMPS: &str = "@st";

/// The most points one line may stand for.
const POINTS_MAX: usize = 1_000_000;

pub(super) fn parse_series(line: &str) -> Result<SeriesPoints, String> {
    let end = labels_end(line);
    let (head, rest) = line.split_at(end);
    // The mark of start timestamps stands after the name or after the labels.
    let (head, rest, start_timestamps) =
        match (head.find(START_TIMESTAMPS), rest.strip_prefix(START_TIMESTAMPS)) {
            (_, Some(rest)) => (head.to_owned(), rest, true),
            (Some(at), None) if !head[..at].contains('{') => {
                (format!("{}{}", &head[..at], &head[at + START_TIMESTAMPS.len()..]), rest, true)
            }
            _ => (head.to_owned(), rest, false),
        };
    let labels = parse_labels(&head)?;
    Ok(SeriesPoints { labels, points: parse_points(rest, start_timestamps)?, start_timestamps })
}

/// Where the labels of a line end: at the closing brace, or at the first space if there is no brace before it.
fn labels_end(line: &str) -> usize {
    let mut quote: Option<char> = None;
    let mut in_braces = false;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(q) if c == '\\' && q != '`' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '{' => in_braces = true,
            None if c == '}' => return at + 1,
            None if c.is_whitespace() && !in_braces && !line[at..].trim_start().starts_with('{') => {
                return at;
            }
            // A space between name and braces; two braces begin a histogram.
            None if c.is_whitespace() && !in_braces && line[at..].trim_start().starts_with("{{") => {
                return at;
            }
            None => {}
        }
    }
    line.len()
}

pub(super) fn parse_labels(text: &str) -> Result<Labels, String> {
    let selector = crate::parser::parse_selector(text).map_err(|errors| {
        errors.first().map_or_else(|| format!("not a series: {text}"), ToString::to_string)
    })?;
    let mut builder = LabelsBuilder::new();
    for matcher in &selector.matchers {
        if matcher.op() != model::MatchOp::Equal {
            return Err(format!("a series has no {matcher}"));
        }
        builder.set(matcher.name(), matcher.value());
    }
    if let Some(name) = &selector.name {
        builder.set(METRIC_NAME, name);
    }
    Ok(builder.build())
}

fn parse_points(text: &str, start_timestamps: bool) -> Result<Vec<Point>, String> {
    let mut points = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        rest = if rest.starts_with("{{") {
            parse_histograms(rest, &mut points)?
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            if start_timestamps {
                parse_offsets(&rest[..end], &mut points)?;
            } else {
                parse_floats(&rest[..end], &mut points)?;
            }
            rest[end..].trim_start()
        };
        if points.len() > POINTS_MAX {
            return Err(format!("more than {POINTS_MAX} points"));
        }
    }
    Ok(points)
}

/// A number, in decimal or as `Inf` and `NaN` in any case, with or without a sign.
pub(super) fn parse_number(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match unsigned.to_ascii_lowercase().as_str() {
        "inf" => f64::INFINITY,
        "nan" => model::sample::NORMAL_NAN,
        _ if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') => unsigned.parse().ok()?,
        _ => return None,
    };
    Some(if negative { -value } else { value })
}

/// Splits `…xN` into what is repeated and how often.
fn split_times(token: &str) -> (&str, Option<usize>) {
    if let Some((head, times)) = token.rsplit_once('x')
        && let Ok(times) = times.parse()
        && !head.is_empty()
    {
        return (head, Some(times));
    }
    (token, None)
}

fn parse_floats(token: &str, points: &mut Vec<Point>) -> Result<(), String> {
    let (head, times) = split_times(token);
    if times.is_some_and(|times| times > POINTS_MAX) {
        return Err(format!("more than {POINTS_MAX} points in {token:?}"));
    }
    let bad = || format!("not a point: {token:?}");
    if head == "_" {
        points.extend((0..times.unwrap_or(1)).map(|_| Point::None));
        return Ok(());
    }
    if head == "stale" {
        points.extend((0..=times.unwrap_or(0)).map(|_| Point::Float(STALE_NAN)));
        return Ok(());
    }
    let (mut value, step) = match parse_number(head) {
        Some(value) => (value, 0.0),
        None => {
            let at = step_position(head).ok_or_else(bad)?;
            let (start, step) = head.split_at(at);
            (parse_number(start).ok_or_else(bad)?, parse_number(step).ok_or_else(bad)?)
        }
    };
    for _ in 0..=times.unwrap_or(0) {
        points.push(Point::Float(value));
        value += step;
    }
    Ok(())
}

/// `-30s`, `-30s-1mx2`, `_`: milliseconds from the time of a point to its start timestamp.
fn parse_offsets(token: &str, points: &mut Vec<Point>) -> Result<(), String> {
    let (head, times) = split_times(token);
    let bad = || format!("not an offset: {token:?}");
    if head == "_" {
        return parse_floats(token, points);
    }
    let (start, step) = match step_position(head) {
        Some(at) => head.split_at(at),
        None => (head, "0"),
    };
    let mut offset = offset_ms(start).ok_or_else(bad)?;
    let step = offset_ms(step).ok_or_else(bad)?;
    let times = times.unwrap_or(0);
    if times > POINTS_MAX {
        return Err(format!("more than {POINTS_MAX} points in {token:?}"));
    }
    for _ in 0..=times {
        points.push(Point::Float(offset as f64));
        offset += step;
    }
    Ok(())
}

fn offset_ms(text: &str) -> Option<i64> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned.trim_end_matches(|c: char| c.is_ascii_alphabetic()) == "0" {
        return Some(0);
    }
    model::time::parse_duration_ms(unsigned).ok().map(|ms| sign * ms)
}

/// Where the sign of the step stands in `a+b`.
fn step_position(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (1..bytes.len()).find(|at| matches!(bytes[*at], b'+' | b'-') && !matches!(bytes[at - 1], b'e' | b'E'))
}

fn parse_histograms<'a>(text: &'a str, points: &mut Vec<Point>) -> Result<&'a str, String> {
    let (first, mut rest) = take_histogram(text)?;
    let mut step = None;
    for (sign, factor) in [('+', 1.0), ('-', -1.0)] {
        if let Some(after) = rest.strip_prefix(sign) {
            let (parsed, after) = take_histogram(after)?;
            step = Some((parsed, factor));
            rest = after;
            break;
        }
    }
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let times = match rest[..end].strip_prefix('x') {
        Some(times) => times.parse::<usize>().map_err(|_| format!("not a number of times: {times:?}"))?,
        None if end == 0 => 0,
        None => return Err(format!("unexpected {:?} after a histogram", &rest[..end])),
    };
    if times > POINTS_MAX {
        return Err(format!("more than {POINTS_MAX} points"));
    }
    let mut histogram = first;
    for at in 0..=times {
        points.push(Point::Histogram(Box::new(histogram.clone())));
        if let Some((step, factor)) = &step
            && at < times
        {
            let hint = histogram.counter_reset_hint;
            let sum = if *factor > 0.0 {
                histogram_math::add(&histogram, step)
            } else {
                histogram_math::subtract(&histogram, step)
            };
            histogram =
                sum.map_err(|_| "histograms of different kinds cannot be added".to_owned())?.histogram;
            histogram.counter_reset_hint = hint;
        }
    }
    Ok(rest[end..].trim_start())
}

pub(super) fn take_histogram(text: &str) -> Result<(FloatHistogram, &str), String> {
    let inner = text.strip_prefix("{{").ok_or_else(|| format!("expected {{{{, got {text:?}"))?;
    let (inner, rest) = inner.split_once("}}").ok_or_else(|| "a histogram without }}".to_owned())?;
    Ok((parse_histogram(inner)?, rest))
}

fn parse_histogram(text: &str) -> Result<FloatHistogram, String> {
    let mut histogram = FloatHistogram::default();
    let (mut offset, mut negative_offset) = (0, 0);
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':').ok_or_else(|| format!("expected key:value, got {rest:?}"))?;
        let (value, after) = if let Some(list) = after.strip_prefix('[') {
            list.split_once(']').ok_or_else(|| "a list without ]".to_owned())?
        } else {
            after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()))
        };
        let number = || parse_number(value).ok_or_else(|| format!("not a number: {value:?}"));
        let numbers = || -> Result<Vec<f64>, String> {
            let parse = |word: &str| parse_number(word).ok_or_else(|| format!("not a number: {word:?}"));
            value.split_whitespace().map(parse).collect()
        };
        match key.trim() {
            "schema" => histogram.schema = number()? as i32,
            "sum" => histogram.sum = number()?,
            "count" => histogram.count = number()?,
            "z_bucket" => histogram.zero_count = number()?,
            "z_bucket_w" => histogram.zero_threshold = number()?,
            "buckets" => histogram.positive_buckets = numbers()?,
            "n_buckets" => histogram.negative_buckets = numbers()?,
            "offset" => offset = number()? as i32,
            "n_offset" => negative_offset = number()? as i32,
            "custom_values" => histogram.custom_values = numbers()?,
            "counter_reset_hint" => histogram.counter_reset_hint = parse_hint(value)?,
            other => return Err(format!("unknown part {other:?} of a histogram")),
        }
        rest = after.trim_start();
    }
    histogram.positive_spans = spans(offset, &histogram.positive_buckets);
    histogram.negative_spans = spans(negative_offset, &histogram.negative_buckets);
    Ok(histogram)
}

fn spans(offset: i32, buckets: &[f64]) -> Vec<BucketSpan> {
    if buckets.is_empty() {
        return Vec::new();
    }
    vec![BucketSpan { offset, length: u32::try_from(buckets.len()).unwrap_or(u32::MAX) }]
}

fn parse_hint(text: &str) -> Result<CounterResetHint, String> {
    match text {
        "unknown" => Ok(CounterResetHint::Unknown),
        "reset" => Ok(CounterResetHint::Reset),
        "not_reset" => Ok(CounterResetHint::NotReset),
        "gauge" => Ok(CounterResetHint::Gauge),
        _ => Err(format!("unknown counter_reset_hint {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, labels: &[(&str, &str)], want: &[Option<f64>]) {
        let series = parse_series(line).expect("valid");
        assert_eq!(series.labels, Labels::from_pairs(labels.iter().copied()));
        let got: Vec<Option<f64>> = series
            .points
            .iter()
            .map(|point| match point {
                Point::None => None,
                Point::Float(value) => Some(*value),
                Point::Histogram(histogram) => Some(histogram.count),
            })
            .collect();
        assert_eq!(got, want);
    }

    #[test]
    fn series_lines_are_read() {
        check("m 1 _ 3", &[("__name__", "m")], &[Some(1.0), None, Some(3.0)]);
        check(r#"m{a="x y}"} 1+2x3"#, &[("__name__", "m"), ("a", "x y}")], &[1.0, 3.0, 5.0, 7.0].map(Some));
        check(
            r#"{a="b"} 4x2 _x2 -1e2"#,
            &[("a", "b")],
            &[Some(4.0), Some(4.0), Some(4.0), None, None, Some(-100.0)],
        );
        check("{} 1-2x2", &[], &[1.0, -1.0, -3.0].map(Some));
        check("m {{sum:1 count:2}}+{{count:3}}x2", &[("__name__", "m")], &[2.0, 5.0, 8.0].map(Some));
        check("m {{count:1 buckets:[1 0]}} 5", &[("__name__", "m")], &[1.0, 5.0].map(Some));
        check("{} +Inf", &[], &[Some(f64::INFINITY)]);
        let labels = [("__name__", "m"), ("a", "b")];
        check(r#"m{a="b"}@st _ -30s-1mx2"#, &labels, &[None, Some(-30e3), Some(-90e3), Some(-150e3)]);
        check(
            "m@st -1m +1ms 0-1sx1 -0msx1",
            &[("__name__", "m")],
            &[-60e3, 1.0, 0.0, -1e3, 0.0, 0.0].map(Some),
        );
    }

    #[test]
    fn what_is_no_series_is_refused() {
        for line in ["m 1 x", "m{a=~\"b\"} 1", "m {{count:}}", "m {{count:1", "m 1x99999999999", "m 1+"] {
            assert!(parse_series(line).is_err(), "{line:?}");
        }
    }
}
