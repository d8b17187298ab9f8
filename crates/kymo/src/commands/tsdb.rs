//! `kymo tsdb`: what is stored, of a running server or in a folder that no server uses.
//!
//! Map: here `stats` · `verify` checks every byte · `transfer` dump and export, with `lines` their format · `import` what others stored · `backup` snapshots, and
//! data folders made of them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use model::TenantId;
use model::size::format_size_bytes;
use serde_json::{Value, json};
use tsdb::{Deps, Settings, Tsdb};

use crate::api_client::ApiClient;
use crate::cli::Outcome;
use crate::output::table::table;
use crate::output::time_text;

mod backup;
mod import;
mod lines;
mod transfer;
mod verify;

const EXAMPLES: &str = "\
Examples:
  kymo tsdb stats                            of the server on this machine
  kymo tsdb stats http://metrics:9090 --limit 20
  kymo tsdb stats ./data                     of a folder; no server may be using it";

const BACKUP_EXAMPLES: &str = "\
Examples:
  kymo tsdb snapshot http://localhost:9090   a running server, started with --enable-admin-api
  kymo tsdb snapshot ./data                  a folder; no server may be using it
  kymo tsdb restore ./data/snapshots/20260131T120000Z-6b1e /var/lib/kymo

A snapshot is made of hard links: it takes no room until the server deletes what it holds. To back up a running server, take
a snapshot and copy its folder away.";

const LINES_EXAMPLES: &str = "\
Examples:
  kymo tsdb dump ./data --match '{job=\"node\"}' --start 2026-01-31T00:00:00Z
  kymo tsdb export ./data series.jsonl       kymo tsdb import reads it
  kymo tsdb export ./data all.kymo --format native";

/// What can be said on the command line.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How much there is of what: series, labels, blocks.
    #[command(after_help = EXAMPLES)]
    Stats {
        /// A server's URL, or a data folder.
        #[arg(default_value = "http://localhost:9090", env = "KYMO_URL")]
        target: String,
        /// How many entries the rankings have.
        #[arg(long, default_value_t = 10)]
        limit: usize,
        /// Whose data.
        #[arg(long, value_name = "ID", default_value = "anonymous", env = "KYMO_TENANT")]
        tenant: String,
    },
    /// Check every checksum and decode everything, of a folder or a snapshot; names what is damaged.
    Verify {
        /// A data folder that no server uses, or a snapshot.
        directory: PathBuf,
    },
    /// Print samples, one line each.
    #[command(after_help = LINES_EXAMPLES)]
    Dump(transfer::Source),
    /// Write series to a file, of JSON lines or in Kymo's own form.
    #[command(after_help = LINES_EXAMPLES)]
    Export(transfer::ExportArguments),
    /// Read what others stored: Prometheus' data, OpenMetrics, Influx and JSON lines, another server.
    #[command(after_help = import::EXAMPLES)]
    Import(import::ImportArguments),
    /// Take a snapshot of a running server, or of a folder.
    #[command(after_help = BACKUP_EXAMPLES)]
    Snapshot(backup::SnapshotArguments),
    /// Make a new data folder of a snapshot.
    #[command(after_help = BACKUP_EXAMPLES)]
    Restore(backup::RestoreArguments),
}

pub(crate) fn run(arguments: Arguments, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    match arguments.what {
        What::Stats { target, limit, tenant } => stats(&target, limit, &tenant, out),
        What::Verify { directory } => verify::run(&directory, out),
        What::Dump(source) => transfer::dump(&source, out),
        What::Export(arguments) => transfer::export(&arguments, out),
        What::Import(arguments) => import::run(&arguments, out),
        What::Snapshot(arguments) => backup::snapshot(&arguments, out),
        What::Restore(arguments) => backup::restore(&arguments, out),
    }
}

fn stats(target: &str, limit: usize, tenant: &str, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    if target.starts_with("http://") || target.starts_with("https://") {
        let api = ApiClient::new(target, Some(tenant), Duration::from_secs(60))?;
        let answer = api.get("status/tsdb", &[("limit", limit.to_string())])?;
        print_head(out, &answer.data)?;
    } else {
        print_folder(out, PathBuf::from(target), limit, &TenantId::new(tenant)?)?;
    }
    Ok(Outcome::Success)
}

