//! Labels and annotations of alerts: templates, read once, expanded for each alert.

use std::sync::Arc;

use model::number::format_float;
use promql::value::{SampleValue, VectorSample};
use template::{AlertData, AlertTemplate, Prometheus, Sample};

use crate::env::External;

/// A label's or annotation's text.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    source: String,
    template: AlertTemplate,
}

impl Text {
    /// Reads a text of an alerting rule.
    pub(crate) fn parse(alert: &str, text: &str) -> Result<Self, template::Error> {
        let template = AlertTemplate::parse(&format!("__alert_{alert}"), text)?;
        Ok(Self { source: text.to_owned(), template })
    }

    /// As the file has it.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether it says the same of every alert.
    pub(crate) fn is_literal(&self) -> bool {
        !self.source.contains("{{")
    }

    /// Whether it may read stored series.
    pub(crate) fn may_query(&self) -> bool {
        !self.is_literal() && self.source.contains("query")
    }

    /// What it says of one alert.
    pub(crate) fn expand(&self, about: &About<'_>) -> Result<String, template::Error> {
        self.template.expand(&about.data, &about.functions)
    }
}

/// Answers `query` of a template.
pub(crate) type Query<'a> = dyn Fn(&str) -> Result<Vec<Sample>, String> + 'a;

/// What templates may say of an alert.
pub(crate) struct About<'a> {
    data: AlertData<'a>,
    functions: Prometheus<'a>,
}

impl<'a> About<'a> {
    pub(crate) fn new(
        sample: &'a VectorSample,
        external: &'a External,
        query: &'a Query<'a>,
        time_ms: i64,
    ) -> Self {
        let data = AlertData {
            labels: &sample.labels,
            external_labels: &external.labels,
            external_url: &external.url,
            value: shown(&sample.value),
        };
        Self { data, functions: Prometheus { query, external_url: &external.url, now_ms: time_ms } }
    }
}

/// A sample as templates see it.
pub(crate) fn template_sample(sample: VectorSample) -> Sample {
    Sample { value: shown(&sample.value), labels: sample.labels }
}

fn shown(value: &SampleValue) -> template::SampleValue {
    match value {
        SampleValue::Float(value) => template::SampleValue::Float(*value),
        SampleValue::Histogram(histogram) => {
            let (count, sum) = (format_float(histogram.count), format_float(histogram.sum));
            template::SampleValue::Histogram(Arc::from(format!("{{count:{count}, sum:{sum}}}").as_str()))
        }
    }
}
