//! A job: as the file has it, and with every value decided.

use std::collections::BTreeMap;
use std::path::Path;

use http_client::InvalidSettings;
use model::relabel::Rule;
use model::size::ByteSize;
use model::time::DurationMs;
use serde::Deserialize;

use super::global::{Global, check_protocols};
use super::protocol::{EscapingScheme, ScrapeProtocol, ValidationScheme};

/// An element of `scrape_configs`, as the file has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScrapeConfig {
    /// The `job` label.
    pub job_name: String,
    /// Keep labels of the target that clash with ours.
    pub honor_labels: bool,
    /// Keep timestamps of the target. Default yes.
    pub honor_timestamps: bool,
    /// Mark vanished series stale even if they had timestamps.
    pub track_timestamps_staleness: bool,
    /// Parameters of the URL.
    pub params: BTreeMap<String, Vec<String>>,
    /// 0: the global one.
    pub scrape_interval: DurationMs,
    /// 0: the global one.
    pub scrape_timeout: DurationMs,
    /// Formats that are offered, the most wanted first.
    pub scrape_protocols: Option<Vec<ScrapeProtocol>>,
    /// How an answer without a known type is read. `None`: the scrape fails.
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,
    /// Take native histograms.
    pub scrape_native_histograms: Option<bool>,
    /// Take classic histograms even where there are native ones.
    pub always_scrape_classic_histograms: Option<bool>,
    /// Make native histograms of classic ones.
    pub convert_classic_histograms_to_nhcb: Option<bool>,
    /// Add `scrape_timeout_seconds`, `scrape_sample_limit`, `scrape_body_size_bytes`.
    pub extra_scrape_metrics: Option<bool>,
    /// File that lists failed scrapes.
    pub scrape_failure_log_file: String,
    /// Path of the URL. Default `/metrics`.
    pub metrics_path: String,
    /// `http` (default) or `https`.
    pub scheme: String,
    /// Ask for compressed answers. Default yes.
    pub enable_compression: bool,
    /// 0: the global one.
    pub body_size_limit: ByteSize,
    /// 0: the global one.
    pub sample_limit: u64,
    /// Kymo's own: most series of all targets together; new ones beyond it are left out. 0: the global one.
    pub series_limit: u64,
    /// 0: the global one.
    pub target_limit: u64,
    /// 0: the global one.
    pub label_limit: u64,
    /// 0: the global one.
    pub label_name_length_limit: u64,
    /// 0: the global one.
    pub label_value_length_limit: u64,
    /// Most buckets of a native histogram; more are merged. 0: no limit.
    pub native_histogram_bucket_limit: u64,
    /// Least growth from bucket to bucket; finer ones are merged. 0: no limit.
    pub native_histogram_min_bucket_factor: f64,
    /// 0: the global one.
    pub keep_dropped_targets: u64,
    /// Which names are allowed.
    pub metric_name_validation_scheme: Option<ValidationScheme>,
    /// How names that are not are asked for.
    pub metric_name_escaping_scheme: Option<EscapingScheme>,
    /// What is done with targets.
    pub relabel_configs: Vec<Rule>,
    /// What is done with samples.
    pub metric_relabel_configs: Vec<Rule>,
    /// Where targets come from, and how they are reached: all other keys.
    #[serde(rename = "*")]
    pub targets: discovery::settings::Section,
}

