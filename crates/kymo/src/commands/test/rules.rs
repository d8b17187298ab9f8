//! `kymo test rules`: unit tests of rules, in promtool's format and with its output.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use rules::file::{Options as ReadOptions, RuleFile};
use rules::unit_test::file::{TestFile, TestGroup};
use rules::unit_test::{self, Options};
use stdx::fs::{RealFs, write_atomic};

use super::junit::Suite;
use crate::cli::{Outcome, UsageError};

pub(super) const EXAMPLES: &str = "\
Examples:
  kymo test rules alerts_test.yml
  kymo test rules --run 'disk|memory' --junit report.xml tests/*.yml

A test file names rule files, series that come in, and what fires then:

  rule_files: [alerts.yml]
  tests:
    - input_series:
        - series: 'up{job=\"a\"}'
          values: '1x3 0x10'
      alert_rule_test:
        - eval_time: 10m
          alertname: Down
          exp_alerts: [{exp_labels: {job: a, severity: page}}]

Exit status: 0 all passed, 1 a test failed or a file cannot be read.";

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only groups of tests whose name this regular expression matches; may be given several times.
    #[arg(long, value_name = "REGEX")]
    run: Vec<String>,
    /// Also writes the results as JUnit XML to this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Shows alerts that differ line by line.
    #[arg(long)]
    diff: bool,
    /// Keys in rule files that nobody knows are no fault.
    #[arg(long)]
    ignore_unknown_fields: bool,
    /// The test files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(
    arguments: &Arguments,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let chosen = match arguments.run.as_slice() {
        [] => None,
        patterns => Some(
            model::matcher::compile_unanchored(&patterns.join("|"))
                .map_err(|error| UsageError(format!("--run: {}: {:?}", error.message, error.pattern)))?,
        ),
    };
    let mut suites = Vec::new();
    let mut has_failed = false;
    for path in &arguments.files {
        writeln!(out, "Unit Testing:  {}", path.display())?;
        let mut suite = Suite::new(&path.to_string_lossy());
        let failures = test_file(
            path,
            arguments,
            |name| chosen.as_ref().is_none_or(|regex| regex.is_match(name)),
            &mut suite,
            err,
        )?;
        if failures.is_empty() {
            writeln!(out, "  SUCCESS")?;
        } else {
            has_failed = true;
            // Both streams may go to one terminal: what belongs together comes together.
            out.flush()?;
            writeln!(err, "  FAILED:")?;
            for failure in failures {
                writeln!(err, "{failure}\n")?;
            }
        }
        writeln!(out)?;
        suites.push(suite);
    }
    if let Some(path) = &arguments.junit {
        let text = super::junit::document(&suites);
        write_atomic(RealFs::shared().as_ref(), path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(if has_failed { Outcome::Faults } else { Outcome::Success })
}

/// Runs the chosen groups of tests of a file. Nothing, or what failed.
fn test_file(
    path: &Path,
    arguments: &Arguments,
    is_chosen: impl Fn(&str) -> bool,
    suite: &mut Suite,
    err: &mut dyn Write,
) -> anyhow::Result<Vec<String>> {
    let file = match read(path) {
        Ok(file) => file,
        Err(message) => {
            suite.abort(&message);
            return Ok(vec![message]);
        }
    };
    let chosen: Vec<(usize, &TestGroup)> =
        file.tests.iter().enumerate().filter(|(_, group)| is_chosen(&group.name)).collect();
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let rules = match read_rules(path, &file, arguments, err)? {
        Ok(rules) => rules,
        Err(failures) => {
            suite.abort(&failures.join("\n"));
            return Ok(failures);
        }
    };
    let options = Options { diff: arguments.diff };
    let mut failures = Vec::new();
    for (at, group) in chosen {
        let failed = unit_test::run(&file, group, &rules, options);
        let name = if group.name.is_empty() { format!("unnamed#{at}") } else { group.name.clone() };
        suite.case(&name, &failed);
        failures.extend(failed);
    }
    Ok(failures)
}

fn read(path: &Path) -> Result<TestFile, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    unit_test::file::parse(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

type Rules = Vec<(String, RuleFile)>;

/// All rule files of a test file, or their faults.
fn read_rules(
    path: &Path,
    file: &TestFile,
    arguments: &Arguments,
    err: &mut dyn Write,
) -> anyhow::Result<Result<Rules, Vec<String>>> {
    let directory = path.parent().unwrap_or(Path::new(""));
    let options =
        ReadOptions { ignore_unknown_keys: arguments.ignore_unknown_fields, ..ReadOptions::default() };
    let (mut rules, mut faults) = (Vec::new(), Vec::new());
    for pattern in &file.rule_files {
        let pattern = directory.join(pattern);
        let found: Vec<PathBuf> = match glob::glob(&pattern.to_string_lossy()) {
            Ok(paths) => paths.filter_map(Result::ok).collect(),
            Err(error) => {
                faults.push(format!("{}: not a pattern of files: {error}", pattern.display()));
                continue;
            }
        };
        if found.is_empty() {
            writeln!(err, "  WARNING: no file match pattern {}", pattern.display())?;
        }
        for path in found {
            let shown = path.to_string_lossy().into_owned();
            match std::fs::read(&path) {
                Ok(bytes) => match rules::file::parse(&bytes, options) {
                    Ok(file) => rules.push((shown, file)),
                    Err(all) => faults.extend(all.iter().map(|fault| format!("{shown}: {fault}"))),
                },
                Err(error) => faults.push(format!("cannot read {shown}: {error}")),
            }
        }
    }
    Ok(if faults.is_empty() { Ok(rules) } else { Err(faults) })
}
