//! `kymo tsdb verify`: every checksum, every sample.

use std::io::Write;
use std::path::Path;

use anyhow::bail;
use model::size::format_size_bytes;
use stdx::fs::{FileLock, RealFs};
use tsdb::verify::{Verification, Verifier};

use crate::cli::Outcome;
use crate::output::progress::Progress;

pub(super) fn run(directory: &Path, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    super::check_folder(directory)?;
    let _lock = lock(directory)?;
    let found = verify(directory)?;
    for remark in &found.remarks {
        writeln!(out, "{}: {}", remark.path.display(), remark.what)?;
    }
    for fault in &found.faults {
        writeln!(out, "DAMAGED {}: {}", fault.path.display(), fault.what)?;
    }
    writeln!(
        out,
        "{} files, {}: {} series and {} samples in blocks, {} samples in the journal",
        found.file_count,
        format_size_bytes(found.bytes),
        found.series_count,
        found.block_sample_count,
        found.journal_sample_count,
    )?;
    if found.faults.is_empty() {
        writeln!(out, "all is well")?;
        return Ok(Outcome::Success);
    }
    writeln!(out, "{} faults; a server sets aside what is damaged and serves the rest", found.faults.len())?;
    Ok(Outcome::Faults)
}

/// Checks everything, with a bar.
pub(super) fn verify(directory: &Path) -> anyhow::Result<Verification> {
    let verifier = Verifier::new(RealFs::shared(), directory)?;
    let mut progress = Progress::new("verifying", verifier.total_bytes());
    Ok(verifier.run(|bytes| progress.add(bytes)))
}

/// Files that come and go would be taken for damage. A snapshot has no lock, and needs none.
fn lock(directory: &Path) -> anyhow::Result<Option<Box<dyn FileLock>>> {
    let (fs, path) = (RealFs::shared(), directory.join("lock"));
    if !fs.exists(&path) {
        return Ok(None);
    }
    match fs.lock(&path) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => bail!(
            "{} is in use by a server; take a snapshot (kymo tsdb snapshot URL) and verify that",
            directory.display()
        ),
        Err(error) => bail!("{}: {error}", path.display()),
    }
}
