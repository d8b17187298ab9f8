//! Taking the text of a series apart into labels. Runs once for a new series, never for a known one.

use std::borrow::Cow;

use model::number::{FloatFormat, format_float_as};
use model::{LabelsBuilder, METRIC_NAME, MetricType};

use super::cursor::{Allow, Cursor, unescape};

/// Labels that cannot be a series'.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    /// A name occurs twice; `__name__` beside the metric's name counts.
    #[error("label name {0:?} is not unique")]
    Duplicate(String),
    /// `{""}`.
    #[error("the metric's name is empty")]
    EmptyMetricName,
    /// `{""="x"}`.
    #[error("a label's name is empty")]
    EmptyLabelName,
    /// The text is not what the parser gave out.
    #[error("{0:?} is not the text of a series")]
    Malformed(String),
}

const ANY: Allow = Allow { newline: true, nul: true };

pub(super) fn pack_series(
    raw: &str,
    metric_type: MetricType,
    builder: &mut LabelsBuilder,
) -> Result<(), LabelsError> {
    builder.clear();
    let mut cursor = Cursor::new(raw.as_bytes());
    let name_len = cursor.take_metric_name().len();
    let mut has_name = name_len > 0;
    if has_name {
        builder.set(METRIC_NAME, &raw[..name_len]);
    }
    cursor.skip_blanks();
    if cursor.take(b'{') {
        pairs(&mut cursor, raw, builder, |builder, name, value| match value {
            Some(value) => add(builder, &name, &canonical(metric_type, &name, value)),
            None => {
                has_name = true;
                if name.is_empty() {
                    Err(LabelsError::EmptyMetricName)
                } else {
                    add(builder, METRIC_NAME, &name)
                }
            }
        })?;
    }
    if has_name { Ok(()) } else { Err(LabelsError::EmptyMetricName) }
}

pub(super) fn pack_exemplar(raw_labels: &str, builder: &mut LabelsBuilder) -> Result<(), LabelsError> {
    builder.clear();
    let mut cursor = Cursor::new(raw_labels.as_bytes());
    pairs(&mut cursor, raw_labels, builder, |builder, name, value| match value {
        Some(value) => add(builder, &name, &value),
        None => Err(LabelsError::Malformed(raw_labels.to_owned())),
    })
}

/// Calls `visit` with each label, or with `None` for a quoted metric name; up to a brace or the end.
fn pairs<'a>(
    cursor: &mut Cursor<'a>,
    raw: &'a str,
    builder: &mut LabelsBuilder,
    mut visit: impl FnMut(&mut LabelsBuilder, Cow<'a, str>, Option<Cow<'a, str>>) -> Result<(), LabelsError>,
) -> Result<(), LabelsError> {
    let malformed = || LabelsError::Malformed(raw.to_owned());
    cursor.skip_blanks();
    while !cursor.is_at_end() && cursor.peek() != b'}' {
        let is_quoted = cursor.peek() == b'"';
        let name = if is_quoted {
            unescape(cursor.take_quoted("name", ANY).map_err(|_| malformed())?)
        } else {
            let start = cursor.at;
            let len = cursor.take_label_name().len();
            if len == 0 {
                return Err(malformed());
            }
            Cow::Borrowed(&raw[start..start + len])
        };
        cursor.skip_blanks();
        if is_quoted && matches!(cursor.peek(), b',' | b'}') {
            visit(builder, name, None)?;
        } else {
            if !cursor.take(b'=') {
                return Err(malformed());
            }
            cursor.skip_blanks();
            if cursor.peek() != b'"' {
                return Err(malformed());
            }
            let value = unescape(cursor.take_quoted("label value", ANY).map_err(|_| malformed())?);
            visit(builder, name, Some(value))?;
            cursor.skip_blanks();
        }
        cursor.take(b',');
        cursor.skip_blanks();
    }
    Ok(())
}

fn add(builder: &mut LabelsBuilder, name: &str, value: &str) -> Result<(), LabelsError> {
    if name.is_empty() {
        return Err(LabelsError::EmptyLabelName);
    }
    if builder.get(name).is_some() {
        return Err(LabelsError::Duplicate(name.to_owned()));
    }
    // An empty value means that the label is absent; the builder leaves it out.
    builder.set(name, value);
    Ok(())
}

/// `le="1"` and `le="1.0"` are the same bucket.
fn canonical<'a>(metric_type: MetricType, name: &str, value: Cow<'a, str>) -> Cow<'a, str> {
    let is_float = match metric_type {
        MetricType::Summary => name == "quantile",
        MetricType::Histogram | MetricType::GaugeHistogram => name == "le",
        _ => false,
    };
    if !is_float {
        return value;
    }
    match model::number::parse_float(value.as_bytes()) {
        Ok(float) => {
            let text = format_float_as(float, FloatFormat::OpenMetrics);
            if text == *value { value } else { Cow::Owned(text) }
        }
        Err(_) => value,
    }
}
