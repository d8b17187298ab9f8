//! OpenMetrics 1.0 text: one space between tokens, no blank lines, no free comments, `# EOF` at the end.
//!
//! Source: the OpenMetrics 1.0 specification, and the behaviour of Prometheus' `openmetricslex`, which is laxer
//! than the specification (it does not require that families stay together, or that counters end in `_total`).

use std::borrow::Cow;

use model::MetricType;

use super::cursor::{Allow, Cursor, Fault, unescape};
use super::{Entry, RawExemplar, Series, SeriesId};

const NAME: Allow = Allow { newline: true, nul: false };
const LABEL_VALUE: Allow = Allow { newline: false, nul: true };
const EXEMPLAR_TEXT: Allow = Allow { newline: false, nul: false };

pub(super) fn next_entry<'a>(
    cursor: &mut Cursor<'a>,
    metric_type: &mut MetricType,
) -> Result<Option<Entry<'a>>, Fault> {
    cursor.entry_start = cursor.at;
    if cursor.is_at_end() {
        return Err(no_eof(cursor));
    }
    if cursor.peek() != b'#' {
        return series(cursor, *metric_type).map(|series| Some(Entry::Series(series)));
    }
    cursor.at += 1;
    if !cursor.take(b' ') {
        return Err(cursor.fault(format!("expected one space after '#', got {}", cursor.found())));
    }
    if cursor.take_text(b"EOF") {
        cursor.take(b'\n');
        if cursor.is_at_end() {
            return Ok(None);
        }
        return Err(cursor.fault("unexpected text after # EOF"));
    }
    if cursor.take_text(b"HELP ") {
        return help(cursor).map(Some);
    }
    if cursor.take_text(b"TYPE ") {
        return type_line(cursor, metric_type).map(Some);
    }
    if cursor.take_text(b"UNIT ") {
        return unit(cursor).map(Some);
    }
    Err(cursor.fault("expected HELP, TYPE, UNIT or EOF after '# '; OpenMetrics has no other comments"))
}

fn no_eof(cursor: &Cursor<'_>) -> Fault {
    cursor.fault("the text does not end with # EOF; it may have been cut off")
}

fn family_name<'a>(cursor: &mut Cursor<'a>, after: &'static str) -> Result<Cow<'a, str>, Fault> {
    if cursor.peek() == b'"' {
        return cursor.take_quoted("metric name", NAME).map(unescape);
    }
    let start = cursor.at;
    if cursor.take_metric_name().is_empty() {
        return Err(cursor.fault(format!("expected a metric name after {after}, got {}", cursor.found())));
    }
    cursor.utf8(start, cursor.at, "metric name").map(Cow::Borrowed)
}

/// One space, and the rest of the line; returns its offset too.
fn rest_of_line<'a>(cursor: &mut Cursor<'a>, after: &'static str) -> Result<(usize, &'a [u8]), Fault> {
    if !cursor.take(b' ') {
        return Err(cursor.fault(format!("expected a space and text in {after}, got {}", cursor.found())));
    }
    let at = cursor.at;
    let rest = cursor.take_line();
    if !cursor.take(b'\n') {
        return Err(no_eof(cursor));
    }
    Ok((at, rest))
}

fn help<'a>(cursor: &mut Cursor<'a>) -> Result<Entry<'a>, Fault> {
    let name = family_name(cursor, "HELP")?;
    let (at, text) = rest_of_line(cursor, "HELP")?;
    let text = cursor.utf8(at, at + text.len(), "the help text")?;
    Ok(Entry::Help { name, text: unescape(text) })
}

fn type_line<'a>(cursor: &mut Cursor<'a>, metric_type: &mut MetricType) -> Result<Entry<'a>, Fault> {
    let name = family_name(cursor, "TYPE")?;
    let (at, word) = rest_of_line(cursor, "TYPE")?;
    *metric_type = match word {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"gaugehistogram" => MetricType::GaugeHistogram,
        b"summary" => MetricType::Summary,
        b"info" => MetricType::Info,
        b"stateset" => MetricType::StateSet,
        b"unknown" => MetricType::Unknown,
        other => {
            let shown = String::from_utf8_lossy(&other[..other.len().min(40)]);
            let message = format!(
                "invalid metric type {shown:?}: use counter, gauge, histogram, gaugehistogram, summary, info, \
                 stateset or unknown"
            );
            return Err(cursor.fault_at(at, message));
        }
    };
    Ok(Entry::Type { name, metric_type: *metric_type })
}

fn unit<'a>(cursor: &mut Cursor<'a>) -> Result<Entry<'a>, Fault> {
    let name = family_name(cursor, "UNIT")?;
    let (at, unit) = rest_of_line(cursor, "UNIT")?;
    let unit = cursor.utf8(at, at + unit.len(), "the unit")?;
    let is_suffix = unit.is_empty() || name.strip_suffix(unit).is_some_and(|stem| stem.ends_with('_'));
    if !is_suffix {
        return Err(cursor.fault_at(at, format!("unit {unit:?} is not a suffix of metric {name:?}")));
    }
    Ok(Entry::Unit { name, unit })
}

