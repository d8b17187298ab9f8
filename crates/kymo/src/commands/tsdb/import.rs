//! `kymo tsdb import`: what others stored, into a data folder or a running server.
//!
//! Map: here the command line, and which reader a source needs · `intake` filters what readers find, writes it in batches and counts ·
//! `sink` where it goes · `resume` how far it is, for a second attempt · `data_directory` Prometheus' folders: `block` and `log` their parts,
//! `window` their files · `text` files of lines · `native` Kymo's own exports · `remote` another server, asked by remote read.
//!
//! Every reader is idempotent: what is written a second time is a duplicate, and storage ignores those. So an import that was interrupted goes on
//! a little before the place where it stood.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use model::TenantId;

use self::intake::{Filter, Intake};
use self::resume::Resume;
use self::sink::Sink;
use self::text::Format;
use super::transfer::{parse_selectors, parse_time_ms};
use crate::cli::{Outcome, UsageError};

mod block;
mod data_directory;
mod intake;
mod log;
mod native;
mod remote;
mod resume;
mod sink;
mod text;
mod window;

pub(super) const EXAMPLES: &str = "\
Examples:
  kymo tsdb import ./data /var/lib/prometheus/metrics2      all of a Prometheus, which must be stopped
  kymo tsdb import --url http://localhost:9090 ./prom-data  the same, into a running server
  kymo tsdb import ./data snapshot/01HF…                    one block, or a snapshot
  kymo tsdb import ./data history.om.gz                     OpenMetrics, as promtool takes it
  kymo tsdb import ./data points.influx --precision s
  curl -s http://kymo:9090/api/v1/export/native -d 'match[]={job=\"a\"}' | kymo tsdb import ./data -
  curl -s http://victoria:8428/api/v1/export -d 'match[]={job=\"a\"}' | kymo tsdb import ./data - --format json
  kymo tsdb import ./data --from-url http://prometheus:9090 --start 2026-01-01T00:00:00Z --match '{job=\"node\"}'

Sources may be compressed by gzip or zstd. An import that was interrupted goes on where it stood if it is started again from the same directory.
Exit codes: 0 everything is in, 1 something was damaged or refused (all else is in) or it failed, 2 the command line is wrong.";

/// What can be said about `import`.
#[derive(Debug, Args)]
#[command(override_usage = "kymo tsdb import [OPTIONS] DIRECTORY SOURCE\n       \
    kymo tsdb import [OPTIONS] --url URL SOURCE\n       kymo tsdb import [OPTIONS] DIRECTORY --from-url URL --start TIME")]
pub(super) struct ImportArguments {
    /// The data folder to write (no server may be using it; made if it is missing), unless --url is given; then what to read, unless
    /// --from-url is given: a folder or a block of Prometheus, a file, or - for standard input.
    #[arg(value_name = "PATH", num_args = 0..=2)]
    paths: Vec<PathBuf>,
    /// Write into this running server, by remote write.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Read from this server, by remote read.
    #[arg(long, value_name = "URL", requires = "start")]
    from_url: Option<String>,
    /// What lines mean; found out by name and content if not said.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Unit of the times in an Influx file.
    #[arg(long, value_name = "ns|us|ms|s|m|h", default_value = "ns", value_parser = text::parse_precision)]
    precision: wire::influx::Precision,
    /// Only series that a selector selects, such as '{job="node"}'; may be given several times.
    #[arg(long = "match", value_name = "SELECTOR")]
    selectors: Vec<String>,
    /// Only samples from this time on: Unix seconds or RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = parse_time_ms)]
    start: Option<i64>,
    /// Only samples up to this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time_ms)]
    end: Option<i64>,
    /// Where to keep how far the import is; a file in the current directory if not said. Removed when all is in.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Whose data.
    #[arg(long, value_name = "ID", default_value = "anonymous", env = "KYMO_TENANT")]
    tenant: String,
}

/// What is read.
enum Source {
    Data(PathBuf),
    Lines(PathBuf),
    Server(String),
}

