//! `kymo check rules`: do rule files load, and what in them is unwise?

use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use rules::file::{Options, RuleFile};
use rules::lint::{self, Lint};

use crate::cli::{Outcome, UsageError};

pub(super) const EXAMPLES: &str = "\
Examples:
  kymo check rules alerts.yml
  kymo check rules --lint-fatal rules/*.yml
  kubectl get prometheusrule node -o yaml | kymo check rules --ignore-unknown-fields

Files may also be PrometheusRule manifests. Without files, standard input is read.

Lints: duplicate-rules, missing-for, never-matches, label-clash, counter-without-rate.

Exit status: 0 fine, 1 a file does not load, 3 a lint found something and --lint-fatal is given.";

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What to look for besides faults: lints, separated by commas, or `all` or `none`.
    #[arg(long, value_name = "LINTS", default_value = "all")]
    lint: String,
    /// What a lint finds makes the exit status 3.
    #[arg(long)]
    lint_fatal: bool,
    /// Keys that nobody knows are no fault.
    #[arg(long)]
    ignore_unknown_fields: bool,
    /// The rule files.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(
    arguments: &Arguments,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let lints = chosen(&arguments.lint)?;
    let options = Options { ignore_unknown_keys: arguments.ignore_unknown_fields, ..Options::default() };
    let (mut has_faults, mut is_unwise) = (false, false);
    let mut check = |name: &str, bytes: &[u8]| -> anyhow::Result<()> {
        writeln!(out, "Checking {name}")?;
        match rules::file::parse(bytes, options) {
            Ok(file) => {
                let count: usize = file.groups.iter().map(|group| group.rules.len()).sum();
                writeln!(out, "  SUCCESS: {count} rules found")?;
                out.flush()?;
                is_unwise |= report(&file, &lints, err)?;
            }
            Err(faults) => {
                has_faults = true;
                out.flush()?;
                writeln!(err, "  FAILED:")?;
                for fault in faults {
                    writeln!(err, "{name}: {fault}")?;
                }
            }
        }
        writeln!(out)?;
        Ok(())
    };
    if arguments.files.is_empty() {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
        check("standard input", &bytes)?;
    }
    for path in &arguments.files {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        check(&path.to_string_lossy(), &bytes)?;
    }
    Ok(match (has_faults, is_unwise && arguments.lint_fatal) {
        (true, _) => Outcome::Faults,
        (false, true) => Outcome::Unwise,
        (false, false) => Outcome::Success,
    })
}

fn chosen(text: &str) -> Result<Vec<Lint>, UsageError> {
    match text {
        "all" => return Ok(Lint::ALL.to_vec()),
        "none" => return Ok(Vec::new()),
        _ => {}
    }
    let known = |name: &str| Lint::ALL.into_iter().find(|lint| lint.name() == name.trim());
    let unknown = |name: &str| {
        let names = Lint::ALL.map(Lint::name).join(", ");
        UsageError(format!("--lint: {name:?} is no lint; there are all, none, {names}"))
    };
    text.split(',').map(|name| known(name).ok_or_else(|| unknown(name))).collect()
}

/// Prints what lints find. Whether they found something.
fn report(file: &RuleFile, lints: &[Lint], err: &mut dyn Write) -> anyhow::Result<bool> {
    let mut found = false;
    let duplicates = if lints.contains(&Lint::DuplicateRules) { lint::duplicates(file) } else { Vec::new() };
    if !duplicates.is_empty() {
        found = true;
        // In promtool's words.
        writeln!(err, "lint error {} duplicate rule(s) found.", duplicates.len())?;
        for duplicate in duplicates {
            writeln!(err, "Metric: {}\nLabel(s):", duplicate.name)?;
            for (name, value) in duplicate.labels {
                writeln!(err, "\t{name}: {value}")?;
            }
        }
        writeln!(err, "Might cause inconsistency while recording expressions")?;
    }
    for finding in lint::check(file).iter().filter(|finding| lints.contains(&finding.lint)) {
        found = true;
        writeln!(err, "  LINT: {finding}")?;
    }
    Ok(found)
}
