//! `kymo serve`: the server itself. Flags say what a process must know before it can read its configuration, and
//! what cannot change while it runs; everything else is in the file.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use model::size::{format_size_bytes, parse_size_bytes};
use model::time::{format_duration_ms, parse_duration_ms};

use crate::cli::{Outcome, UsageError};
use crate::features::Features;
use crate::run::{self, Options, Role, memory_limit};

const EXAMPLES: &str = "\
Examples:
  kymo serve                                       watch this machine and Kymo itself
  kymo serve --config prometheus.yml --data /var/lib/kymo
  kymo serve --listen 127.0.0.1:9091 --memory-limit 2GiB --retention 90d

Without --config, this machine is watched (job \"node\", the metrics of node_exporter), and Kymo
itself (job \"kymo\"), every 15 s. SIGHUP or POST /-/reload reads the file again; a bad file changes
nothing. SIGTERM and SIGINT stop it.";

/// What can be said on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Configuration file; prometheus.yml works unchanged.
    #[arg(long, short, value_name = "FILE", env = "KYMO_CONFIG")]
    config: Option<PathBuf>,
    /// Alertmanager's configuration file, which works unchanged: who is told of alerts.
    #[arg(long, value_name = "FILE", env = "KYMO_ALERTMANAGER_CONFIG")]
    alertmanager_config: Option<PathBuf>,
    /// Where everything is kept.
    #[arg(long, short, value_name = "DIR", default_value = "./data", env = "KYMO_DATA")]
    data: PathBuf,
    /// Where the UI and the API are; port 0 takes a free one.
    #[arg(long, short, value_name = "ADDR:PORT", default_value = "0.0.0.0:9090", value_parser = parse_listen, env = "KYMO_LISTEN")]
    listen: String,
    /// Where OTLP comes over gRPC, or "off". Default: 127.0.0.1:4317, unless somebody else is there.
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_grpc_listen, env = "KYMO_OTLP_GRPC_LISTEN")]
    otlp_grpc_listen: Option<String>,
    /// The most memory to use, such as 2GiB. Default: 70 % of the machine, or of the cgroup.
    #[arg(long, value_name = "SIZE", value_parser = parse_memory_limit, env = "KYMO_MEMORY_LIMIT")]
    memory_limit: Option<u64>,
    /// How long samples are kept. The file's storage.tsdb.retention.time comes first.
    #[arg(long, value_name = "DURATION", default_value = "15d", value_parser = parse_ms, env = "KYMO_RETENTION")]
    retention: i64,
    /// How much disk to use, such as 100GiB; 0: no limit. The file's storage.tsdb.retention.size comes first.
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = parse_size)]
    retention_size: u64,
    /// Let POST /-/quit end the process.
    #[arg(long)]
    enable_quit: bool,
    /// Let /api/v1/admin/tsdb/ delete series and take snapshots.
    #[arg(long)]
    enable_admin_api: bool,
    /// Refuse POST /-/reload; SIGHUP still works.
    #[arg(long)]
    disable_reload: bool,
    /// Longest run of a query. The file's query.timeout comes first; so with all limits of queries.
    #[arg(long, alias = "query.timeout", value_name = "DURATION", default_value = "2m", value_parser = parse_ms)]
    query_timeout: i64,
    /// Queries that run at one time; others wait.
    #[arg(long, alias = "query.max-concurrency", value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    query_concurrency: u32,
    /// The most samples a query may hold in memory.
    #[arg(long, alias = "query.max-samples", value_name = "COUNT", default_value_t = 50_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    query_max_samples: u64,
    /// How far a query looks back for the last sample of a series.
    #[arg(long, alias = "query.lookback-delta", value_name = "DURATION", default_value = "5m", value_parser = parse_ms)]
    query_lookback: i64,
    /// Evaluates every range query in full; results are not kept between queries.
    #[arg(long)]
    disable_results_cache: bool,
    /// Where people reach this server, for links in alerts. Default: http://, the machine's name, and the port.
    #[arg(long, alias = "web.external-url", value_name = "URL", value_parser = parse_url, env = "KYMO_EXTERNAL_URL")]
    external_url: Option<String>,
    /// An alert that goes on firing is sent again after this time.
    #[arg(long, alias = "rules.alert.resend-delay", value_name = "DURATION", default_value = "1m", value_parser = parse_ms_or_none)]
    alert_resend_delay: i64,
    /// After an outage no longer than this, alerts go on being pending since they were.
    #[arg(long, alias = "rules.alert.for-outage-tolerance", value_name = "DURATION", default_value = "1h", value_parser = parse_ms_or_none)]
    alert_outage_tolerance: i64,
    /// After an outage, alerts that were pending do not fire sooner than this; those with a shorter "for" begin anew.
    #[arg(long, alias = "rules.alert.for-grace-period", value_name = "DURATION", default_value = "10m", value_parser = parse_ms_or_none)]
    alert_grace_period: i64,
    /// Alerts that may wait for one outside Alertmanager; beyond that the oldest are dropped.
    #[arg(long, alias = "alertmanager.notification-queue-capacity", value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    alert_queue_capacity: u32,
    /// Alerts of one request to an outside Alertmanager.
    #[arg(long, alias = "alertmanager.notification-batch-size", value_name = "COUNT", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    alert_batch_size: u32,
    /// Prometheus' features that are off because they change what some queries or scrapes mean. Unknown names are warned of.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    enable_feature: Vec<String>,
    /// How log lines look.
    #[arg(long, value_enum, default_value = "text", env = "KYMO_LOG_FORMAT")]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug or trace; or by part, as in "info,scrape=debug".
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = parse_log_level, env = "KYMO_LOG_LEVEL")]
    log_level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