/// A job with every value decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The `job` label and the pool's name.
    pub name: String,
    /// Time between scrapes.
    pub interval_ms: i64,
    /// Longest time of a scrape; at most the interval.
    pub timeout_ms: i64,
    /// `http` or `https`.
    pub scheme: String,
    /// Path of the URL.
    pub metrics_path: String,
    /// Parameters of the URL.
    pub params: BTreeMap<String, Vec<String>>,
    /// Keep labels of the target that clash with ours.
    pub honor_labels: bool,
    /// Keep timestamps of the target.
    pub honor_timestamps: bool,
    /// Mark vanished series stale even if they had timestamps.
    pub track_timestamps_staleness: bool,
    /// Formats that are offered, the most wanted first; not empty.
    pub protocols: Vec<ScrapeProtocol>,
    /// How an answer without a known type is read. `None`: the scrape fails.
    pub fallback_protocol: Option<ScrapeProtocol>,
    /// Take native histograms.
    pub native_histograms: bool,
    /// Take classic histograms even where there are native ones.
    pub always_classic_histograms: bool,
    /// Make native histograms of classic ones.
    pub convert_to_nhcb: bool,
    /// Add `scrape_timeout_seconds`, `scrape_sample_limit`, `scrape_body_size_bytes`.
    pub extra_metrics: bool,
    /// Take `_created` of OpenMetrics as start timestamps of the samples they are about, not as series.
    /// [`Settings`](super::Settings) says so, for all jobs.
    pub start_timestamps: bool,
    /// Series get `__type__` and `__unit__` labels; [`Settings`](super::Settings) says so, for all jobs.
    pub type_and_unit_labels: bool,
    /// File that lists failed scrapes; empty: none.
    pub failure_log_file: String,
    /// Ask for compressed answers.
    pub compression: bool,
    /// Largest answer, uncompressed, in bytes. 0: no limit.
    pub body_size_limit_bytes: u64,
    /// Most samples of a scrape after relabelling. 0: no limit.
    pub sample_limit: u64,
    /// Most series of all targets together; new ones beyond it are left out, the others go on. 0: no limit.
    pub series_limit: u64,
    /// Most targets. 0: no limit.
    pub target_limit: u64,
    /// Most labels of a series. 0: no limit.
    pub label_limit: u64,
    /// Longest name of a label, in bytes. 0: no limit.
    pub label_name_length_limit: u64,
    /// Longest value of a label, in bytes. 0: no limit.
    pub label_value_length_limit: u64,
    /// Most buckets of a native histogram; more are merged. 0: no limit.
    pub native_histogram_bucket_limit: u64,
    /// Least growth from bucket to bucket; finer ones are merged. 0: no limit.
    pub native_histogram_min_bucket_factor: f64,
    /// Most dropped targets that can be asked about. 0: no limit.
    pub keep_dropped_targets: u64,
    /// Which names are allowed.
    pub validation: ValidationScheme,
    /// How names that are not are asked for.
    pub escaping: EscapingScheme,
    /// What is done with targets.
    pub relabel: Vec<Rule>,
    /// What is done with samples.
    pub metric_relabel: Vec<Rule>,
    /// How targets are reached.
    pub http: http_client::Settings,
    /// Where targets come from.
    pub discovery: discovery::Settings,
}

impl Default for ScrapeConfig {
    fn default() -> Self {
        Self {
            job_name: String::new(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            params: BTreeMap::new(),
            scrape_interval: DurationMs(0),
            scrape_timeout: DurationMs(0),
            scrape_protocols: None,
            fallback_scrape_protocol: None,
            scrape_native_histograms: None,
            always_scrape_classic_histograms: None,
            convert_classic_histograms_to_nhcb: None,
            extra_scrape_metrics: None,
            scrape_failure_log_file: String::new(),
            metrics_path: "/metrics".to_owned(),
            scheme: "http".to_owned(),
            enable_compression: true,
            body_size_limit: ByteSize(0),
            sample_limit: 0,
            series_limit: 0,
            target_limit: 0,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
            native_histogram_bucket_limit: 0,
            native_histogram_min_bucket_factor: 0.0,
            keep_dropped_targets: 0,
            metric_name_validation_scheme: None,
            metric_name_escaping_scheme: None,
            relabel_configs: Vec::new(),
            metric_relabel_configs: Vec::new(),
            targets: discovery::settings::Section::default(),
        }
    }
}

impl ScrapeConfig {
    /// Makes relative paths relative to `directory` instead of where the process runs.
    pub fn set_directory(&mut self, directory: &Path) {
        self.targets.set_directory(directory);
        if !self.scrape_failure_log_file.is_empty() {
            self.scrape_failure_log_file =
                directory.join(&self.scrape_failure_log_file).to_string_lossy().into_owned();
        }
    }