fn series<'a>(cursor: &mut Cursor<'a>, metric_type: MetricType) -> Result<Series<'a>, Fault> {
    let start = cursor.at;
    let has_name = !cursor.take_metric_name().is_empty();
    if !has_name && cursor.peek() != b'{' {
        return Err(cursor.fault(format!("expected a metric name or '# ', got {}", cursor.found())));
    }
    if cursor.take(b'{') {
        labels(cursor, has_name)?;
    }
    let raw = cursor.utf8(start, cursor.at, "the series")?;
    let value = token(cursor, "a value after the metric")?;
    let value = cursor.float(value, "the value")?;
    let mut timestamp_ms = None;
    let mut has_exemplar = cursor.take_text(b" # {");
    if !has_exemplar && cursor.peek() == b' ' {
        let timestamp = token(cursor, "a timestamp or an exemplar")?;
        timestamp_ms = Some(seconds(cursor, timestamp, "the timestamp")?);
        has_exemplar = cursor.take_text(b" # {");
    }
    let exemplar = if has_exemplar { Some(exemplar_after_brace(cursor)?) } else { None };
    end_of_line(cursor)?;
    Ok(Series { id: SeriesId::text(raw), value, timestamp_ms, exemplar, metric_type })
}

fn end_of_line(cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    if cursor.take(b'\n') {
        Ok(())
    } else if cursor.is_at_end() {
        Err(no_eof(cursor))
    } else {
        Err(cursor.fault(format!("expected the end of the line, got {}", cursor.found())))
    }
}

/// One space, and everything up to the next space or newline.
fn token<'a>(cursor: &mut Cursor<'a>, what: &'static str) -> Result<&'a [u8], Fault> {
    if !cursor.take(b' ') {
        return Err(cursor.fault(format!("expected one space and {what}, got {}", cursor.found())));
    }
    let token = cursor.take_while(|byte| !matches!(byte, b' ' | b'\n' | 0));
    if token.is_empty() {
        return Err(cursor.fault(format!("expected {what}, got {}", cursor.found())));
    }
    Ok(token)
}

/// Seconds as a float, made milliseconds by cutting off what is finer.
fn seconds(cursor: &Cursor<'_>, text: &[u8], what: &'static str) -> Result<i64, Fault> {
    let ms = cursor.float(text, what)? * 1000.0;
    // 2^63 is a float, i64::MAX is not.
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&ms) {
        return Ok(ms as i64);
    }
    let shown = String::from_utf8_lossy(text);
    Err(cursor.fault_at(cursor.at - text.len(), format!("{what} {shown:?} is out of range")))
}

/// What stands between braces, and the closing one.
fn labels(cursor: &mut Cursor<'_>, mut has_name: bool) -> Result<(), Fault> {
    while !cursor.take(b'}') {
        let name_at = cursor.at;
        let is_quoted = cursor.peek() == b'"';
        if is_quoted {
            cursor.take_quoted("name", NAME)?;
        } else if cursor.take_label_name().is_empty() {
            return Err(cursor.fault(format!("expected a label name, got {}", cursor.found())));
        }
        if is_quoted && matches!(cursor.peek(), b',' | b'}') {
            if has_name {
                return Err(cursor.fault_at(name_at, "the metric has a second name"));
            }
            has_name = true;
            cursor.take(b',');
            continue;
        }
        label_value(cursor, LABEL_VALUE)?;
    }
    if !has_name {
        return Err(cursor.fault_at(cursor.entry_start, "the metric has no name"));
    }
    Ok(())
}

/// `="…"`, and a comma unless the closing brace is next.
fn label_value(cursor: &mut Cursor<'_>, allow: Allow) -> Result<(), Fault> {
    if !cursor.take(b'=') {
        return Err(cursor.fault(format!("expected '=' after the label name, got {}", cursor.found())));
    }
    if cursor.peek() != b'"' {
        return Err(cursor.fault(format!("expected a label value in double quotes, got {}", cursor.found())));
    }
    cursor.take_quoted("label value", allow)?;
    if !cursor.take(b',') && cursor.peek() != b'}' {
        return Err(
            cursor.fault(format!("expected ',' or '}}' after the label value, got {}", cursor.found()))
        );
    }
    Ok(())
}

fn exemplar_after_brace<'a>(cursor: &mut Cursor<'a>) -> Result<RawExemplar<'a>, Fault> {
    let start = cursor.at;
    while !cursor.take(b'}') {
        if cursor.peek() == b'"' {
            cursor.take_quoted("label name", EXEMPLAR_TEXT)?;
        } else if cursor.take_label_name().is_empty() {
            return Err(cursor.fault(format!("expected an exemplar's label name, got {}", cursor.found())));
        }
        label_value(cursor, EXEMPLAR_TEXT)?;
    }
    let raw_labels = cursor.utf8(start, cursor.at - 1, "the exemplar's labels")?;
    let value = token(cursor, "a value after the exemplar's labels")?;
    let value = cursor.float(value, "the exemplar's value")?;
    let mut timestamp_ms = None;
    if cursor.peek() == b' ' {
        let timestamp = token(cursor, "a timestamp or the end of the line")?;
        timestamp_ms = Some(seconds(cursor, timestamp, "the exemplar's timestamp")?);
    }
    Ok(RawExemplar::text(raw_labels, value, timestamp_ms))
}
