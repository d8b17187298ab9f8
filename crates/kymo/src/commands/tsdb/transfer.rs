//! `kymo tsdb dump` and `export`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use api::native_export::Everything;
use clap::{Args, ValueEnum};
use model::{Matcher, TenantId, UNKNOWN_START_MS};
use storage::{Querier, QueryContext, SelectHints, SelectRequest, SeriesSamples};
use tsdb::Tsdb;
use wire::json_lines::histogram::{self, number};

use super::lines;
use crate::cli::{Outcome, UsageError};
use crate::output::progress::Progress;

/// Samples of one line, so that whoever reads it needs little memory.
const LINE_SAMPLES_MAX: usize = 10_000;

/// What is read.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// A data folder that no server uses, or a snapshot.
    directory: PathBuf,
    /// Only series that a selector selects, such as '{job="node"}'; may be given several times.
    #[arg(long = "match", value_name = "SELECTOR")]
    selectors: Vec<String>,
    /// Only samples from this time on: Unix seconds or RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = parse_time_ms)]
    start: Option<i64>,
    /// Only samples up to this time.
    #[arg(long, value_name = "TIME", value_parser = parse_time_ms)]
    end: Option<i64>,
    /// Whose data.
    #[arg(long, value_name = "ID", default_value = "anonymous", env = "KYMO_TENANT")]
    tenant: String,
    /// How a line looks.
    #[arg(long, short, value_enum, default_value = "text")]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Series, value and time in milliseconds, of each sample.
    Text,
    /// Series with all their samples, as `export` writes them.
    Json,
}

/// What can be said about `export`.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    #[command(flatten)]
    source: Source,
    /// The file to write; it must not be there.
    file: PathBuf,
    /// What the file holds.
    #[arg(long, value_enum, default_value = "json")]
    format: FileFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    /// JSON lines: samples.
    Json,
    /// Kymo's own form: samples, exemplars and metadata, compressed and checksummed, as /api/v1/export/native answers.
    Native,
}

/// Unix seconds or RFC 3339, in milliseconds.
pub(super) fn parse_time_ms(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Ok((seconds * 1000.0).round() as i64);
    }
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed
        .map(|time| time.as_millisecond())
        .map_err(|_| "write Unix seconds, or 2026-01-31T12:00:00Z".to_owned())
}

pub(super) fn dump(source: &Source, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    source.visit(|labels, samples| {
        if source.output == Format::Json {
            return Ok(writeln!(out, "{}", lines::line(labels, samples))?);
        }
        let floats = &samples.floats;
        for (at, (timestamp_ms, value)) in floats.timestamps_ms.iter().zip(&floats.values).enumerate() {
            let value = number(*value);
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            writeln!(out, "{labels} {text} {timestamp_ms}{}", since(floats.starts.get(at)))?;
        }
        let histograms = &samples.histograms;
        for (at, (timestamp_ms, value)) in histograms.timestamps_ms.iter().zip(&histograms.values).enumerate()
        {
            let value = histogram::write(value);
            writeln!(out, "{labels} {value} {timestamp_ms}{}", since(histograms.starts.get(at)))?;
        }
        Ok(())
    })?;
    Ok(Outcome::Success)
}

/// A start timestamp behind a sample, in OpenMetrics' later spelling.
fn since(start_ms: i64) -> String {
    if start_ms == UNKNOWN_START_MS { String::new() } else { format!(" st@{start_ms}") }
}

pub(super) fn export(arguments: &ExportArguments, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let path = arguments.file.display();
    let file = File::create_new(&arguments.file).with_context(|| format!("cannot make {path}"))?;
    let mut writer = BufWriter::new(file);
    let (mut line_count, mut sample_count) = (0u64, 0u64);
    if arguments.format == FileFormat::Native {
        let written = native(&arguments.source, &mut writer)
            .and_then(|count| Ok((count, writer.flush()?)))
            .and_then(|(count, ())| Ok((count, writer.get_ref().sync_all()?)))
            .with_context(|| format!("{path} is not complete"))?;
        writeln!(out, "{} samples written to {path}", written.0)?;
        return Ok(Outcome::Success);
    }
    arguments
        .source
        .visit(|labels, samples| {
            line_count += 1;
            sample_count += samples.len() as u64;
            Ok(writeln!(writer, "{}", lines::line(labels, samples))?)
        })
        .and_then(|_| Ok(writer.flush()?))
        .and_then(|()| Ok(writer.get_ref().sync_all()?))
        .with_context(|| format!("{path} is not complete"))?;
    writeln!(out, "{sample_count} samples in {line_count} lines written to {path}")?;
    Ok(Outcome::Success)
}

