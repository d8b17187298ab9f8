//! The protocols by which samples are pushed.

use std::fmt;

/// A protocol, as metrics and the list of sources name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Protocol {
    RemoteWrite,
    /// Version 2.0, whose series have keys of another kind.
    RemoteWrite2,
    Otlp,
    Influx,
    Pushgateway,
    Statsd,
    Graphite,
    Json,
    Csv,
    Prometheus,
    Datadog,
    OpenTsdb,
    Zabbix,
    Native,
}

impl Protocol {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 14] = [
        Self::RemoteWrite,
        Self::RemoteWrite2,
        Self::Otlp,
        Self::Influx,
        Self::Pushgateway,
        Self::Statsd,
        Self::Graphite,
        Self::Json,
        Self::Csv,
        Self::Prometheus,
        Self::Datadog,
        Self::OpenTsdb,
        Self::Zabbix,
        Self::Native,
    ];

    /// A word for labels.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RemoteWrite => "remote_write",
            Self::RemoteWrite2 => "remote_write2",
            Self::Otlp => "otlp",
            Self::Influx => "influx",
            Self::Pushgateway => "pushgateway",
            Self::Statsd => "statsd",
            Self::Graphite => "graphite",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Prometheus => "prometheus",
            Self::Datadog => "datadog",
            Self::OpenTsdb => "opentsdb",
            Self::Zabbix => "zabbix",
            Self::Native => "native",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_of_the_numbers() {
        for (at, protocol) in Protocol::ALL.into_iter().enumerate() {
            assert_eq!(protocol as usize, at, "{protocol}");
        }
    }
}
