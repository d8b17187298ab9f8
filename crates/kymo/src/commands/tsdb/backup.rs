//! `kymo tsdb snapshot` and `restore`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use stdx::fs::{Fs, RealFs, create_dir_durably};
use tsdb::snapshot::{SNAPSHOT_FILE, SNAPSHOTS_DIRECTORY};

use crate::api_client::ApiClient;
use crate::cli::Outcome;
use crate::output::progress::Progress;

/// Read and written at one time.
const PIECE_BYTES: usize = 1 << 20;
/// A server may have much to flush.
const TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// What can be said about `snapshot`.
#[derive(Debug, Args)]
pub(super) struct SnapshotArguments {
    /// A server's URL, or a data folder that no server uses.
    #[arg(default_value = "http://localhost:9090", env = "KYMO_URL")]
    target: String,
    /// Only what is in blocks already: quick, but without the last hours.
    #[arg(long)]
    skip_head: bool,
}

/// What can be said about `restore`.
#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// The folder of a snapshot.
    snapshot: PathBuf,
    /// The data folder to make; it must not be there, or be empty.
    directory: PathBuf,
    /// Copy without checking the snapshot first.
    #[arg(long)]
    no_verify: bool,
}

pub(super) fn snapshot(arguments: &SnapshotArguments, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let target = &arguments.target;
    if target.starts_with("http://") || target.starts_with("https://") {
        let api = ApiClient::new(target, None, TIMEOUT)?;
        let skip_head = arguments.skip_head.to_string();
        let answer = api.post("admin/tsdb/snapshot", &[("skip_head", skip_head)]).map_err(|error| {
            if error.to_string().contains("admin APIs disabled") {
                return error.context("start the server with --enable-admin-api to allow snapshots");
            }
            error
        })?;
        let name = answer.data["name"].as_str().context("the server named no snapshot")?;
        writeln!(out, "{SNAPSHOTS_DIRECTORY}/{name} in the server's data folder")?;
        return Ok(Outcome::Success);
    }
    let directory = PathBuf::from(target);
    super::check_folder(&directory)?;
    let tsdb = super::open(directory.clone())?;
    let name = tsdb.snapshot(arguments.skip_head)?;
    tsdb.stop()?;
    writeln!(out, "{}", directory.join(SNAPSHOTS_DIRECTORY).join(name).display())?;
    Ok(Outcome::Success)
}

pub(super) fn restore(arguments: &RestoreArguments, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let (snapshot, directory) = (&arguments.snapshot, &arguments.directory);
    let fs = RealFs::shared();
    if !fs.exists(&snapshot.join(SNAPSHOT_FILE)) {
        bail!(
            "{} is no finished snapshot: it has no file {SNAPSHOT_FILE} (kymo tsdb snapshot makes one)",
            snapshot.display()
        );
    }
    if fs.exists(directory) && !fs.read_dir(directory).is_ok_and(|entries| entries.is_empty()) {
        bail!("{} is not empty; restoring never writes over data: name another folder", directory.display());
    }
    if !arguments.no_verify {
        let found = super::verify::verify(snapshot)?;
        if let Some(fault) = found.faults.first() {
            let (path, count) = (fault.path.display(), found.faults.len());
            bail!(
                "the snapshot is damaged in {count} places, first {path}: {}; --no-verify restores the rest",
                fault.what
            );
        }
    }
    // A folder that has its name is whole.
    let mut unfinished = directory.as_os_str().to_owned();
    unfinished.push(".restoring");
    let unfinished = PathBuf::from(unfinished);
    let files = files_of(&*fs, snapshot)?;
    let mut progress = Progress::new("copying", files.iter().map(|(_, len)| len).sum());
    if fs.exists(&unfinished) {
        fs.remove_dir_all(&unfinished).with_context(|| format!("cannot clear {}", unfinished.display()))?;
    }
    for (file, _) in &files {
        copy(&*fs, &snapshot.join(file), &unfinished.join(file), &mut progress)
            .with_context(|| format!("cannot copy {} to {}", file.display(), unfinished.display()))?;
    }
    create_dir_durably(&*fs, &unfinished)?;
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    fs.rename(&unfinished, directory)
        .and_then(|()| fs.sync_dir(parent.unwrap_or_else(|| Path::new("."))))
        .with_context(|| format!("cannot name {}", directory.display()))?;
    drop(progress);
    writeln!(out, "{} files restored; start with: kymo serve --data {}", files.len(), directory.display())?;
    Ok(Outcome::Success)
}

/// What a data folder needs of a snapshot, relative to it, with sizes.
fn files_of(fs: &dyn Fs, snapshot: &Path) -> anyhow::Result<Vec<(PathBuf, u64)>> {
    let mut files = Vec::new();
    let tenants = snapshot.join("tenants");
    for tenant in fs.read_dir(&tenants).with_context(|| format!("cannot read {}", tenants.display()))? {
        let directory = tenants.join(&tenant.name);
        for file in fs.read_dir(&directory)?.into_iter().filter(|file| !file.is_dir) {
            files.push((Path::new("tenants").join(&tenant.name).join(&file.name), file.len));
        }
    }
    Ok(files)
}

/// Copies a file durably, its folder included.
fn copy(fs: &dyn Fs, from: &Path, to: &Path, progress: &mut Progress) -> std::io::Result<()> {
    let folder = to.parent().unwrap_or_else(|| Path::new("."));
    create_dir_durably(fs, folder)?;
    let (source, target) = (fs.open_read(from)?, fs.create(to)?);
    let len = source.len()?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    while at < len {
        let size = usize::try_from(len - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
        source.read_exact_at(&mut piece[..size], at)?;
        target.write_all_at(&piece[..size], at)?;
        at += size as u64;
        progress.add(size as u64);
    }
    target.sync()?;
    fs.sync_dir(folder)
}
