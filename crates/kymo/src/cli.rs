//! The command line: what can be asked for, and how the process ends.
//!
//! Exit codes: 0 all is well · 1 it failed, or a check found a fault · 2 the command line or the configuration is
//! wrong · 3 `check metrics` found nothing wrong but something unwise.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{agent, alert, check, completions, query, routes, rules, serve, test, tsdb};
use crate::version;

const EXAMPLES: &str = "\
Examples:
  kymo serve                                    watch this machine; open http://localhost:9090
  kymo serve --config prometheus.yml            do what Prometheus would do with this file
  kymo agent --config agent.yml                 collect here, store elsewhere
  kymo query instant 'sum by (job) (up)'        ask a running server
  kymo query range 'node_load1' --start 6h      draw a graph in the terminal
  kymo check config prometheus.yml              is this file fine?
  curl -s localhost:9100/metrics | kymo check metrics
  kymo rules backtest alerts.yml --from 30d     what would these rules have done?
  kymo test promql rates.test                   do these queries give what they should?

Documentation: docs/user/ in the repository.";

/// Metrics monitoring in one binary, compatible with Prometheus.
#[derive(Debug, Parser)]
#[command(name = "kymo", version = version::VERSION, long_version = version::long(), after_help = EXAMPLES)]
#[command(propagate_version = false, disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Collect, store and answer: the server itself.
    Serve(serve::Arguments),
    /// Collect and send on: the server without storage, for machines that others watch.
    Agent(agent::Arguments),
    /// Ask a running server.
    Query(query::Arguments),
    /// Look at alerts, silence and acknowledge them, and ask why nobody was told.
    Alert(alert::Arguments),
    /// Look for faults in files before a server does.
    Check(check::Arguments),
    /// Look at the routes of alerts, and where an alert would go.
    Routes(routes::Arguments),
    /// Try rules on what is stored, and fill in what they would have written.
    Rules(rules::Arguments),
    /// Run tests that people write.
    Test(test::Arguments),
    /// Look at stored data.
    Tsdb(tsdb::Arguments),
    /// Print a completion script for a shell.
    Completions(completions::Arguments),
}

/// How a command ended that did not fail itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Success,
    /// It did its work, and found faults.
    Faults,
    /// It found nothing wrong, but something unwise.
    Unwise,
}

/// The command line or the configuration is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// What `main` does.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = io::stdout().lock();
    let mut err = io::stderr();
    let result = cli.command.run(&mut out, &mut err).and_then(|outcome| {
        out.flush()?;
        Ok(outcome)
    });
    match result {
        Ok(Outcome::Success) => ExitCode::SUCCESS,
        Ok(Outcome::Faults) => ExitCode::FAILURE,
        Ok(Outcome::Unwise) => ExitCode::from(3),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done if even this cannot be written.
            let _ = writeln!(err, "kymo: {}", told_once(&error));
            ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
        }
    }
}

/// The error and its causes, without those that it has named itself.
fn told_once(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

/// Whoever read our output had enough of it, as `head` does.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

impl Command {
    fn run(self, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
        match self {
            Self::Serve(arguments) => serve::run(arguments),
            Self::Agent(arguments) => agent::run(arguments),
            Self::Query(arguments) => query::run(arguments, out, err),
            Self::Alert(arguments) => alert::run(arguments, out, err),
            Self::Check(arguments) => check::run(arguments, out, err),
            Self::Routes(arguments) => routes::run(arguments, out, err),
            Self::Rules(arguments) => rules::run(arguments, out, err),
            Self::Test(arguments) => test::run(arguments, out, err),
            Self::Tsdb(arguments) => tsdb::run(arguments, out),
            Self::Completions(arguments) => completions::run(arguments, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_cause_is_told_once() {
        let cause = || io::Error::other("disk full");
        let plain = anyhow::Error::new(cause()).context("cannot write");
        assert_eq!(told_once(&plain), "cannot write: disk full");
        let naming = anyhow::Error::new(cause()).context("cannot write: disk full; make room");
        assert_eq!(told_once(&naming), "cannot write: disk full; make room");
    }
}
