//! Snapshots: all blocks under a second name (hard links), in a folder that is a data directory itself.
//!
//! Files of the engine are never changed in place, so a snapshot costs nothing but what compactions would have
//! freed. It holds no journal: the head is flushed first, unless the caller does without. The file `snapshot` is written last and
//! says that the rest is whole.

use std::io;
use std::path::{Path, PathBuf};

use storage::{Error, ErrorKind};

use crate::engine::Tsdb;
use crate::open::{check_data_directory, create_durably};
use crate::tenant::{EXTRAS_FILE, Tenant};
use crate::tombstones::TOMBSTONES_FILE;

/// Where snapshots are, below the data directory.
pub const SNAPSHOTS_DIRECTORY: &str = "snapshots";
/// Name of the file that a finished snapshot holds.
pub const SNAPSHOT_FILE: &str = "snapshot";

impl Tsdb {
    /// Takes a snapshot of all tenants and returns its name: the folder `snapshots/NAME` of the data directory. It has everything that
    /// was acknowledged before; with `skip_head` only what is in blocks.
    ///
    /// # Errors
    /// `Unavailable` if the disk is full or fails; nothing is left behind then.
    pub fn snapshot(&self, skip_head: bool) -> Result<String, Error> {
        self.check_running()?;
        if !skip_head {
            self.flush()?;
        }
        let (_flush_turn, _compaction_turn) = (self.flush_turn.lock(), self.compaction_turn.lock());
        let directory = self.settings.directory.join(SNAPSHOTS_DIRECTORY);
        let name = self.snapshot_name(&directory);
        let path = directory.join(&name);
        self.take_snapshot(&directory, &path).map_err(|error| {
            // Best effort: what is unfinished is also deleted by the next snapshot.
            let _ = self.deps.fs.remove_dir_all(&path);
            let path = path.display();
            Error::new(ErrorKind::Unavailable, format!("snapshot {path} cannot be written: {error}"))
        })?;
        Ok(name)
    }

    /// As Prometheus names them: the time, and something that no other has.
    fn snapshot_name(&self, directory: &Path) -> String {
        let now_ms = self.deps.clock.now_ms();
        let mut salt = xxhash_rust::xxh3::xxh3_64(&now_ms.to_le_bytes());
        loop {
            let name = format!("{}-{salt:016x}", utc_text(now_ms));
            if !self.deps.fs.exists(&directory.join(&name)) {
                return name;
            }
            salt = salt.wrapping_add(1);
        }
    }

    fn take_snapshot(&self, directory: &Path, path: &Path) -> io::Result<()> {
        let fs = &*self.deps.fs;
        check_data_directory(fs, &self.settings.directory)?;
        create_durably(fs, directory)?;
        for entry in fs.read_dir(directory)? {
            let other = directory.join(&entry.name);
            if entry.is_dir && !fs.exists(&other.join(SNAPSHOT_FILE)) {
                fs.remove_dir_all(&other)?;
            }
        }
        let tenants = path.join("tenants");
        create_durably(fs, &tenants)?;
        for tenant in self.all_tenants() {
            self.link_tenant(&tenant, &tenants.join(tenant.id.as_str()))?;
        }
        fs.sync_dir(&tenants)?;
        stdx::fs::write_atomic(fs, &path.join(SNAPSHOT_FILE), b"kymo snapshot 1\n")
    }

    fn link_tenant(&self, tenant: &Tenant, to: &Path) -> io::Result<()> {
        let fs = &*self.deps.fs;
        let mut files: Vec<PathBuf> = tenant.blocks().iter().map(|block| block.path().to_owned()).collect();
        let others = [EXTRAS_FILE, TOMBSTONES_FILE].map(|name| tenant.directory.join(name));
        files.extend(others.into_iter().filter(|path| fs.exists(path)));
        if files.is_empty() {
            return Ok(());
        }
        fs.create_dir_all(to)?;
        for file in files {
            let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            fs.hard_link(&file, &to.join(name))?;
        }
        fs.sync_dir(to)
    }
}

/// `20260131T120000Z`.
fn utc_text(timestamp_ms: i64) -> String {
    let (days, second) = (timestamp_ms.div_euclid(86_400_000), timestamp_ms.rem_euclid(86_400_000) / 1000);
    // Days to a date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_with_the_time() {
        assert_eq!(utc_text(0), "19700101T000000Z");
        assert_eq!(utc_text(1_709_210_096_789), "20240229T123456Z");
        assert_eq!(utc_text(-1), "19691231T235959Z");
    }
}