    /// Decides every value: the job's own, else the global one, else the default.
    ///
    /// # Errors
    /// The first contradiction, in Prometheus' words.
    pub fn resolve(self, global: &Global) -> Result<Job, InvalidSettings> {
        self.check()?;
        let (interval_ms, timeout_ms) = self.times(global)?;
        let (validation, escaping) = self.names(global)?;
        let native_histograms =
            self.scrape_native_histograms.or(global.scrape_native_histograms).unwrap_or(false);
        let protocols = self.protocols(global, native_histograms)?;
        let inherit = |own: u64, global: u64| if own == 0 { global } else { own };
        let discovery::settings::Section { discovery, http } = self.targets;
        Ok(Job {
            name: self.job_name,
            interval_ms,
            timeout_ms,
            scheme: self.scheme,
            metrics_path: self.metrics_path,
            params: self.params,
            honor_labels: self.honor_labels,
            honor_timestamps: self.honor_timestamps,
            track_timestamps_staleness: self.track_timestamps_staleness,
            protocols,
            fallback_protocol: self.fallback_scrape_protocol,
            native_histograms,
            always_classic_histograms: self
                .always_scrape_classic_histograms
                .unwrap_or(global.always_scrape_classic_histograms),
            convert_to_nhcb: self
                .convert_classic_histograms_to_nhcb
                .unwrap_or(global.convert_classic_histograms_to_nhcb),
            start_timestamps: false,
            extra_metrics: self.extra_scrape_metrics.or(global.extra_scrape_metrics).unwrap_or(false),
            type_and_unit_labels: false,
            failure_log_file: if self.scrape_failure_log_file.is_empty() {
                global.scrape_failure_log_file.clone()
            } else {
                self.scrape_failure_log_file
            },
            compression: self.enable_compression,
            body_size_limit_bytes: inherit(self.body_size_limit.0, global.body_size_limit.0),
            sample_limit: inherit(self.sample_limit, global.sample_limit),
            series_limit: inherit(self.series_limit, global.series_limit),
            target_limit: inherit(self.target_limit, global.target_limit),
            label_limit: inherit(self.label_limit, global.label_limit),
            label_name_length_limit: inherit(self.label_name_length_limit, global.label_name_length_limit),
            label_value_length_limit: inherit(self.label_value_length_limit, global.label_value_length_limit),
            native_histogram_bucket_limit: self.native_histogram_bucket_limit,
            native_histogram_min_bucket_factor: self.native_histogram_min_bucket_factor,
            keep_dropped_targets: inherit(self.keep_dropped_targets, global.keep_dropped_targets),
            validation,
            escaping,
            relabel: self.relabel_configs,
            metric_relabel: self.metric_relabel_configs,
            http,
            discovery,
        })
    }

    fn check(&self) -> Result<(), InvalidSettings> {
        // Prometheus reads the mechanisms of discovery, and finds their faults, before it looks at the name.
        self.targets.check(!self.relabel_configs.is_empty())?;
        if self.job_name.is_empty() {
            return Err(InvalidSettings::at(["job_name"], "job_name is empty"));
        }
        Ok(())
    }

    fn times(&self, global: &Global) -> Result<(i64, i64), InvalidSettings> {
        let own_or = |own: DurationMs, other: i64| if own.0 == 0 { other } else { own.0 };
        let interval_ms = own_or(self.scrape_interval, global.interval_ms());
        if self.scrape_timeout.0 > interval_ms {
            let message = format!(
                "scrape timeout greater than scrape interval for scrape config with job name {:?}",
                self.job_name
            );
            return Err(InvalidSettings::at(["scrape_timeout"], message));
        }
        Ok((interval_ms, own_or(self.scrape_timeout, global.timeout_ms().min(interval_ms))))
    }

    fn names(&self, global: &Global) -> Result<(ValidationScheme, EscapingScheme), InvalidSettings> {
        let validation = self.metric_name_validation_scheme.unwrap_or(global.validation());
        let escaping = match (self.metric_name_escaping_scheme, self.metric_name_validation_scheme) {
            (Some(own), _) => own,
            (None, None) => global.escaping(),
            (None, Some(own_validation)) => EscapingScheme::suiting(own_validation),
        };
        if escaping == EscapingScheme::AllowUtf8 && validation != ValidationScheme::Utf8 {
            return Err(InvalidSettings::at(
                ["metric_name_escaping_scheme"],
                "utf8 metric names requested but validation scheme is not set to UTF8",
            ));
        }
        Ok((validation, escaping))
    }

    fn protocols(&self, global: &Global, native: bool) -> Result<Vec<ScrapeProtocol>, InvalidSettings> {
        let protocols = match (&self.scrape_protocols, &global.scrape_protocols) {
            (Some(own), _) => own.clone(),
            (None, Some(global)) => global.clone(),
            (None, None) if native => ScrapeProtocol::DEFAULT_NATIVE.to_vec(),
            (None, None) => ScrapeProtocol::DEFAULT.to_vec(),
        };
        check_protocols(&protocols).map_err(|mut error| {
            error.message.push_str(&format!(" for scrape config with job name {:?}", self.job_name));
            error
        })?;
        Ok(protocols)
    }
}