fn parse_size(text: &str) -> Result<u64, String> {
    parse_size_bytes(text)
        .map_err(|error| format!("{error}; write a number with a unit, such as 512MiB or 2GiB"))
}

fn parse_ms(text: &str) -> Result<i64, String> {
    let advice = "write a number with a unit, such as 90s, 2h or 15d";
    match parse_duration_ms(text) {
        Ok(0) => Err(format!("must be more than nothing; {advice}")),
        Ok(ms) => Ok(ms),
        Err(error) => Err(format!("{error}; {advice}")),
    }
}

/// A duration that may be nothing.
fn parse_ms_or_none(text: &str) -> Result<i64, String> {
    parse_duration_ms(text)
        .map_err(|error| format!("{error}; write a number with a unit, such as 0s, 90s or 2h"))
}

fn parse_url(text: &str) -> Result<String, String> {
    let advice = "write it in full, such as https://kymo.example or http://10.0.0.7:9090/kymo";
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(text.trim_end_matches('/').to_owned()),
        Ok(url) => Err(format!("{:?} is no scheme of web pages; {advice}", url.scheme())),
        Err(error) => Err(format!("{error}; {advice}")),
    }
}

/// `ADDRESS:PORT`, `NAME:PORT`, or `:PORT` for all addresses.
fn parse_listen(text: &str) -> Result<String, String> {
    let advice = "write ADDRESS:PORT, such as 127.0.0.1:9090, or :9090 for all addresses";
    let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("the port is missing; {advice}"))?;
    if port.parse::<u16>().is_err() {
        return Err(format!("{port:?} is not a port from 0 to 65535; {advice}"));
    }
    match host {
        "" => Ok(format!("0.0.0.0:{port}")),
        // An IPv6 address without brackets leaves open where it ends.
        host if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) => {
            Err(format!("write an IPv6 address in brackets; {advice}"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// Where OpenTelemetry's exporters look for a collector on their own machine.
const OTLP_GRPC_LISTEN: &str = "127.0.0.1:4317";
const OFF: &str = "off";

fn parse_grpc_listen(text: &str) -> Result<String, String> {
    if text == OFF { Ok(text.to_owned()) } else { parse_listen(text) }
}

/// A bare word that is no level would be taken for the name of a part, and silence all others.
fn parse_log_level(text: &str) -> Result<String, String> {
    let advice = "write error, warn, info, debug, trace or off; or by part, as in info,scrape=debug";
    for part in text.split(',').map(str::trim) {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        // An empty word and a number would count as levels, too.
        let is_word = level.starts_with(|c: char| c.is_ascii_alphabetic());
        if !is_word || level.parse::<tracing_subscriber::filter::LevelFilter>().is_err() {
            return Err(format!("{level:?} is not a level; {advice}"));
        }
    }
    Ok(text.to_owned())
}

/// With less, not even the machine's own metrics could be kept.
const MEMORY_LIMIT_BYTES_MIN: u64 = 64 << 20;

fn parse_memory_limit(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        bytes if bytes < MEMORY_LIMIT_BYTES_MIN => {
            Err(format!("at least {} are needed", format_size_bytes(MEMORY_LIMIT_BYTES_MIN)))
        }
        bytes => Ok(bytes),
    }
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    run_as(Role::Server, arguments)
}

/// Runs a process for `role` until it is told to stop.
pub(crate) fn run_as(role: Role, arguments: Arguments) -> anyhow::Result<Outcome> {
    start_logging(&arguments)?;
    let memory_limit_bytes = arguments.memory_limit.unwrap_or_else(memory_limit::default_bytes);
    let mut features = Features::default();
    for warning in features.enable(&arguments.enable_feature) {
        tracing::warn!("--enable-feature: {warning}");
    }
    let (alert_timing, alert_queue) = (arguments.alert_timing(), arguments.alert_queue());
    let options = Options {
        role,
        flags: arguments.flags(memory_limit_bytes),
        config: arguments.config,
        alertmanager_config: arguments.alertmanager_config,
        data: arguments.data,
        memory_limit_bytes,
        retention_ms: arguments.retention,
        retention_bytes: (arguments.retention_size > 0).then_some(arguments.retention_size),
        query: promql::Settings {
            lookback_ms: arguments.query_lookback,
            limits: promql::Limits {
                samples_max: arguments.query_max_samples,
                timeout: Duration::from_millis(arguments.query_timeout.unsigned_abs()),
                ..promql::Limits::default()
            },
            concurrent_max: usize::try_from(arguments.query_concurrency).unwrap_or(usize::MAX),
            results_cache: !arguments.disable_results_cache,
            ..promql::Settings::default()
        },
        features,
        alert_timing,
        alert_queue,
        external_url: arguments.external_url,
        api: api::Settings {
            grpc: grpc_settings(arguments.otlp_grpc_listen),
            listen: arguments.listen,
            lookback_ms: arguments.query_lookback,
            // The engine's own limit speaks first, with the better error.
            request_timeout: api::Settings::default()
                .request_timeout
                .max(Duration::from_millis(arguments.query_timeout.unsigned_abs()) + Duration::from_secs(30)),
            allow_quit: arguments.enable_quit,
            allow_admin: arguments.enable_admin_api,
            allow_reload: !arguments.disable_reload,
            ..api::Settings::default()
        },
    };
    stdx::memory::keep_large_apart();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scraping = scraping_runtime()?;
    let result = runtime.block_on(run::run(options, scraping.handle().clone()));
    // A journal that is still being replayed when we are told to stop must not hold us up.
    scraping.shutdown_background();
    runtime.shutdown_background();
    result.map(|()| Outcome::Success)
}

/// Threads for scraping: a quarter of the processors. One scrapes some five thousand targets a second; more would mostly wake each other.
fn scraping_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.div_ceil(4))
        .thread_name("scrape")
        .enable_all()
        .build()
}

