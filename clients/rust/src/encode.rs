//! How metrics are written for those who scrape them.
//!
//! Map: `text` Prometheus' text format and OpenMetrics · `protobuf` the one that carries native histograms.

mod protobuf;
mod text;

use crate::snapshot::FamilySnapshot;

/// A format that scrapers understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4. Of native histograms it shows count and sum.
    Text,
    /// OpenMetrics 1.0: text with exemplars and times of creation.
    OpenMetrics,
    /// Delimited protobuf messages: everything, native histograms too.
    Protobuf,
}

impl Format {
    /// What to answer to an `Accept` header: of the formats in it the one with the greatest weight; text if none is known.
    pub fn negotiate(accept: &str) -> Self {
        let mut best = (0.0, Self::Text);
        for part in accept.split(',') {
            let mut parameters = part.split(';').map(str::trim);
            let media_type = parameters.next().unwrap_or_default();
            let (mut weight, mut family, mut delimited) = (1.0f32, false, false);
            for parameter in parameters {
                if let Some(q) = parameter.strip_prefix("q=") {
                    weight = q.parse().unwrap_or(0.0);
                }
                family |= parameter == "proto=io.prometheus.client.MetricFamily";
                delimited |= parameter == "encoding=delimited";
            }
            let format = match media_type {
                "application/vnd.google.protobuf" if family && delimited => Self::Protobuf,
                "application/openmetrics-text" => Self::OpenMetrics,
                "text/plain" | "text/*" | "*/*" => Self::Text,
                _ => continue,
            };
            if weight > best.0 {
                best = (weight, format);
            }
        }
        best.1
    }

    /// The `Content-Type` to answer with.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

pub(crate) fn encode(families: &[FamilySnapshot], format: Format) -> Vec<u8> {
    match format {
        Format::Text => text::write(families, false).into_bytes(),
        Format::OpenMetrics => text::write(families, true).into_bytes(),
        Format::Protobuf => protobuf::write(families),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_with_the_greatest_weight_is_chosen() {
        let check = |accept: &str, want: Format| assert_eq!(Format::negotiate(accept), want, "{accept}");
        check("", Format::Text);
        check("*/*", Format::Text);
        check("application/json", Format::Text);
        check("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text);
        check(
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1",
            Format::OpenMetrics,
        );
        check(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
             application/openmetrics-text;version=1.0.0;q=0.5",
            Format::Protobuf,
        );
        check(
            "application/vnd.google.protobuf;proto=something.Else;encoding=delimited,text/plain;q=0.1",
            Format::Text,
        );
        check("application/openmetrics-text;q=0,text/plain;q=0.1", Format::Text);
    }
}
