//! What a series is called in an answer.

use std::fmt;

use model::{LabelsBuilder, MetricType};

use super::labels::{self, LabelsError};
use super::protobuf::{self, Part};

/// Tells a histogram made of text series from the first of them.
const TEXT_HISTOGRAM_TAG: u64 = 0x6b79_6d6f_6e68_6362;

/// A series' name and labels as they came. The same bytes under the same tag from the same target are the same
/// series, so both together are the key of a cache; labels are taken apart only for what is not in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeriesId<'a>(Form<'a>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Form<'a> {
    /// From the first byte of the name to the closing brace.
    Text(&'a str),
    /// A histogram that was put together of several series; this is the text of the first.
    TextHistogram(&'a str),
    Protobuf(protobuf::Name<'a>),
}

impl<'a> SeriesId<'a> {
    pub(super) fn text(raw: &'a str) -> Self {
        Self(Form::Text(raw))
    }

    /// The histogram that a series of this text is part of.
    pub(super) fn text_histogram(raw: &'a str) -> Self {
        Self(Form::TextHistogram(raw))
    }

    pub(super) fn protobuf(name: protobuf::Name<'a>) -> Self {
        Self(Form::Protobuf(name))
    }

    /// The bytes as they came.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        match self.0 {
            Form::Text(raw) | Form::TextHistogram(raw) => raw.as_bytes(),
            Form::Protobuf(name) => name.labels,
        }
    }

    /// Tells apart series of the same bytes. 0 for text, whose bytes say everything.
    #[inline]
    pub fn tag(&self) -> u64 {
        match self.0 {
            Form::Text(_) => 0,
            Form::TextHistogram(_) => TEXT_HISTOGRAM_TAG,
            Form::Protobuf(name) => name.tag(),
        }
    }

    /// The text of a series; empty for what came in protobuf.
    pub fn as_text(&self) -> &'a str {
        match self.0 {
            Form::Text(raw) | Form::TextHistogram(raw) => raw,
            Form::Protobuf(_) => "",
        }
    }

    /// There are at most so many labels; cheap to say.
    pub fn label_count_max(&self) -> usize {
        match self.0 {
            Form::Text(raw) | Form::TextHistogram(raw) => {
                1 + raw.bytes().filter(|byte| *byte == b'"').count() / 2
            }
            // A label has at least a tag and a length.
            Form::Protobuf(name) => 2 + name.labels.len() / 2,
        }
    }

    /// Whether there is a label of this name with an empty value, which packed labels cannot say.
    pub fn has_empty(&self, name: &str) -> bool {
        match self.0 {
            Form::Text(raw) | Form::TextHistogram(raw) => labels::has_empty(raw, name),
            Form::Protobuf(id) => id.has_empty(name),
        }
    }

    /// Replaces the content of `builder` by the labels, the metric's name among them as `__name__`. Escapes are
    /// resolved; `le` of histograms and `quantile` of summaries get OpenMetrics' canonical float (`1` becomes
    /// `1.0`), as in Prometheus 3.
    ///
    /// # Errors
    /// If a label name occurs twice, or the metric's name is empty.
    pub(super) fn pack(
        &self,
        metric_type: MetricType,
        builder: &mut LabelsBuilder,
    ) -> Result<(), LabelsError> {
        match self.0 {
            Form::Text(raw) => labels::pack_series(raw, metric_type, builder),
            Form::TextHistogram(raw) => {
                labels::pack_series(raw, metric_type, builder)?;
                labels::strip_part(builder);
                Ok(())
            }
            Form::Protobuf(name) => name.pack(builder),
        }
    }
}

/// For messages: the text, or the family's name and what part of it.
impl fmt::Display for SeriesId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Form::Text(raw) | Form::TextHistogram(raw) => f.write_str(raw),
            Form::Protobuf(name) => match name.part {
                Part::Whole | Part::Histogram => f.write_str(name.family),
                part => write!(f, "{}{}", name.family, part.suffix()),
            },
        }
    }
}