/// The usual port is only tried: a server must start beside a collector that has it.
fn grpc_settings(listen: Option<String>) -> Option<api::GrpcSettings> {
    match listen {
        Some(off) if off == OFF => None,
        Some(listen) => Some(api::GrpcSettings { listen, required: true }),
        None => Some(api::GrpcSettings { listen: OTLP_GRPC_LISTEN.to_owned(), required: false }),
    }
}

impl Arguments {
    fn alert_timing(&self) -> rules::Timing {
        rules::Timing {
            resend_delay_ms: self.alert_resend_delay,
            outage_tolerance_ms: self.alert_outage_tolerance,
            for_grace_period_ms: self.alert_grace_period,
        }
    }

    fn alert_queue(&self) -> rules::alertmanagers::QueueSettings {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        rules::alertmanagers::QueueSettings {
            alerts_max: count(self.alert_queue_capacity),
            batch_max: count(self.alert_batch_size),
        }
    }

    /// Every flag with its value in force, for the status page.
    fn flags(&self, memory_limit_bytes: u64) -> BTreeMap<String, String> {
        let config = self.config.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let alertmanager = self.alertmanager_config.as_ref();
        let alertmanager = alertmanager.map(|path| path.display().to_string()).unwrap_or_default();
        let log_format = if self.log_format == LogFormat::Json { "json" } else { "text" };
        [
            ("config", config),
            ("alertmanager-config", alertmanager),
            ("data", self.data.display().to_string()),
            ("listen", self.listen.clone()),
            ("otlp-grpc-listen", self.otlp_grpc_listen.clone().unwrap_or(OTLP_GRPC_LISTEN.to_owned())),
            ("memory-limit", format_size_bytes(memory_limit_bytes)),
            ("retention", format_duration_ms(self.retention)),
            ("retention-size", format_size_bytes(self.retention_size)),
            ("enable-quit", self.enable_quit.to_string()),
            ("enable-admin-api", self.enable_admin_api.to_string()),
            ("disable-reload", self.disable_reload.to_string()),
            ("query-timeout", format_duration_ms(self.query_timeout)),
            ("query-concurrency", self.query_concurrency.to_string()),
            ("query-max-samples", self.query_max_samples.to_string()),
            ("query-lookback", format_duration_ms(self.query_lookback)),
            ("disable-results-cache", self.disable_results_cache.to_string()),
            ("external-url", self.external_url.clone().unwrap_or_default()),
            ("alert-resend-delay", format_duration_ms(self.alert_resend_delay)),
            ("alert-outage-tolerance", format_duration_ms(self.alert_outage_tolerance)),
            ("alert-grace-period", format_duration_ms(self.alert_grace_period)),
            ("alert-queue-capacity", self.alert_queue_capacity.to_string()),
            ("alert-batch-size", self.alert_batch_size.to_string()),
            ("enable-feature", self.enable_feature.join(",")),
            ("log-format", log_format.to_owned()),
            ("log-level", self.log_level.clone()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

fn start_logging(arguments: &Arguments) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&arguments.log_level);
    let filter =
        filter.map_err(|error| UsageError(format!("--log-level {:?}: {error}", arguments.log_level)))?;
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // When nobody reads our log any more, a line is lost. To complain about that on standard error, as is the
    // default, would panic, and take with it whatever wanted to log: the answer to SIGTERM, for one.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(color)
        .log_internal_errors(false);
    let started = match arguments.log_format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}
