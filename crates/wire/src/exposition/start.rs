//! Start timestamps out of OpenMetrics' `_created` lines.
//!
//! The format puts `x_created` after the lines of `x` that it is about, so the parser looks ahead. What it
//! found is remembered: the buckets of one histogram share a line, and a family without such lines is searched
//! only once.

use model::MetricType;

use super::cursor::Cursor;
use super::openmetrics;
use super::{Entry, Series};

const SUFFIX: &str = "_created";

#[derive(Debug, Clone, Default)]
pub(super) struct StartTimestamps {
    /// Name and labels (see [`write_key`]) of the last `_created` line found; empty if there was none.
    key: String,
    found_ms: i64,
    /// The next `_created` line after any place before this offset is the one found.
    found_until: usize,
    /// There is no `_created` line before this offset.
    none_until: usize,
    scratch: String,
}

/// Whether a series says when another one began.
pub(super) fn is_created(series: &Series<'_>) -> bool {
    has_start(series.metric_type) && metric_name(series.id.as_text()).ends_with(SUFFIX)
}

fn has_start(metric_type: MetricType) -> bool {
    matches!(metric_type, MetricType::Counter | MetricType::Summary | MetricType::Histogram)
}

impl StartTimestamps {
    /// The first `_created` line after the series decides: it is about it, or there is none.
    pub(super) fn of(&mut self, series: &Series<'_>, after: &Cursor<'_>) -> Option<i64> {
        if !has_start(series.metric_type) || after.at < self.none_until {
            return None;
        }
        write_key(series, family_of(series), &mut self.scratch);
        if self.scratch != self.key && after.at >= self.found_until {
            self.search(series.metric_type, *after);
        }
        (self.scratch == self.key).then_some(self.found_ms)
    }

    fn search(&mut self, mut metric_type: MetricType, mut cursor: Cursor<'_>) {
        loop {
            match openmetrics::next_entry(&mut cursor, &mut metric_type) {
                Ok(Some(Entry::Series(series))) if is_created(&series) => {
                    let family = metric_name(series.id.as_text()).strip_suffix(SUFFIX).unwrap_or_default();
                    write_key(&series, family, &mut self.key);
                    self.found_ms = (series.value * 1000.0) as i64;
                    self.found_until = cursor.at;
                    return;
                }
                Ok(Some(Entry::Series(_))) => {}
                _ => {
                    self.none_until = cursor.at;
                    return;
                }
            }
        }
    }
}

/// The name in the text of a series, escapes unresolved.
pub(super) fn metric_name(raw: &str) -> &str {
    if let Some(inside) = raw.strip_prefix('{') {
        let mut cursor = Cursor::new(inside.as_bytes());
        // A quoted string that a comma or brace follows is the name; it may stand behind labels.
        while !cursor.is_at_end() {
            if cursor.take(b'"') {
                cursor.at -= 1;
                let is_value = inside[..cursor.at].trim_end_matches([' ', '\t']).ends_with('=');
                let allow = super::cursor::Allow { newline: true, nul: true };
                let Ok(text) = cursor.take_quoted("name", allow) else { return "" };
                cursor.skip_blanks();
                if !is_value && matches!(cursor.peek(), b',' | b'}') {
                    return text;
                }
            } else {
                cursor.at += 1;
            }
        }
        return "";
    }
    raw[..raw.find('{').unwrap_or(raw.len())].trim_end_matches([' ', '\t'])
}

pub(super) fn family_of<'a>(series: &Series<'a>) -> &'a str {
    let name = metric_name(series.id.as_text());
    let suffixes: &[&str] = match series.metric_type {
        MetricType::Counter => &["_total", SUFFIX],
        MetricType::Summary => &["_count", "_sum", SUFFIX],
        _ => &["_bucket", "_count", "_sum", SUFFIX],
    };
    suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// Family and labels without `le` and `quantile`, in the order they came, as Prometheus compares them.
pub(super) fn write_key(series: &Series<'_>, family: &str, key: &mut String) {
    key.clear();
    key.push_str(family);
    let skipped = match series.metric_type {
        MetricType::Summary => "quantile",
        MetricType::Histogram => "le",
        _ => "",
    };
    let Some((_, labels)) = series.id.as_text().split_once('{') else { return };
    let mut cursor = Cursor::new(labels.as_bytes());
    cursor.skip_blanks();
    while !cursor.is_at_end() && cursor.peek() != b'}' {
        let start = cursor.at;
        let allow = super::cursor::Allow { newline: true, nul: true };
        let name_len = if cursor.peek() == b'"' {
            if cursor.take_quoted("name", allow).is_err() {
                return;
            }
            cursor.at - start
        } else {
            cursor.take_label_name().len()
        };
        let name = &labels[start..start + name_len];
        cursor.skip_blanks();
        if cursor.take(b'=') {
            cursor.skip_blanks();
            if cursor.peek() != b'"' || cursor.take_quoted("label value", allow).is_err() {
                return;
            }
            if name.trim_matches('"') != skipped {
                key.push('\0');
                key.push_str(&labels[start..cursor.at]);
            }
        } else if cursor.at == start {
            return;
        }
        cursor.skip_blanks();
        cursor.take(b',');
        cursor.skip_blanks();
    }
}
