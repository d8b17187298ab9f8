//! Prometheus text 0.0.4 (and 1.0.0, which adds quoted names; every parser takes them).
//!
//! Source: Prometheus' exposition formats page, and the behaviour of its `promlex`.

use std::borrow::Cow;

use model::MetricType;

use super::cursor::{Allow, Cursor, Fault, unescape, unescape_with};
use super::{Entry, Series, SeriesId};

/// Raw line breaks and NUL bytes may stand in label values.
const LABEL_VALUE: Allow = Allow { newline: true, nul: true };
const NAME: Allow = Allow { newline: true, nul: false };

pub(super) fn next_entry<'a>(
    cursor: &mut Cursor<'a>,
    metric_type: &mut MetricType,
) -> Result<Option<Entry<'a>>, Fault> {
    loop {
        cursor.skip_blanks();
        if cursor.is_at_end() {
            return Ok(None);
        }
        cursor.entry_start = cursor.at;
        match cursor.peek() {
            b'\n' => cursor.at += 1,
            b'#' => return comment(cursor, metric_type).map(Some),
            _ => return series(cursor, *metric_type).map(|series| Some(Entry::Series(series))),
        }
    }
}

fn comment<'a>(cursor: &mut Cursor<'a>, metric_type: &mut MetricType) -> Result<Entry<'a>, Fault> {
    let start = cursor.at;
    cursor.at += 1;
    if matches!(cursor.peek(), b' ' | b'\t') {
        cursor.skip_blanks();
        let word_end = cursor.at + 4;
        let has_blank = matches!(cursor.input.get(word_end), Some(b' ' | b'\t'));
        if has_blank && cursor.take_text(b"HELP") {
            return help(cursor);
        }
        if has_blank && cursor.take_text(b"TYPE") {
            return type_line(cursor, metric_type);
        }
    }
    cursor.take_line();
    let comment = &cursor.input[start..cursor.at];
    cursor.take_newline();
    Ok(Entry::Comment(comment))
}

fn family_name<'a>(cursor: &mut Cursor<'a>, after: &'static str) -> Result<Cow<'a, str>, Fault> {
    cursor.skip_blanks();
    if cursor.peek() == b'"' {
        return cursor.take_quoted("metric name", NAME).map(unescape);
    }
    let start = cursor.at;
    if cursor.take_metric_name().is_empty() {
        return Err(cursor.fault(format!("expected a metric name after {after}, got {}", cursor.found())));
    }
    cursor.utf8(start, cursor.at, "metric name").map(Cow::Borrowed)
}

/// The rest of the line without the one separator in front; empty if there are only blanks.
fn rest_of_line<'a>(cursor: &mut Cursor<'a>) -> &'a [u8] {
    let rest = cursor.take_line();
    cursor.take_newline();
    if rest.iter().all(|byte| matches!(byte, b' ' | b'\t')) { &[] } else { &rest[1..] }
}

fn help<'a>(cursor: &mut Cursor<'a>) -> Result<Entry<'a>, Fault> {
    let name = family_name(cursor, "HELP")?;
    let text_at = cursor.at;
    let text = rest_of_line(cursor);
    let text = std::str::from_utf8(text).map_err(|error| {
        cursor.fault_at(text_at + 1 + error.valid_up_to(), "the help text is not valid UTF-8")
    })?;
    Ok(Entry::Help { name, text: unescape_with(text, false) })
}

fn type_line<'a>(cursor: &mut Cursor<'a>, metric_type: &mut MetricType) -> Result<Entry<'a>, Fault> {
    let name = family_name(cursor, "TYPE")?;
    let name_end = cursor.at;
    let word = rest_of_line(cursor);
    let word_at = name_end + usize::from(!word.is_empty());
    *metric_type = match word {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"summary" => MetricType::Summary,
        b"untyped" => MetricType::Unknown,
        other => {
            let shown = String::from_utf8_lossy(&other[..other.len().min(40)]);
            let message =
                format!("invalid metric type {shown:?}: use counter, gauge, histogram, summary or untyped");
            return Err(cursor.fault_at(word_at, message));
        }
    };
    Ok(Entry::Type { name, metric_type: *metric_type })
}

