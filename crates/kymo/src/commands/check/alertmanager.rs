//! `kymo check alertmanager`: whether Alertmanager's files load, and what is in them.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::Outcome;
use crate::config;

pub(super) fn check(files: &[PathBuf], out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Success;
    for file in files {
        if !check_one(file, out, err)? {
            outcome = Outcome::Faults;
        }
    }
    Ok(outcome)
}

fn check_one(file: &Path, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<bool> {
    let config = match config::load_alertmanager(file) {
        Ok(config) => config,
        Err(error) => {
            writeln!(err, "{error}")?;
            return Ok(false);
        }
    };
    writeln!(out, "{}: ok", file.display())?;
    let routes = config.route.all().len();
    for (count, one, many) in [
        (routes, "route", "routes"),
        (config.inhibit_rules.len(), "inhibit rule", "inhibit rules"),
        (config.receivers.len(), "receiver", "receivers"),
        (config.intervals.len(), "time interval", "time intervals"),
        (config.template_files.len(), "template file", "template files"),
    ] {
        writeln!(out, " - {count} {}", if count == 1 { one } else { many })?;
    }
    if config.template_files.is_empty() && config.template_pattern_count > 0 {
        writeln!(out, "{}: warning: no file matches the patterns under templates", file.display())?;
    }
    if let Err(error) = notifier::text::Texts::load(&config.template_files) {
        writeln!(err, "{}: {error}", file.display())?;
        return Ok(false);
    }
    Ok(true)
}
