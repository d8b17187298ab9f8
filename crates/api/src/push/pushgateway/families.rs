//! A pushed body taken apart into families, consistent or refused as a whole.

use std::collections::BTreeMap;

use model::{Labels, LabelsBuilder, METRIC_NAME, Metadata, MetricType};
use wire::exposition::{Entry, Format, Options, Parser};
use wire::metric_family::{self, PushedSample};

use crate::error::ApiError;

/// Metrics of one name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Family {
    pub(crate) metadata: Metadata,
    /// When it was pushed.
    pub(crate) pushed_ms: i64,
    /// All series of it, with their names.
    pub(crate) samples: BTreeMap<Labels, f64>,
}

/// Families by name.
pub(crate) type Families = BTreeMap<String, Family>;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    Text(Format),
    /// Length-delimited `io.prometheus.client.MetricFamily`.
    Protobuf,
}

impl BodyFormat {
    /// By the header `Content-Type`; text if it says nothing.
    pub(crate) fn of(content_type: &str) -> Self {
        match content_type.split(';').next().unwrap_or("").trim() {
            "application/vnd.google.protobuf" => Self::Protobuf,
            "application/openmetrics-text" => Self::Text(Format::OpenMetricsText),
            _ => Self::Text(Format::PrometheusText),
        }
    }
}

/// The families of a body; their series have the labels of the group.
///
/// # Errors
/// The first fault.
pub(crate) fn parse(body: &[u8], format: BodyFormat, group: &Labels) -> Result<Families, ApiError> {
    let mut collector = Collector { group, families: Families::new(), builder: LabelsBuilder::new() };
    match format {
        BodyFormat::Text(format) => collector.text(body, format),
        BodyFormat::Protobuf => collector.protobuf(body),
    }
    .map_err(ApiError::bad_data)?;
    Ok(collector.families)
}

struct Collector<'a> {
    group: &'a Labels,
    families: Families,
    builder: LabelsBuilder,
}

impl Collector<'_> {
    fn text(&mut self, body: &[u8], format: Format) -> Result<(), String> {
        let options = Options { suppress_created: true, ..Options::default() };
        let mut parser = Parser::with_options(body, format, options);
        let mut family = String::new();
        let fault = |error: &dyn std::fmt::Display| format!("text format parsing error: {error}");
        while let Some(entry) = parser.next_entry().map_err(|error| fault(&error))? {
            match entry {
                Entry::Series(series) => {
                    if series.timestamp_ms.is_some() {
                        return Err("pushed metrics must not have timestamps".to_owned());
                    }
                    series.pack_labels(&mut self.builder).map_err(|error| fault(&error))?;
                    let name = self.builder.get(METRIC_NAME).unwrap_or_default().to_owned();
                    let metric_type =
                        self.families.get(&family).map_or(MetricType::Unknown, |f| f.metadata.metric_type);
                    if !belongs(&name, &family, metric_type) {
                        family = name;
                    }
                    self.add(&family, series.value)?;
                }
                Entry::Type { name, metric_type } => {
                    name.as_ref().clone_into(&mut family);
                    self.family(&name).metadata.metric_type = metric_type;
                }
                Entry::Help { name, text } => {
                    name.as_ref().clone_into(&mut family);
                    self.family(&name).metadata.help = text.into_owned();
                }
                Entry::Unit { name, unit } => self.family(&name).metadata.unit = unit.to_owned(),
                // Text has no native histograms.
                Entry::Comment(_) | Entry::Histogram(_) => {}
            }
        }
        self.families.retain(|_, family| !family.samples.is_empty());
        Ok(())
    }

    fn protobuf(&mut self, body: &[u8]) -> Result<(), String> {
        metric_family::read_delimited(body, |name, metadata, sample| {
            let PushedSample { suffix, labels, value, has_timestamp, .. } = sample;
            if *has_timestamp {
                return Err("pushed metrics must not have timestamps".to_owned());
            }
            self.family(name).metadata.clone_from(metadata);
            self.builder.clear();
            for (label, value) in labels {
                if label.is_empty() || self.builder.get(label).is_some() {
                    return Err(format!("label name {label:?} is empty or not unique"));
                }
                self.builder.set(label, value);
            }
            self.builder.set(METRIC_NAME, &format!("{name}{suffix}"));
            self.add(name, *value)
        })
    }

    fn family(&mut self, name: &str) -> &mut Family {
        if !self.families.contains_key(name) {
            self.families.insert(name.to_owned(), Family::default());
        }
        self.families.get_mut(name).expect("it was just put there")
    }

    /// Adds the series of the builder to a family, under the labels of the group.
    fn add(&mut self, family: &str, value: f64) -> Result<(), String> {
        for (name, value) in self.group {
            self.builder.set(name, value);
        }
        let labels = self.builder.build();
        let family = self.family(family);
        if family.samples.insert(labels.clone(), value).is_some() {
            return Err(format!(
                "pushed metrics are invalid or inconsistent with existing metrics: {labels} was collected before with the same \
                 name and label values"
            ));
        }
        Ok(())
    }
}

/// Whether a series is one of a family's.
fn belongs(name: &str, family: &str, metric_type: MetricType) -> bool {
    let Some(suffix) = name.strip_prefix(family).filter(|_| !family.is_empty()) else { return false };
    match metric_type {
        MetricType::Histogram | MetricType::GaugeHistogram => {
            matches!(suffix, "" | "_bucket" | "_sum" | "_count")
        }
        MetricType::Summary => matches!(suffix, "" | "_sum" | "_count"),
        MetricType::Counter => matches!(suffix, "" | "_total"),
        MetricType::Info => matches!(suffix, "" | "_info"),
        _ => suffix.is_empty(),
    }
}