/// Writes everything in Kymo's own form; how many samples that were.
fn native(source: &Source, writer: &mut BufWriter<File>) -> anyhow::Result<u64> {
    let (mut everything, mut sample_count) = (Everything::new(), 0);
    let tsdb = source.visit(|labels, samples| {
        everything.add(labels, samples);
        sample_count += samples.len() as u64;
        Ok(writer.write_all(&everything.take())?)
    })?;
    let range_ms = (source.start.unwrap_or(i64::MIN), source.end.unwrap_or(i64::MAX));
    let tenant = TenantId::new(&source.tenant)?;
    writer.write_all(&everything.finish(&*tsdb, &tenant, &source.matcher_sets()?, range_ms)?)?;
    Ok(sample_count)
}

impl Source {
    /// Calls `visit` with all samples, at most [`LINE_SAMPLES_MAX`] at a time; returns where they came from.
    fn visit(
        &self,
        mut visit: impl FnMut(&model::Labels, &SeriesSamples) -> anyhow::Result<()>,
    ) -> anyhow::Result<Arc<Tsdb>> {
        super::check_folder(&self.directory)?;
        let tenant = TenantId::new(&self.tenant)?;
        let sets = self.matcher_sets()?;
        let tsdb = super::open(self.directory.clone())?;
        let (mut samples, mut part) = (SeriesSamples::default(), SeriesSamples::default());
        for (at, matchers) in sets.iter().enumerate() {
            let request = SelectRequest {
                matchers,
                start_ms: self.start.unwrap_or(i64::MIN),
                end_ms: self.end.unwrap_or(i64::MAX),
                hints: SelectHints::default(),
            };
            let set = tsdb.select(&tenant, &request, &QueryContext::unlimited())?;
            let mut progress = Progress::counting("reading", set.len() as u64, "series");
            for series in 0..set.len() {
                let labels = set.labels(series);
                progress.add(1);
                if sets[..at].iter().any(|earlier| model::matcher::matches_all(earlier, labels)) {
                    continue;
                }
                set.read(series, &mut samples)?;
                for range in ranges(&samples) {
                    cut(&samples, range, &mut part);
                    visit(labels, &part)?;
                }
            }
        }
        Ok(tsdb)
    }

    fn matcher_sets(&self) -> anyhow::Result<Vec<Vec<Matcher>>> {
        let sets = parse_selectors(&self.selectors)?;
        Ok(if sets.is_empty() { vec![Vec::new()] } else { sets })
    }
}

/// The matchers of each `--match`.
pub(super) fn parse_selectors(selectors: &[String]) -> anyhow::Result<Vec<Vec<Matcher>>> {
    let parse = |text: &String| match promql::parser::parse_selector(text) {
        Ok(selector) => Ok(selector.matchers),
        Err(faults) => {
            Err(UsageError(format!("--match {text}: {}", promql::QueryError::Parse(faults))).into())
        }
    };
    selectors.iter().map(parse).collect()
}

/// Places of samples, floats first, in parts.
fn ranges(samples: &SeriesSamples) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
    let len = samples.len();
    (0..len).step_by(LINE_SAMPLES_MAX).map(move |start| start..(start + LINE_SAMPLES_MAX).min(len))
}

fn cut(samples: &SeriesSamples, range: std::ops::Range<usize>, into: &mut SeriesSamples) {
    into.clear();
    let count = samples.floats.timestamps_ms.len();
    let floats = range.start.min(count)..range.end.min(count);
    let histograms = range.start.max(count) - count..range.end.max(count) - count;
    into.floats.timestamps_ms.extend_from_slice(&samples.floats.timestamps_ms[floats.clone()]);
    into.floats.values.extend_from_slice(&samples.floats.values[floats.clone()]);
    into.floats.starts.extend_at(0, samples.floats.starts.slice(floats.start, floats.end));
    into.histograms.timestamps_ms.extend_from_slice(&samples.histograms.timestamps_ms[histograms.clone()]);
    into.histograms.values.extend_from_slice(&samples.histograms.values[histograms.clone()]);
    into.histograms.starts.extend_at(0, samples.histograms.starts.slice(histograms.start, histograms.end));
}
