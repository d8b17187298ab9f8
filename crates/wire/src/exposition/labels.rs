//! Taking the text of a series apart into labels. Runs once for a new series, never for a known one.

use std::borrow::Cow;

use model::number::{FloatFormat, format_float_as};
use model::{LabelsBuilder, METRIC_NAME, MetricType};

use super::cursor::{Allow, Cursor, unescape};
use crate::protobuf::ProtobufError;

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
    /// A name or value of a protobuf label.
    #[error("a label's name or value is not valid UTF-8")]
    NotUtf8,
    /// A protobuf label that is none.
    #[error("a label is malformed: {0}")]
    Protobuf(#[from] ProtobufError),
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

/// Makes the labels of a part of a classic histogram those of the whole.
pub(super) fn strip_part(builder: &mut LabelsBuilder) {
    builder.set("le", "");
    let Some(name) = builder.get(METRIC_NAME) else { return };
    let suffix = ["_bucket", "_count", "_sum"].into_iter().find_map(|suffix| name.strip_suffix(suffix));
    if let Some(family) = suffix.map(str::to_owned) {
        builder.set(METRIC_NAME, &family);
    }
}

/// The value of a label in the text of a series.
pub(super) fn value_of<'a>(raw: &'a str, wanted: &str) -> Option<Cow<'a, str>> {
    let (_, inside) = raw.split_once('{')?;
    let mut cursor = Cursor::new(inside.as_bytes());
    cursor.skip_blanks();
    while !cursor.is_at_end() && cursor.peek() != b'}' {
        let name = if cursor.peek() == b'"' {
            unescape(cursor.take_quoted("name", ANY).ok()?)
        } else {
            Cow::Borrowed(std::str::from_utf8(cursor.take_label_name()).ok()?)
        };
        cursor.skip_blanks();
        if cursor.take(b'=') {
            cursor.skip_blanks();
            if cursor.peek() != b'"' {
                return None;
            }
            let value = cursor.take_quoted("label value", ANY).ok()?;
            if name == wanted {
                return Some(unescape(value));
            }
            cursor.skip_blanks();
        } else if name.is_empty() {
            return None;
        }
        cursor.take(b',');
        cursor.skip_blanks();
    }
    None
}

/// Whether the text of a series has `name=""`.
pub(super) fn has_empty(raw: &str, name: &str) -> bool {
    raw.contains("\"\"") && value_of(raw, name).is_some_and(|value| value.is_empty())
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

pub(super) fn add(builder: &mut LabelsBuilder, name: &str, value: &str) -> Result<(), LabelsError> {
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
