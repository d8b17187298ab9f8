//! `kymo tsdb`: what is stored, of a running server or in a folder that no server uses.

use std::io::Write;
use std::path::PathBuf;
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

const EXAMPLES: &str = "\
Examples:
  kymo tsdb stats                            of the server on this machine
  kymo tsdb stats http://metrics:9090 --limit 20
  kymo tsdb stats ./data                     of a folder; no server may be using it";

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
        #[arg(default_value = "http://localhost:9090")]
        target: String,
        /// How many entries the rankings have.
        #[arg(long, default_value_t = 10)]
        limit: usize,
        /// Whose data.
        #[arg(long, value_name = "ID", default_value = "anonymous", env = "KYMO_TENANT")]
        tenant: String,
    },
}

pub(crate) fn run(arguments: Arguments, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let What::Stats { target, limit, tenant } = arguments.what;
    if target.starts_with("http://") || target.starts_with("https://") {
        let api = ApiClient::new(&target, Some(&tenant), Duration::from_secs(60))?;
        let answer = api.get("status/tsdb", &[("limit", limit.to_string())])?;
        print_head(out, &answer.data)?;
    } else {
        print_folder(out, PathBuf::from(target), limit, &TenantId::new(&tenant)?)?;
    }
    Ok(Outcome::Success)
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
    if !directory.is_dir() {
        bail!("{} is neither a folder nor a URL (http://…)", directory.display());
    }
    if !directory.join("wal").is_dir() && !directory.join("tenants").is_dir() {
        bail!("{} holds no data of Kymo (neither a folder wal nor tenants)", directory.display());
    }
    // Nothing is deleted for its age while somebody only looks.
    let settings =
        Settings { directory, retention_ms: i64::MAX / 2, retention_bytes: None, ..Settings::default() };
    let tsdb = Tsdb::open(settings, Deps::system())?;
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
