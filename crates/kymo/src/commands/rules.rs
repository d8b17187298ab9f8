//! `kymo rules`: what rules would have done, and what they would have written.
//!
//! Map: [`backtest`] alerts and pages of the past · [`backfill`] results of recording rules, written backwards · here what both share.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::api_client::ApiClient;
use crate::cli::Outcome;

mod backfill;
mod backtest;

/// What can be said on the command line.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    /// The server whose data is used.
    #[arg(long, global = true, default_value = "http://localhost:9090", env = "KYMO_URL")]
    url: String,
    /// Whose data; without it, the data of those who name nobody.
    #[arg(long, global = true, value_name = "ID", env = "KYMO_TENANT")]
    tenant: Option<String>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Which alerts and pages rules would have raised in the past.
    #[command(after_help = backtest::EXAMPLES)]
    Backtest(backtest::Arguments),
    /// Write what recording rules would have written in the past.
    #[command(after_help = backfill::EXAMPLES)]
    Backfill(backfill::Arguments),
}

/// The server ends a request sooner.
const TIMEOUT: Duration = Duration::from_secs(3_600);

pub(crate) fn run(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let api = ApiClient::new(&arguments.url, arguments.tenant.as_deref(), TIMEOUT)?;
    match arguments.what {
        What::Backtest(what) => backtest::run(&what, &api, out, err),
        What::Backfill(what) => backfill::run(&what, &arguments.url, &api, out),
    }
}

/// Rule files as the API takes them.
fn named(files: &[PathBuf]) -> anyhow::Result<Value> {
    let named = files.iter().map(|path| Ok(json!({"name": path.display().to_string(), "text": read(path)?})));
    Ok(Value::Array(named.collect::<anyhow::Result<_>>()?))
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