/// Says why a folder is none of ours.
fn check_folder(directory: &Path) -> anyhow::Result<()> {
    if !directory.is_dir() {
        bail!("{} is neither a folder nor a URL (http://…)", directory.display());
    }
    if !directory.join("wal").is_dir() && !directory.join("tenants").is_dir() {
        bail!("{} holds no data of Kymo (neither a folder wal nor tenants)", directory.display());
    }
    Ok(())
}

/// The engine on a folder. Nothing is deleted or refused for its age while somebody only looks or copies.
fn open(directory: PathBuf) -> anyhow::Result<Arc<Tsdb>> {
    let settings = Settings {
        directory,
        retention_ms: i64::MAX / 2,
        retention_bytes: None,
        future_ms_max: i64::MAX / 2,
        ..Settings::default()
    };
    Ok(Tsdb::open(settings, Deps::system())?)
}

/// What `/api/v1/status/tsdb` answers.
fn print_head(out: &mut dyn Write, data: &Value) -> anyhow::Result<()> {
    let head = &data["headStats"];
    let time = |key: &str| match head[key].as_i64() {
        Some(ms) if ms != i64::MIN && ms != i64::MAX => time_text(ms as f64 / 1000.0, "%Y-%m-%d %H:%M:%S"),
        _ => "-".to_owned(),
    };
    writeln!(out, "series in the head  {}", head["numSeries"])?;
    writeln!(out, "label pairs         {}", head["numLabelPairs"])?;
    writeln!(out, "chunks              {}", head["chunkCount"])?;
    writeln!(out, "oldest sample       {}", time("minTime"))?;
    writeln!(out, "newest sample       {}", time("maxTime"))?;
    for (key, title, number) in [
        ("seriesCountByMetricName", "METRIC", "SERIES"),
        ("labelValueCountByLabelName", "LABEL", "VALUES"),
        ("memoryInBytesByLabelName", "LABEL", "BYTES"),
        ("seriesCountByLabelValuePair", "PAIR", "SERIES"),
    ] {
        let row = |entry: &Value| {
            vec![entry["name"].as_str().unwrap_or_default().to_owned(), entry["value"].to_string()]
        };
        let rows: Vec<Vec<String>> = data[key].as_array().into_iter().flatten().map(row).collect();
        write!(out, "\n{}", table(&[title, number], &[false, true], &rows))?;
    }
    Ok(())
}

fn print_folder(
    out: &mut dyn Write,
    directory: PathBuf,
    limit: usize,
    tenant: &TenantId,
) -> anyhow::Result<()> {
    check_folder(&directory)?;
    let tsdb = open(directory)?;
    let stats = tsdb.stats(tenant, limit);
    let list = |list: &[(String, u64)]| {
        list.iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<Value>>()
    };
    let data = json!({
        "headStats": {
            "numSeries": stats.series_count,
            "numLabelPairs": stats.label_pair_count,
            "chunkCount": stats.chunk_count,
            "minTime": stats.min_time_ms,
            "maxTime": stats.max_time_ms,
        },
        "seriesCountByMetricName": list(&stats.series_count_by_metric),
        "labelValueCountByLabelName": list(&stats.value_count_by_label),
        "memoryInBytesByLabelName": list(&stats.bytes_by_label),
        "seriesCountByLabelValuePair": list(&stats.series_count_by_pair),
    });
    print_head(out, &data)?;
    writeln!(out, "\njournal             {}", format_size_bytes(stats.wal_bytes))?;
    let time = |ms: i64| time_text(ms as f64 / 1000.0, "%Y-%m-%d %H:%M:%S");
    let rows: Vec<Vec<String>> = stats
        .blocks
        .iter()
        .map(|block| {
            let per_sample = block.bytes as f64 / block.sample_count.max(1) as f64;
            vec![
                block.id.to_string(),
                block.level.to_string(),
                time(block.min_time_ms),
                time(block.max_time_ms),
                block.series_count.to_string(),
                block.sample_count.to_string(),
                block.bytes.to_string(),
                format!("{per_sample:.2}"),
            ]
        })
        .collect();
    let header = ["BLOCK", "LEVEL", "FROM", "TO", "SERIES", "SAMPLES", "BYTES", "BYTES/SAMPLE"];
    let right = [true, true, false, false, true, true, true, true];
    write!(out, "\n{}", table(&header, &right, &rows))?;
    Ok(())
}
