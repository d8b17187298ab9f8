//! `push`: Kymo's own section. Listeners of Graphite, OpenTSDB, StatsD and Zabbix' senders, and how long groups of text pushes live.

use std::path::PathBuf;
use std::time::Duration;

use api::{LineSettings, PushSettings, PushgatewaySettings, StatsdSettings, Timers};
use http_client::InvalidSettings;
use model::TenantId;
use model::size::parse_size_bytes;
use model::time::DurationMs;
use serde::Deserialize;

/// The `push` section.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Push {
    pushgateway: Pushgateway,
    graphite: Lines,
    opentsdb: TcpLines,
    statsd: Statsd,
    zabbix: TcpLines,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Pushgateway {
    interval: DurationMs,
    ttl: DurationMs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Lines {
    listen_tcp: String,
    listen_udp: String,
    udp_buffer: Option<String>,
    tenant: TenantId,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TcpLines {
    listen_tcp: String,
    tenant: TenantId,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Statsd {
    listen_tcp: String,
    listen_udp: String,
    udp_buffer: Option<String>,
    listen_unix: Option<PathBuf>,
    tenant: TenantId,
    flush_interval: DurationMs,
    idle_timeout: DurationMs,
    timers: String,
    quantiles: Vec<f64>,
}

impl TcpLines {
    fn settings(&self) -> LineSettings {
        let (listen_tcp, tenant) = (listen(&self.listen_tcp), self.tenant.clone());
        LineSettings { listen_tcp, tenant, ..LineSettings::default() }
    }
}

impl Push {
    pub(super) fn check(&self) -> Result<(), InvalidSettings> {
        for (protocol, key, address) in [
            ("graphite", "listen_tcp", &self.graphite.listen_tcp),
            ("graphite", "listen_udp", &self.graphite.listen_udp),
            ("opentsdb", "listen_tcp", &self.opentsdb.listen_tcp),
            ("statsd", "listen_tcp", &self.statsd.listen_tcp),
            ("statsd", "listen_udp", &self.statsd.listen_udp),
            ("zabbix", "listen_tcp", &self.zabbix.listen_tcp),
        ] {
            if !address.is_empty() && listen(address).is_none() {
                let message = format!(
                    "{address:?} is not ADDRESS:PORT, such as 127.0.0.1:2003, or :2003 for all addresses"
                );
                return Err(InvalidSettings::at([protocol, key], message));
            }
        }
        for (protocol, text) in [("graphite", &self.graphite.udp_buffer), ("statsd", &self.statsd.udp_buffer)]
        {
            if let Some(Err(error)) = text.as_deref().map(parse_size_bytes) {
                return Err(InvalidSettings::at([protocol, "udp_buffer"], error.to_string()));
            }
        }
        if !matches!(self.statsd.timers.as_str(), "" | "native_histograms" | "summaries") {
            let message = format!("{:?}: write native_histograms or summaries", self.statsd.timers);
            return Err(InvalidSettings::at(["statsd", "timers"], message));
        }
        if let Some(wrong) = self.statsd.quantiles.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(InvalidSettings::at(
                ["statsd", "quantiles"],
                format!("{wrong} is not between 0 and 1"),
            ));
        }
        Ok(())
    }

    pub(super) fn settings(&self) -> PushSettings {
        let defaults = StatsdSettings::default();
        let statsd = &self.statsd;
        let timers = match statsd.timers.as_str() {
            "summaries" if statsd.quantiles.is_empty() => Timers::Summaries(vec![0.5, 0.9, 0.99]),
            "summaries" => Timers::Summaries(statsd.quantiles.clone()),
            _ => Timers::NativeHistograms,
        };
        PushSettings {
            directory: None,
            pushgateway: PushgatewaySettings {
                interval: duration(self.pushgateway.interval, PushgatewaySettings::default().interval),
                ttl: (self.pushgateway.ttl.0 > 0).then(|| duration(self.pushgateway.ttl, Duration::ZERO)),
            },
            graphite: LineSettings {
                listen_tcp: listen(&self.graphite.listen_tcp),
                listen_udp: listen(&self.graphite.listen_udp),
                udp_buffer_bytes: buffer(self.graphite.udp_buffer.as_deref()),
                tenant: self.graphite.tenant.clone(),
            },
            opentsdb: self.opentsdb.settings(),
            zabbix: self.zabbix.settings(),
            statsd: StatsdSettings {
                lines: LineSettings {
                    listen_tcp: listen(&statsd.listen_tcp),
                    listen_udp: listen(&statsd.listen_udp),
                    udp_buffer_bytes: buffer(statsd.udp_buffer.as_deref()),
                    tenant: statsd.tenant.clone(),
                },
                listen_unix: statsd.listen_unix.clone(),
                flush_interval: duration(statsd.flush_interval, defaults.flush_interval),
                idle_timeout: duration(statsd.idle_timeout, defaults.idle_timeout),
                timers,
            },
        }
    }
}

/// An address to listen on; `None` if it is none.
fn listen(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    Some(format!("{host}:{port}"))
}

/// Bytes of a buffer, if they are said.
fn buffer(text: Option<&str>) -> Option<usize> {
    usize::try_from(parse_size_bytes(text?).ok()?).ok()
}

fn duration(given: DurationMs, default: Duration) -> Duration {
    match u64::try_from(given.0) {
        Ok(ms) if ms > 0 => Duration::from_millis(ms),
        _ => default,
    }
}

#[cfg(test)]
mod tests {
    use yaml::Document;

    use super::*;

    fn read(text: &str) -> Push {
        Document::parse(text).and_then(|document| document.read()).expect("sound")
    }

    #[test]
    fn what_is_said_is_set_and_the_rest_is_off() {
        assert_eq!(read("{}").settings(), PushSettings::default());
        let push = read(
            "graphite: {listen_tcp: \":2003\", tenant: old}\nstatsd: {listen_udp: \"127.0.0.1:8125\", udp_buffer: 1MiB, timers: summaries, \
             flush_interval: 1s}\npushgateway: {ttl: 1h}\n",
        );
        push.check().expect("sound");
        let settings = push.settings();
        assert_eq!(settings.graphite.listen_tcp.as_deref(), Some("0.0.0.0:2003"));
        assert_eq!(settings.graphite.tenant.as_str(), "old");
        assert_eq!(settings.statsd.lines.listen_udp.as_deref(), Some("127.0.0.1:8125"));
        assert_eq!(settings.statsd.lines.udp_buffer_bytes, Some(1 << 20));
        assert_eq!(settings.statsd.timers, Timers::Summaries(vec![0.5, 0.9, 0.99]));
        assert_eq!(settings.statsd.flush_interval, Duration::from_secs(1));
        assert_eq!(settings.pushgateway.ttl, Some(Duration::from_secs(3600)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, want) in [
            ("graphite: {listen_tcp: \"2003\"}", "is not ADDRESS:PORT"),
            ("statsd: {listen_udp: \":x\"}", "is not ADDRESS:PORT"),
            ("zabbix: {listen_tcp: \"10051\"}", "is not ADDRESS:PORT"),
            ("graphite: {udp_buffer: much}", "much"),
            ("statsd: {timers: averages}", "native_histograms or summaries"),
            ("statsd: {quantiles: [2]}", "between 0 and 1"),
        ] {
            let error = read(text).check().expect_err("wrong");
            assert!(error.message.contains(want), "{}", error.message);
        }
    }
}
