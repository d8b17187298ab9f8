//! `kymo rules backfill`: rule by rule, a piece of time at once; the server evaluates and writes.
//!
//! What is written is what the rule would have written, so the same again changes nothing. How far it is stands in a small file: a second
//! attempt goes on there.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use rules::file::{Options, RuleKind};
use serde::{Deserialize, Serialize};
use serde_json::json;
use stdx::fs::{RealFs, write_atomic};

use super::read;
use crate::api_client::ApiClient;
use crate::cli::{Outcome, UsageError};
use crate::commands::query::{now_seconds, parse_time};
use crate::output::progress::Progress;

pub(super) const EXAMPLES: &str = "\
Examples:
  kymo rules backfill recording.yml --from 30d
  kymo rules backfill recording.yml --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z --url http://kymo.example:9090

Recording rules alone are filled; each sees what those before it have written. Times: Unix seconds, RFC 3339, now, or a duration that
counts back from now (90m, 30d).";

/// Evaluated and written at one time.
const WINDOW_S: f64 = 6.0 * 3_600.0;

/// What can be said on the command line.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The rule file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// From when on.
    #[arg(long)]
    from: String,
    /// Until when.
    #[arg(long, default_value = "now")]
    to: String,
    /// Time between evaluations, such as 1m, instead of the groups' own intervals.
    #[arg(long)]
    step: Option<String>,
    /// Where is kept how far it is; removed when it is done. By default a file of this folder.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

/// How far it is.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    /// What is filled, and where.
    what: String,
    from: f64,
    to: f64,
    /// Pieces that are written.
    done: u64,
    samples: u64,
}

pub(super) fn run(
    arguments: &Arguments,
    url: &str,
    api: &ApiClient,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let text = read(&arguments.file)?;
    let name = arguments.file.display().to_string();
    let file = rules::file::parse(text.as_bytes(), Options::default())
        .map_err(|faults| UsageError(format!("{name}:{}", faults[0])))?;
    let rules = file.groups.iter().flat_map(|group| &group.rules);
    let names: Vec<&str> =
        rules.filter(|rule| rule.kind == RuleKind::Recording).map(|rule| rule.name.as_str()).collect();
    if names.is_empty() {
        bail!("{name} has no recording rule");
    }
    let now = now_seconds();
    let what = format!("{name} {url} {} {} {:?} {text}", arguments.from, arguments.to, arguments.step);
    let wanted = Record {
        what: hash(&what),
        from: parse_time(&arguments.from, now)?.floor(),
        to: parse_time(&arguments.to, now)?.floor(),
        ..Record::default()
    };
    let path =
        arguments.state.clone().unwrap_or_else(|| format!(".kymo-backfill-{}.json", wanted.what).into());
    // A bare name has no folder that could be synced.
    let path = Path::new(".").join(path);
    let mut record = open(&path, wanted)?;
    let windows = windows(record.from, record.to);
    let mut bar =
        Progress::counting("filling", names.len() as u64 * windows.len() as u64, "pieces").with_lines();
    bar.add(record.done);
    let pieces = (0..names.len()).flat_map(|rule| windows.iter().map(move |window| (rule, *window)));
    for (rule, (from, to)) in pieces.skip(usize::try_from(record.done)?) {
        let mut body = json!({
            "groups": [{"name": name, "text": text}],
            "rule": rule,
            "from": from,
            "to": to,
        });
        if let Some(step) = &arguments.step {
            body["step"] = step.as_str().into();
        }
        let answer = api.post_json_watched("rules/backfill", &body, &mut |_| ()).with_context(|| {
            format!("cannot fill {}; what is written stays, and the same command goes on here", names[rule])
        })?;
        for warning in &answer.warnings {
            bar.say(&format!("{}: {warning}", names[rule]));
        }
        record.samples += answer.data["samples"].as_u64().unwrap_or(0);
        record.done += 1;
        write_atomic(RealFs::shared().as_ref(), &path, &serde_json::to_vec(&record)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        bar.add(1);
    }
    drop(bar);
    RealFs::shared().remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    writeln!(out, "{} samples of {} rules are written", record.samples, names.len())?;
    Ok(Outcome::Success)
}

fn hash(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// What an earlier attempt left, or what is wanted.
fn open(path: &Path, wanted: Record) -> anyhow::Result<Record> {
    let fs = RealFs::shared();
    if !fs.exists(path) {
        return Ok(wanted);
    }
    let shown = path.display();
    let bytes = stdx::fs::read(fs.as_ref(), path).with_context(|| format!("cannot read {shown}"))?;
    let found: Record = serde_json::from_slice(&bytes)
        .with_context(|| format!("{shown} is no state of a backfill; name another --state"))?;
    if found.what != wanted.what {
        bail!("{shown} is the state of another backfill; name another --state, or remove it");
    }
    let _ = writeln!(std::io::stderr(), "going on where {shown} says; remove it to begin again");
    Ok(found)
}

/// Pieces of time, the end of each being the start of the next: both ends are evaluated, which changes nothing.
fn windows(from: f64, to: f64) -> Vec<(f64, f64)> {
    let mut windows = Vec::new();
    let mut start = from;
    while start < to {
        let end = (start + WINDOW_S).min(to);
        windows.push((start, end));
        start = end;
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_all() {
        assert_eq!(windows(0.0, 50_000.0), [(0.0, 21_600.0), (21_600.0, 43_200.0), (43_200.0, 50_000.0)]);
        assert_eq!(windows(5.0, 5.0), []);
    }

    #[test]
    fn another_backfill_does_not_go_on_where_this_one_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        let record = |what: &str, done| Record { what: what.to_owned(), done, ..Record::default() };
        assert_eq!(open(&path, record("a", 0)).expect("new"), record("a", 0));
        let bytes = serde_json::to_vec(&record("a", 3)).expect("written");
        write_atomic(RealFs::shared().as_ref(), &path, &bytes).expect("written");
        assert_eq!(open(&path, record("a", 0)).expect("found"), record("a", 3));
        assert!(open(&path, record("b", 0)).is_err());
    }
}
