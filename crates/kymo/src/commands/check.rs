//! `kymo check`: faults of files, found before a server finds them.

use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::cli::Outcome;
use crate::config;
use crate::features::Features;

mod alertmanager;
mod metrics;
mod rules;

const CONFIG_EXAMPLES: &str = "\
Examples:
  kymo check config prometheus.yml
  kymo check config /etc/prometheus/*.yml";

const ALERTMANAGER_EXAMPLES: &str = "\
Examples:
  kymo check alertmanager alertmanager.yml";

const METRICS_EXAMPLES: &str = "\
Examples:
  curl -s localhost:9100/metrics | kymo check metrics
  kymo check metrics < saved.txt

Exit status: 0 fine, 1 a line cannot be read, 3 readable but unwise.";

/// What can be said on the command line.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Whether configuration files load, and what in them would not happen.
    #[command(after_help = CONFIG_EXAMPLES)]
    Config {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Whether Alertmanager's configuration files load, with their templates.
    #[command(after_help = ALERTMANAGER_EXAMPLES)]
    Alertmanager {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Whether what an exporter answers can be read; it is taken from standard input.
    #[command(after_help = METRICS_EXAMPLES)]
    Metrics,
    /// Whether rule files load, and what in them is unwise.
    #[command(after_help = rules::EXAMPLES)]
    Rules(rules::Arguments),
}

pub(crate) fn run(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    match arguments.what {
        What::Config { files } => check_configs(&files, out, err),
        What::Alertmanager { files } => alertmanager::check(&files, out, err),
        What::Metrics => {
            let mut text = Vec::new();
            std::io::stdin().lock().read_to_end(&mut text).context("cannot read standard input")?;
            metrics::check(&text, err)
        }
        What::Rules(arguments) => rules::run(&arguments, out, err),
    }
}

fn check_configs(files: &[PathBuf], out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Success;
    for file in files {
        match config::load(file, &|name| std::env::var(name).ok(), Features::default()) {
            Ok(config) => {
                let count = config.scrape.jobs.len();
                let jobs =
                    if count == 1 { "1 scrape job".to_owned() } else { format!("{count} scrape jobs") };
                let rules = match config.rules.rule_count() {
                    0 => String::new(),
                    1 => ", 1 rule".to_owned(),
                    count => format!(", {count} rules"),
                };
                writeln!(out, "{}: ok, {jobs}{rules}", file.display())?;
                for warning in &config.warnings {
                    writeln!(out, "{}: warning: {warning}", file.display())?;
                }
            }
            Err(error) => {
                writeln!(err, "{error}")?;
                outcome = Outcome::Faults;
            }
        }
    }
    Ok(outcome)
}