impl Source {
    fn text(&self) -> String {
        match self {
            Self::Data(path) | Self::Lines(path) => {
                std::fs::canonicalize(path).unwrap_or_else(|_| path.clone()).display().to_string()
            }
            Self::Server(url) => url.clone(),
        }
    }
}

pub(super) fn run(arguments: &ImportArguments, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let (directory, source) = arguments.places()?;
    if let Source::Lines(path) = &source {
        check_readable(path)?;
    }
    let tenant = TenantId::new(&arguments.tenant)?;
    let selectors = parse_selectors(&arguments.selectors)?;
    let range_ms = (arguments.start.unwrap_or(i64::MIN), arguments.end.unwrap_or(i64::MAX));
    let filter = Filter::new(selectors, range_ms);
    let destination = match (&directory, &arguments.url) {
        (Some(directory), _) => directory.display().to_string(),
        (None, url) => url.clone().unwrap_or_default(),
    };
    let resume = arguments.resume(&source, &destination)?;
    let sink = match directory {
        Some(directory) => Sink::folder(&directory, tenant)?,
        None => Sink::server(&destination, &tenant)?,
    };
    let mut intake = Intake::new(sink, filter, resume);
    let read = match &source {
        Source::Data(path) => data_directory::import(path, &mut intake),
        Source::Lines(path) => text::import(path, arguments.format, arguments.precision, &mut intake),
        Source::Server(url) => remote::import(url, arguments, &mut intake),
    };
    // What is in stays in, whatever happened then.
    let counts = intake.finish(read.is_ok())?;
    read?;
    writeln!(out, "{} samples imported into {destination}", counts.sample_count)?;
    for (count, what) in
        [(counts.refused_count, "samples were refused"), (counts.fault_count, "faults were met")]
    {
        if count > 0 {
            writeln!(out, "{count} {what}, see above")?;
        }
    }
    let is_complete = counts.refused_count == 0 && counts.fault_count == 0;
    Ok(if is_complete { Outcome::Success } else { Outcome::Faults })
}

impl ImportArguments {
    /// The folder to write, if there is one, and what to read.
    fn places(&self) -> anyhow::Result<(Option<PathBuf>, Source)> {
        let wrong = |text: &str| Err(UsageError(text.to_owned()).into());
        let mut paths = self.paths.iter();
        let directory = if self.url.is_none() { paths.next().cloned() } else { None };
        if self.url.is_none() && directory.is_none() {
            return wrong("say where to: a data folder, or --url with that of a running server");
        }
        let source = match (&self.from_url, paths.next()) {
            (Some(url), None) => Source::Server(url.clone()),
            (None, Some(path)) if path.is_dir() => Source::Data(path.clone()),
            (None, Some(path)) => Source::Lines(path.clone()),
            (None, None) => {
                return wrong("say what to import: a folder of Prometheus, a file, or --from-url");
            }
            (Some(_), Some(_)) => return wrong("either a path or --from-url is the source, not both"),
        };
        if paths.next().is_some() {
            return wrong("with --url, name only what to import");
        }
        Ok((directory, source))
    }

    /// Where an earlier attempt at the same stood.
    fn resume(&self, source: &Source, destination: &str) -> anyhow::Result<Option<Resume>> {
        if matches!(source, Source::Lines(path) if path.as_os_str() == "-") {
            return Ok(None);
        }
        let what = format!(
            "{} tenant={} match={:?} start={:?} end={:?}",
            source.text(),
            self.tenant,
            self.selectors,
            self.start,
            self.end
        );
        Resume::open(self.state.as_deref(), &what, destination).map(Some)
    }
}

/// An error if a path is not there, before anything is made.
fn check_readable(path: &Path) -> anyhow::Result<()> {
    if path.as_os_str() == "-" {
        return Ok(());
    }
    std::fs::metadata(path).map(drop).with_context(|| format!("cannot read {}", path.display()))
}

/// Refuses a folder that is not what it is taken for.
fn refuse<T>(path: &Path, what: &str) -> anyhow::Result<T> {
    bail!("{} {what}", path.display())
}
