//! The configuration file: a superset of prometheus.yml, read once and split into each crate's settings.
//!
//! Map: [`file`] the file's sections, each read and checked as Prometheus does · `alertmanager` who is told of alerts · `alerting`, `remote`, `storage`, `rule_files`,
//! `query`, `promql`, `push`, `otlp`, `tracing` sections with more than a few keys · `nulls` list elements without a value · `expand`
//! environment variables in external labels · here what is made of all that.
//!
//! Whatever Prometheus loads, loads. Sections that Kymo does not act on yet load with a warning that says what
//! will not happen ([`Config::warnings`]); `docs/user/configuration.md` lists them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http_client::InvalidSettings;
use model::Labels;
use scrape::settings::{Global, Job, ScrapeConfig};
use yaml::Document;

use crate::features::Features;
use file::File;

mod alerting;
mod alertmanager;
mod expand;
mod file;
mod nulls;
mod otlp;
mod promql;
mod push;
mod query;
mod remote;
mod rule_files;
mod storage;
mod tracing;

pub use alertmanager::{NotifierConfig, WatchdogConfig, load as load_alertmanager};
pub use query::QueryConfig;
pub use storage::StorageConfig;

/// A configuration, every value decided.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The `global` section.
    pub global: Global,
    /// `global.external_labels`, environment variables filled in.
    pub external_labels: Labels,
    /// What is scraped.
    pub scrape: scrape::Settings,
    /// How long and how much is stored, if the file says.
    pub storage: StorageConfig,
    /// Features that are switched on.
    pub features: Features,
    /// Listeners, and groups of text pushes.
    pub push: api::PushSettings,
    /// Limits of queries, if the file says.
    pub query: QueryConfig,
    /// Where queries are logged.
    pub query_log: Option<PathBuf>,
    /// How OpenTelemetry's metrics become series.
    pub otlp: Arc<wire::otlp::convert::Settings>,
    /// Rules, and what they inherit; where this server is reached is not known here.
    pub rules: rules::Settings,
    /// Outside Alertmanagers.
    pub alertmanagers: rules::alertmanagers::Settings,
    /// Who gets a copy of what is written.
    pub receivers: Vec<forward::Settings>,
    /// Who is told of alerts.
    pub notifier: NotifierConfig,
    /// What the file asks for and will not happen, one sentence each.
    pub warnings: Vec<String>,
    /// The file again, secrets hidden.
    pub redacted: String,
}

/// A fault of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and where.
    pub fault: Box<yaml::Error>,
}

impl ConfigError {
    fn new(path: &Path, fault: yaml::Error) -> Self {
        Self { path: path.to_owned(), fault: Box::new(fault) }
    }
}

impl fmt::Display for ConfigError {
    /// `prometheus.yml:12:5: scrape_configs[0]: unknown key "scrap_interval"; did you mean "scrape_interval"?`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(mark) = self.fault.mark {
            write!(f, ":{}:{}", mark.line, mark.column)?;
        }
        write!(f, ": {}", self.fault.text())
    }
}

impl std::error::Error for ConfigError {}

/// Reads and checks a file and those that it names in `scrape_config_files`. Relative paths in a file are
/// relative to its folder. `variable` looks up environment variables. `features` are on whatever the file says.
///
/// # Errors
/// The first fault, with file, line, keys and remedy.
pub fn load(
    path: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
    mut features: Features,
) -> Result<Config, ConfigError> {
    let (document, mut file): (_, File) = read(path)?;
    let fault = |error: InvalidSettings| ConfigError::new(path, document.fault(&error.path, error.message));
    file.check().map_err(fault)?;
    let mut warnings = features.enable(&file.promql.enable_features);
    if features.extra_scrape_metrics {
        file.global.extra_scrape_metrics.get_or_insert(true);
    }
    let directory = path.parent().unwrap_or(Path::new(""));
    file.global.set_directory(directory);
    let mut jobs = resolve_jobs(path, &document, std::mem::take(&mut file.scrape_configs), &file.global)?;
    for (i, pattern) in file.scrape_config_files.iter().enumerate() {
        let at =
            |message: String| fault(InvalidSettings::at(["scrape_config_files", &i.to_string()], message));
        for found in matching_files(directory, pattern).map_err(at)? {
            jobs.extend(load_jobs(&found, &file.global)?);
        }
    }
    refuse_same_names(&jobs)?;
    warnings.extend(unheeded(&file, jobs.iter().map(|job| &job.job)));
    let external_labels = Labels::from_pairs(expand::expand(&file.global.external_labels, variable));
    let rules = rule_files::load(
        directory,
        &file.rule_files,
        &file.global,
        &external_labels,
        file.rules.repair_missed.0,
    );
    let rules = rules.map_err(|fault| fault.into_config_error(path, &document))?;
    Ok(Config {
        rules,
        alertmanagers: file.alerting.settings(directory, &external_labels),
        notifier: file.alertmanager.load(directory)?,
        receivers: remote::receivers(&file.remote_write, &external_labels),
        external_labels,
        scrape: scrape::Settings {
            jobs: jobs.into_iter().map(|job| job.job).collect(),
            host_collector: file.host_collector.settings(&file.global),
            type_and_unit_labels: features.type_and_unit_labels,
            start_timestamps: features.start_timestamps,
        },
        storage: file.storage.config(),
        otlp: Arc::new(file.otlp.settings(&features)),
        features,
        push: file.push.settings(),
        query: file.query.config(),
        query_log: Some(&file.global.query_log_file)
            .filter(|path| !path.is_empty())
            .map(|path| directory.join(path)),
        global: file.global,
        warnings,
        redacted: document.print_redacted(),
    })
}

