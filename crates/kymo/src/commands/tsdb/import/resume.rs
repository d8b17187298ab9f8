//! How far an import is, in a small file, so that a second attempt need not begin at the beginning.
//!
//! A source is units (blocks, the write-ahead log, a file) of items (series, records, lines). Done units are left out, and the unit in work
//! goes on behind the last item that is known to be written.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use stdx::fs::{RealFs, write_atomic};

/// Each save is a synced file; more often helps nobody.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Record {
    source: String,
    destination: String,
    done: BTreeSet<String>,
    unit: String,
    position: u64,
}

/// The file, and what is in it.
#[derive(Debug)]
pub(super) struct Resume {
    path: PathBuf,
    record: Record,
    saved: Option<Instant>,
}

impl Resume {
    /// What an earlier attempt left at `path`, or an empty record. Without a path the name follows from what is imported where.
    ///
    /// # Errors
    /// If the file is about something else, or none of ours.
    pub(super) fn open(path: Option<&Path>, source: &str, destination: &str) -> anyhow::Result<Self> {
        let default = || {
            let mut hasher = DefaultHasher::new();
            (source, destination).hash(&mut hasher);
            PathBuf::from(format!(".kymo-import-{:016x}.json", hasher.finish()))
        };
        // A bare name has no folder that could be synced.
        let path = Path::new(".").join(path.map_or_else(default, Path::to_owned));
        let empty =
            Record { source: source.to_owned(), destination: destination.to_owned(), ..Record::default() };
        let fs = RealFs::shared();
        if !fs.exists(&path) {
            return Ok(Self { path, record: empty, saved: None });
        }
        let shown = path.display().to_string();
        let bytes = stdx::fs::read(fs.as_ref(), &path).with_context(|| format!("cannot read {shown}"))?;
        let record: Record = serde_json::from_slice(&bytes)
            .with_context(|| format!("{shown} is no state of an import; name another --state"))?;
        if (&record.source, &record.destination) != (&empty.source, &empty.destination) {
            bail!(
                "{shown} is the state of another import, of {} into {}; name another --state",
                record.source,
                record.destination
            );
        }
        let _ = writeln!(std::io::stderr(), "going on where {shown} says; remove it to begin again");
        Ok(Self { path, record, saved: None })
    }

    pub(super) fn is_done(&self, unit: &str) -> bool {
        self.record.done.contains(unit)
    }

    /// How many items of a unit are written.
    pub(super) fn position(&self, unit: &str) -> u64 {
        if self.record.unit == unit { self.record.position } else { 0 }
    }

    /// So many items of a unit are written.
    pub(super) fn reached(&mut self, unit: &str, position: u64) -> anyhow::Result<()> {
        self.record.unit.clear();
        self.record.unit.push_str(unit);
        self.record.position = position;
        if self.saved.is_some_and(|saved| saved.elapsed() < SAVE_INTERVAL) {
            return Ok(());
        }
        self.save()
    }

    /// A unit is written.
    pub(super) fn done(&mut self, unit: &str) -> anyhow::Result<()> {
        self.record.done.insert(unit.to_owned());
        self.save()
    }

    /// What is known, to the disk.
    pub(super) fn save(&mut self) -> anyhow::Result<()> {
        self.saved = Some(Instant::now());
        let bytes = serde_json::to_vec_pretty(&self.record)?;
        write_atomic(RealFs::shared().as_ref(), &self.path, &bytes)
            .with_context(|| format!("cannot write {} (see --state)", self.path.display()))
    }

    /// All is in: the file has no more to say.
    pub(super) fn remove(&self) -> anyhow::Result<()> {
        let fs = RealFs::shared();
        if fs.exists(&self.path) {
            let removed = fs.remove_file(&self.path);
            removed.with_context(|| format!("cannot remove {}", self.path.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_attempt_goes_on_where_the_first_stood() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let path = folder.path().join("state");
        let mut first = Resume::open(Some(&path), "a", "b").expect("new");
        first.done("block 1").expect("saved");
        first.reached("block 2", 7).expect("noted");
        first.save().expect("saved");
        let second = Resume::open(Some(&path), "a", "b").expect("read");
        assert!(second.is_done("block 1") && !second.is_done("block 2"));
        assert_eq!((second.position("block 2"), second.position("block 3")), (7, 0));
        let other = Resume::open(Some(&path), "a", "c").expect_err("another import");
        assert!(other.to_string().contains("another import, of a into b"), "{other}");
        second.remove().expect("removed");
        assert!(!path.exists());
    }
}
