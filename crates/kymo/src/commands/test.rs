//! `kymo test`: runs tests that people write.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::cli::Outcome;

mod junit;
mod rules;

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
    /// Unit tests of rules, in promtool's format: prints what failed of each file.
    #[command(after_help = rules::EXAMPLES)]
    Rules(rules::Arguments),
}

pub(crate) fn run(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    match arguments.what {
        What::Promql { files } => run_scripts(&files, out),
        What::Rules(arguments) => rules::run(&arguments, out, err),
    }
}

fn run_scripts(files: &[PathBuf], out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let (mut passed, mut failed) = (0, 0);
    for file in files {
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
