//! `kymo test`: runs tests that people write.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::cli::Outcome;

const EXAMPLES: &str = "\
Examples:
  kymo test promql rates.test
  kymo test promql testdata/*.test

A script loads samples and says what queries give; the language is that of Prometheus' own tests:

  load 5m
    http_requests{path=\"/a\"} 0+10x10

  eval instant at 50m sum(http_requests)
    {} 100";

/// What can be said on the command line.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// PromQL test scripts: prints each evaluation that fails, then how many passed and failed.
    #[command(after_help = EXAMPLES)]
    Promql {
        /// The scripts.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

pub(crate) fn run(arguments: Arguments, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let What::Promql { files } = arguments.what;
    let (mut passed, mut failed) = (0, 0);
    for file in &files {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let report = promql::script::run(&text);
        for failure in &report.failures {
            writeln!(out, "{}:{failure}\n", file.display())?;
        }
        passed += report.passed;
        failed += report.failed;
    }
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(if failed == 0 { Outcome::Success } else { Outcome::Faults })
}
