//! Samples and what travels beside them: staleness, exemplars, metadata.

use std::fmt;

use crate::Labels;

/// The value that ends a series: "nothing here from now on". A NaN with this payload, as Prometheus
/// defines it (`model/value`), so it must be compared by bits and kept bit for bit.
pub const STALE_NAN: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// An ordinary NaN, as arithmetic yields it in Prometheus.
pub const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// The start timestamp of a sample of which nobody said when its counter began, as in Prometheus and OpenTelemetry.
pub const UNKNOWN_START_MS: i64 = 0;

/// Whether a value is the staleness marker.
#[inline]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN.to_bits()
}

/// A sample that stands for the many behind a series' value, usually with a trace id.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// Its own labels, at most 128 characters in OpenMetrics.
    pub labels: Labels,
    /// The measured value.
    pub value: f64,
    /// When it was measured; `None` if the exporter did not say.
    pub timestamp_ms: Option<i64>,
}

/// What kind of values a metric has.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum MetricType {
    /// Only goes up, or starts again at zero.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets.
    Histogram,
    /// A histogram whose counts may go down.
    GaugeHistogram,
    /// Quantiles computed by the exporter.
    Summary,
    /// Always 1; its labels are the information.
    Info,
    /// One of several states is 1.
    StateSet,
    /// Nobody said.
    #[default]
    Unknown,
}

impl MetricType {
    /// The word Prometheus uses in its text formats and API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an exporter says about a metric family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Metadata {
    /// Kind of values.
    pub metric_type: MetricType,
    /// Unit, a suffix of the name; empty if none was given.
    pub unit: String,
    /// One sentence for people; empty if none was given.
    pub help: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_bits_are_stale() {
        assert!(is_stale(STALE_NAN) && STALE_NAN.is_nan());
        assert!(!is_stale(f64::NAN) && !is_stale(NORMAL_NAN) && !is_stale(0.0));
    }
}
