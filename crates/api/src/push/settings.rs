//! Settings of pushes that need more than a path: listeners and the groups of text pushes. All is off or harmless by default.

use std::path::PathBuf;
use std::time::Duration;

use model::TenantId;

/// What pushes are set to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PushSettings {
    /// Where groups of text pushes are kept from one start to the next; `None`: nowhere.
    pub directory: Option<PathBuf>,
    /// Text pushes in the Pushgateway's API.
    pub pushgateway: PushgatewaySettings,
    /// Graphite's plaintext.
    pub graphite: LineSettings,
    /// OpenTSDB's telnet lines.
    pub opentsdb: LineSettings,
    /// StatsD and DogStatsD.
    pub statsd: StatsdSettings,
    /// Zabbix' senders; only TCP.
    pub zabbix: LineSettings,
}

/// How groups of text pushes live.
#[derive(Debug, Clone, PartialEq)]
pub struct PushgatewaySettings {
    /// How often the samples of all groups are written again.
    pub interval: Duration,
    /// After what time without a push a group goes away; `None`: never.
    pub ttl: Option<Duration>,
}

impl Default for PushgatewaySettings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(15), ttl: None }
    }
}

/// Where a protocol of lines listens; `HOST:PORT`, `None` for not at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LineSettings {
    /// TCP.
    pub listen_tcp: Option<String>,
    /// UDP.
    pub listen_udp: Option<String>,
    /// The kernel's buffer of datagrams that were not read yet; `None`: 8 MiB. The system may allow less.
    pub udp_buffer_bytes: Option<usize>,
    /// Whose samples they are.
    pub tenant: TenantId,
}

/// Where StatsD listens, and what becomes of its values.
#[derive(Debug, Clone, PartialEq)]
pub struct StatsdSettings {
    /// TCP and UDP.
    pub lines: LineSettings,
    /// A Unix datagram socket.
    pub listen_unix: Option<PathBuf>,
    /// How often what was aggregated is written.
    pub flush_interval: Duration,
    /// After what time without a value a series ends.
    pub idle_timeout: Duration,
    /// What timers, histograms and distributions become.
    pub timers: Timers,
}

impl Default for StatsdSettings {
    fn default() -> Self {
        Self {
            lines: LineSettings::default(),
            listen_unix: None,
            flush_interval: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(3600),
            timers: Timers::NativeHistograms,
        }
    }
}

/// What timers, histograms and distributions become.
#[derive(Debug, Clone, PartialEq)]
pub enum Timers {
    /// A native histogram a series.
    NativeHistograms,
    /// These quantiles of each flush interval, and `_sum` and `_count`.
    Summaries(Vec<f64>),
}