fn series<'a>(cursor: &mut Cursor<'a>, metric_type: MetricType) -> Result<Series<'a>, Fault> {
    let start = cursor.at;
    let has_name = !cursor.take_metric_name().is_empty();
    if !has_name && cursor.peek() != b'{' {
        return Err(cursor.fault(format!("expected a metric name or a comment, got {}", cursor.found())));
    }
    let mut end = cursor.at;
    cursor.skip_blanks();
    if cursor.take(b'{') {
        labels(cursor, has_name)?;
        end = cursor.at;
    }
    let raw = cursor.utf8(start, end, "the series")?;
    cursor.skip_blanks();
    let value = cursor.take_while(|byte| !matches!(byte, b'{' | b' ' | b'\t' | b'\n' | 0));
    if value.is_empty() {
        return Err(cursor.fault(format!("expected a value after the metric, got {}", cursor.found())));
    }
    let value = cursor.float(value, "the value")?;
    cursor.skip_blanks();
    let timestamp = cursor.take_while(|byte| byte.is_ascii_digit());
    let mut timestamp_ms = None;
    if !timestamp.is_empty() {
        timestamp_ms = Some(whole(cursor, timestamp)?);
        cursor.skip_blanks();
    }
    if !cursor.take_newline() {
        let wanted =
            if timestamp_ms.is_some() { "the end of the line" } else { "a timestamp or the end of the line" };
        return Err(cursor.fault(format!("expected {wanted}, got {}", cursor.found())));
    }
    Ok(Series { id: SeriesId::text(raw), value, timestamp_ms, exemplar: None, metric_type })
}

fn whole(cursor: &Cursor<'_>, digits: &[u8]) -> Result<i64, Fault> {
    let mut whole: i64 = 0;
    for digit in digits {
        let next = whole.checked_mul(10).and_then(|tens| tens.checked_add(i64::from(digit - b'0')));
        whole =
            next.ok_or_else(|| cursor.fault_at(cursor.at - digits.len(), "the timestamp is out of range"))?;
    }
    Ok(whole)
}

/// What stands between braces, and the closing one. Commas between labels may be missing; Prometheus takes that.
fn labels(cursor: &mut Cursor<'_>, mut has_name: bool) -> Result<(), Fault> {
    cursor.skip_blanks();
    while !cursor.take(b'}') {
        let name_at = cursor.at;
        let is_quoted = cursor.peek() == b'"';
        if is_quoted {
            cursor.take_quoted("name", NAME)?;
        } else if cursor.take_label_name().is_empty() {
            return Err(cursor.fault(format!("expected a label name, got {}", cursor.found())));
        }
        cursor.skip_blanks();
        if is_quoted && matches!(cursor.peek(), b',' | b'}') {
            if has_name {
                return Err(cursor.fault_at(name_at, "the metric has a second name"));
            }
            has_name = true;
            if cursor.take(b',') {
                cursor.skip_blanks();
            }
            continue;
        }
        if !cursor.take(b'=') {
            return Err(cursor.fault(format!("expected '=' after the label name, got {}", cursor.found())));
        }
        cursor.skip_blanks();
        if cursor.peek() != b'"' {
            return Err(
                cursor.fault(format!("expected a label value in double quotes, got {}", cursor.found()))
            );
        }
        cursor.take_quoted("label value", LABEL_VALUE)?;
        cursor.skip_blanks();
        if cursor.take(b',') {
            cursor.skip_blanks();
        }
    }
    if !has_name {
        return Err(cursor.fault_at(cursor.entry_start, "the metric has no name"));
    }
    Ok(())
}
