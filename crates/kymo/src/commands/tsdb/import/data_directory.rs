//! What Prometheus keeps in its data folder: blocks, and the write-ahead log with what is not in blocks yet.

use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::block::Block;
use super::intake::Intake;
use super::{log, refuse};

/// What Prometheus calls a block's file of facts.
const META_FILE: &str = "meta.json";
const META_VERSION: u64 = 1;

#[derive(Deserialize)]
struct Meta {
    version: u64,
    #[serde(rename = "minTime")]
    min_ms: i64,
    #[serde(rename = "maxTime")]
    max_ms: i64,
}

/// A block that was found, by its time.
struct Found {
    min_ms: i64,
    path: PathBuf,
    bytes: u64,
}

pub(super) fn import(directory: &Path, intake: &mut Intake) -> anyhow::Result<()> {
    if directory.join("tenants").is_dir() {
        return refuse(
            directory,
            "holds data of Kymo: write it to a file by kymo tsdb export, and import that",
        );
    }
    let blocks = blocks(directory, intake)?;
    let logs = log::Logs::find(directory)?;
    if blocks.is_empty() && logs.is_empty() {
        return refuse(directory, "holds no data of Prometheus (neither blocks nor wal)");
    }
    intake.expect(blocks.iter().map(|block| block.bytes).sum::<u64>() + logs.bytes(), "");
    for found in blocks {
        let unit = format!("block {}", name(&found.path));
        if intake.is_done(&unit) {
            intake.advance(found.bytes);
            continue;
        }
        match Block::open(&found.path).and_then(|mut block| block.import(&unit, intake)) {
            Ok(()) => intake.done(&unit)?,
            // Other blocks may be sound. What cannot be written is no fault of the block, and ends the import.
            Err(error) if error.is::<wire::prometheus_tsdb::Corrupt>() => intake.fault(&format!("{error:#}")),
            Err(error) => return Err(error),
        }
    }
    logs.import(intake)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Blocks in order of time: the folder itself, or those in it.
fn blocks(directory: &Path, intake: &mut Intake) -> anyhow::Result<Vec<Found>> {
    if directory.join(META_FILE).is_file() {
        return Ok(vec![block(directory)?]);
    }
    let mut blocks = Vec::new();
    for entry in entries(directory)? {
        let path = entry.path();
        if !path.join(META_FILE).is_file() {
            continue;
        }
        // A block that Prometheus had not finished, or had begun to delete.
        if path.extension().is_some_and(|extension| extension.to_string_lossy().starts_with("tmp")) {
            intake.remark(&format!("{} is left out: it was not finished", path.display()));
            continue;
        }
        let meta = meta(&path)?;
        if intake.filter().wants_some_of(meta.min_ms, meta.max_ms) {
            blocks.push(block(&path)?);
        }
    }
    blocks.sort_by(|a, b| (a.min_ms, &a.path).cmp(&(b.min_ms, &b.path)));
    Ok(blocks)
}

fn block(path: &Path) -> anyhow::Result<Found> {
    let mut bytes = path.join("index").metadata().map_or(0, |file| file.len());
    for entry in entries(&path.join("chunks"))? {
        bytes += entry.metadata().map_or(0, |file| file.len());
    }
    Ok(Found { min_ms: meta(path)?.min_ms, path: path.to_owned(), bytes })
}

fn meta(block: &Path) -> anyhow::Result<Meta> {
    let path = block.join(META_FILE);
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let meta: Meta = serde_json::from_slice(&text)
        .with_context(|| format!("{} is not what Prometheus writes", path.display()))?;
    if meta.version != META_VERSION {
        bail!("{}: version {} of blocks is not known", path.display(), meta.version);
    }
    Ok(meta)
}

/// What is in a folder, by name.
pub(super) fn entries(directory: &Path) -> anyhow::Result<Vec<DirEntry>> {
    let listed: std::io::Result<Vec<DirEntry>> = std::fs::read_dir(directory).and_then(Iterator::collect);
    let mut entries = listed.with_context(|| format!("cannot list {}", directory.display()))?;
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}