/// What runs without a file: this machine is watched. (That Kymo watches itself, too, is the server's business.)
///
/// # Errors
/// None; the text is ours.
pub fn without_file(features: Features) -> Result<Config, ConfigError> {
    let text = "global:\n  scrape_interval: 15s\nhost_collector:\n  enabled: true\n";
    let read = move || {
        let document = Document::parse(text)?;
        let file: File = document.read()?;
        Ok(Config {
            scrape: scrape::Settings {
                jobs: Vec::new(),
                host_collector: file.host_collector.settings(&file.global),
                type_and_unit_labels: features.type_and_unit_labels,
                start_timestamps: features.start_timestamps,
            },
            otlp: Arc::new(file.otlp.settings(&features)),
            features,
            global: file.global,
            redacted: document.print_redacted(),
            ..Config::default()
        })
    };
    read().map_err(|fault| ConfigError::new(Path::new("(built-in configuration)"), fault))
}

/// A job, and where it was found.
struct FoundJob {
    job: Job,
    file: PathBuf,
    at: yaml::Error,
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<(Document, T), ConfigError> {
    let unreadable = |error: std::io::Error| yaml::Error::new(format!("cannot read the file: {error}"));
    let bytes = std::fs::read(path).map_err(|error| ConfigError::new(path, unreadable(error)))?;
    let read = || {
        let document = Document::parse_bytes(&bytes)?;
        nulls::refuse(&document)?;
        let content = document.read()?;
        Ok((document, content))
    };
    read().map_err(|fault| ConfigError::new(path, fault))
}

fn resolve_jobs(
    path: &Path,
    document: &Document,
    configs: Vec<ScrapeConfig>,
    global: &Global,
) -> Result<Vec<FoundJob>, ConfigError> {
    let directory = path.parent().unwrap_or(Path::new(""));
    let resolve = |(i, mut config): (usize, ScrapeConfig)| {
        config.set_directory(directory);
        let job = config.resolve(global).map_err(|error| {
            let error = error.within(i).within("scrape_configs");
            ConfigError::new(path, document.fault(&error.path, error.message))
        })?;
        let message = format!("found multiple scrape configs with job name {:?}", job.name);
        let at = document.fault(&["scrape_configs", &i.to_string(), "job_name"], message);
        Ok(FoundJob { job, file: path.to_owned(), at })
    };
    configs.into_iter().enumerate().map(resolve).collect()
}

/// A file that `scrape_config_files` names: it holds `scrape_configs` and nothing else.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct JobsFile {
    scrape_configs: Vec<ScrapeConfig>,
}

fn load_jobs(path: &Path, global: &Global) -> Result<Vec<FoundJob>, ConfigError> {
    let (document, file): (_, JobsFile) = read(path)?;
    resolve_jobs(path, &document, file.scrape_configs, global)
}

fn refuse_same_names(jobs: &[FoundJob]) -> Result<(), ConfigError> {
    let mut first: BTreeMap<&str, &FoundJob> = BTreeMap::new();
    for found in jobs {
        if let Some(first) = first.insert(&found.job.name, found) {
            let line = first.at.mark.map_or(0, |mark| mark.line);
            let place = format!("the first is in {}, line {line}", first.file.display());
            return Err(ConfigError::new(&found.file, found.at.clone().with_remedy(place)));
        }
    }
    Ok(())
}

/// Files of a pattern whose last part may hold `*`, sorted. A file that is not there is none, as with
/// Prometheus.
fn matching_files(directory: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let pattern = directory.join(pattern);
    let text = pattern.to_str().ok_or("the path is not UTF-8")?;
    let paths = glob::glob(text).map_err(|error| format!("not a pattern of files: {error}"))?;
    paths.map(|found| found.map_err(|error| format!("cannot read: {error}"))).collect()
}

/// What the file asks for and will not happen.
fn unheeded<'a>(file: &File, jobs: impl Iterator<Item = &'a Job>) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |really: bool, text: &str| {
        if really {
            warnings.push(text.to_owned());
        }
    };
    warn(!file.remote_read.is_empty(), "remote_read: other servers are not asked yet");
    warn(file.tracing.is_some(), "tracing: traces are not sent yet");
    warnings.extend(file.alerting.unheeded());
    for job in jobs {
        for key in &job.discovery.unsupported {
            warnings.push(format!(
                "scrape job {:?}: {key} is not supported yet; its targets are missing",
                job.name
            ));
        }
    }
    warnings
}
