//! Exposition formats and what names may hold.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A format that a target may answer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScrapeProtocol {
    /// Length-delimited protobuf messages.
    PrometheusProto,
    /// Text, version 0.0.4.
    PrometheusText0_0_4,
    /// Text, version 1.0.0: names may be quoted UTF-8.
    PrometheusText1_0_0,
    /// OpenMetrics, version 0.0.1.
    OpenMetricsText0_0_1,
    /// OpenMetrics, version 1.0.0.
    OpenMetricsText1_0_0,
}

/// Which metric and label names are allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ValidationScheme {
    /// Any UTF-8.
    #[default]
    Utf8,
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`
    Legacy,
}

/// How a target is asked to write names that are not [`ValidationScheme::Legacy`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum EscapingScheme {
    /// As they are.
    #[default]
    AllowUtf8,
    /// Each such character becomes `_`.
    Underscores,
    /// Dots become `_dot_`, other characters `__`.
    Dots,
    /// Prefixed with `U__`, each such character its code in hexadecimal.
    Values,
}

impl ScrapeProtocol {
    /// In the order that error texts list them.
    const ALL: [Self; 5] = [
        Self::OpenMetricsText0_0_1,
        Self::OpenMetricsText1_0_0,
        Self::PrometheusProto,
        Self::PrometheusText0_0_4,
        Self::PrometheusText1_0_0,
    ];

    /// What is offered if nothing else is said, the most wanted first.
    pub const DEFAULT: [Self; 4] = [
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText0_0_1,
        Self::PrometheusText1_0_0,
        Self::PrometheusText0_0_4,
    ];

    /// What is offered if native histograms are wanted.
    pub const DEFAULT_NATIVE: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText0_0_1,
        Self::PrometheusText1_0_0,
        Self::PrometheusText0_0_4,
    ];

    /// Its name in configuration files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrometheusProto => "PrometheusProto",
            Self::PrometheusText0_0_4 => "PrometheusText0.0.4",
            Self::PrometheusText1_0_0 => "PrometheusText1.0.0",
            Self::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            Self::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
        }
    }

    /// Its media type with parameters, as the `Accept` header names it.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::PrometheusText0_0_4 => "text/plain;version=0.0.4",
            Self::PrometheusText1_0_0 => "text/plain;version=1.0.0",
            Self::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
        }
    }
}

impl fmt::Display for ScrapeProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ScrapeProtocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == text).ok_or_else(|| {
            let supported = Self::ALL.map(Self::as_str).join(" ");
            serde::de::Error::custom(format_args!("unknown scrape protocol {text}, supported: [{supported}]"))
        })
    }
}

impl ValidationScheme {
    /// Its name in configuration files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Legacy => "legacy",
        }
    }

    /// Whether a label may have this name.
    pub fn allows_label_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => {
                let mut bytes = name.bytes();
                bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
                    && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
            }
        }
    }
}

impl<'de> Deserialize<'de> for ValidationScheme {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "" | "utf8" => Ok(Self::Utf8),
            "legacy" => Ok(Self::Legacy),
            other => Err(serde::de::Error::custom(format_args!(
                "unrecognized ValidationScheme: {other:?}; use utf8 or legacy"
            ))),
        }
    }
}

impl EscapingScheme {
    /// Its name in configuration files, and in the `escaping` parameter of `Accept`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// What suits a validation scheme.
    pub fn suiting(validation: ValidationScheme) -> Self {
        match validation {
            ValidationScheme::Utf8 => Self::AllowUtf8,
            ValidationScheme::Legacy => Self::Underscores,
        }
    }
}

impl<'de> Deserialize<'de> for EscapingScheme {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values]
            .into_iter()
            .find(|scheme| scheme.as_str() == text)
            .ok_or_else(|| {
                serde::de::Error::custom(format_args!(
                    "unknown name escaping method specified, must be one of 'allow-utf-8', 'underscores', 'dots', \
                     or 'values', got {text:?}"
                ))
            })
    }
}
