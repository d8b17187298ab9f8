//! Files behind a trait, so that tests can lose, tear and fail them.
//!
//! Contract that every implementation keeps, and that the simulator's implementation exploits to the last word:
//! - Data written to a file is durable only after [`File::sync`] returned `Ok`. Until then a crash may keep
//!   any part of it, in any order.
//! - A created, renamed or removed name is durable only after [`Fs::sync_dir`] of its directory returned `Ok`.
//! - [`Fs::rename`] is atomic: after a crash the new name shows the old file or the new one, never a mixture.
//! - After `sync` failed, nothing is known about the unsynced data; the file must be given up, not retried
//!   (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file system. Shared as `Arc<dyn Fs>`.
pub trait Fs: Send + Sync + std::fmt::Debug + 'static {
    /// Creates an empty file for writing and reading; an existing one is truncated.
    ///
    /// # Errors
    /// As the operating system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens an existing file for writing and reading.
    ///
    /// # Errors
    /// `NotFound`, or as the operating system says.
    fn open_write(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Opens an existing file for reading.
    ///
    /// # Errors
    /// `NotFound`, or as the operating system says.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>>;
    /// Creates a directory and its missing parents. Succeeds if it is there.
    ///
    /// # Errors
    /// As the operating system says.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Names in a directory, sorted.
    ///
    /// # Errors
    /// `NotFound`, or as the operating system says.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Atomically gives `from` the name `to`, replacing what had it. Durable after `sync_dir`.
    ///
    /// # Errors
    /// As the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives the file `from` a second name. Durable after `sync_dir`.
    ///
    /// # Errors
    /// As the operating system says.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Durable after `sync_dir`.
    ///
    /// # Errors
    /// `NotFound`, or as the operating system says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all in it.
    ///
    /// # Errors
    /// `NotFound`, or as the operating system says.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in this directory durable.
    ///
    /// # Errors
    /// As the operating system says.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Whether something has this name.
    fn exists(&self, path: &Path) -> bool;
    /// Bytes free for us on the file system that holds `path`, and its size. `None` where unknown.
    fn space(&self, path: &Path) -> Option<Space>;
    /// Takes an exclusive lock on `path` (created if missing), held until the result is dropped.
    ///
    /// # Errors
    /// `WouldBlock` if another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>>;
}

/// An open file. Reads and writes name their position; there is no cursor to share.
pub trait File: Send + Sync + std::fmt::Debug {
    /// Writes all of `data` at `offset`; the file grows as needed. Not durable before [`File::sync`].
    ///
    /// # Errors
    /// As the operating system says; part of the data may have been written.
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    /// Makes all data written so far, and the file's length, durable (`fdatasync`).
    ///
    /// # Errors
    /// As the operating system says; the file must then be given up.
    fn sync(&self) -> io::Result<()>;
    /// Length in bytes.
    ///
    /// # Errors
    /// As the operating system says.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file holds no byte.
    ///
    /// # Errors
    /// As the operating system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends the file. Durable after [`File::sync`].
    ///
    /// # Errors
    /// As the operating system says.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// An exclusive lock; dropped to release it.
pub trait FileLock: Send + Sync + std::fmt::Debug {}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without the directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length in bytes; 0 for a directory.
    pub len: u64,
}

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes an unprivileged process can still write.
    pub free_bytes: u64,
    /// Size of the file system.
    pub total_bytes: u64,
}

/// Replaces the file at `path` with `data`, all or nothing.
///
/// Crash guarantee: afterwards, or after a crash at any point, `path` holds the old content or all of the
/// new; once this returned `Ok`, the new. Leaves at most a `.tmp` file beside it behind.
///
/// # Errors
/// As the file system says; the old content is then still there.
pub fn write_atomic(fs: &dyn Fs, path: &Path, data: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let file = fs.create(&temporary)?;
    file.write_all_at(data, 0)?;
    file.sync()?;
    drop(file);
    fs.rename(&temporary, path)?;
    fs.sync_dir(directory)
}

/// Creates a directory and its missing parents, durably: each new name is synced in the directory that holds it.
///
/// Crash guarantee: once this returned `Ok`, the directory is there after a crash. [`Fs::create_dir_all`] alone
/// may lose it, and with it everything that was synced inside.
///
/// # Errors
/// As the file system says.
pub fn create_dir_durably(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|ancestor| !is_root(ancestor) && !fs.exists(ancestor)).collect();
    fs.create_dir_all(path)?;
    for created in missing.into_iter().rev() {
        let parent = created.parent().filter(|parent| !is_root(parent) || parent.has_root());
        fs.sync_dir(parent.unwrap_or_else(|| Path::new(".")))?;
    }
    Ok(())
}

/// `/`, or the empty path that stands for the working directory.
fn is_root(path: &Path) -> bool {
    path.parent().is_none()
}

/// The whole content of a file.
///
/// # Errors
/// As the file system says; `InvalidData` if the file does not fit into memory.
pub fn read(fs: &dyn Fs, path: &Path) -> io::Result<Vec<u8>> {
    let file = fs.open_read(path)?;
    let len = usize::try_from(file.len()?).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    let mut data = vec![0; len];
    file.read_exact_at(&mut data, 0)?;
    Ok(data)
}

/// The machine's file system.
#[derive(Debug, Default)]
pub struct RealFs;

impl RealFs {
    /// A shared handle.
    pub fn shared() -> Arc<dyn Fs> {
        Arc::new(Self)
    }
}

#[derive(Debug)]
struct RealFile(std::fs::File);

#[derive(Debug)]
struct RealLock {
    _file: std::fs::File,
}

impl FileLock for RealLock {}

impl Fs for RealFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(RealFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(RealFile(std::fs::File::open(path)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let len = if metadata.is_dir() { 0 } else { metadata.len() };
            entries.push(DirEntry { name, is_dir: metadata.is_dir(), len });
        }
        entries.sort();
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::File::open(path)?.sync_all()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn space(&self, path: &Path) -> Option<Space> {
        let stat = rustix::fs::statvfs(path).ok()?;
        let unit = stat.f_frsize;
        Some(Space { free_bytes: stat.f_bavail * unit, total_bytes: stat.f_blocks * unit })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(std::fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

impl File for RealFile {
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_atomic_replaces_the_whole_file() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("meta.json");
        let fs = RealFs;
        write_atomic(&fs, &path, b"a longer first version").expect("written");
        write_atomic(&fs, &path, b"second").expect("written");
        assert_eq!(read(&fs, &path).expect("readable"), b"second");
        let names: Vec<String> =
            fs.read_dir(dir.path()).expect("listed").into_iter().map(|e| e.name).collect();
        assert_eq!(names, ["meta.json"]);
    }

    #[test]
    fn directories_are_created_with_their_parents() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("a/b/c");
        for _ in 0..2 {
            create_dir_durably(&RealFs, &path).expect("created");
            assert!(path.is_dir());
        }
    }

    #[test]
    fn a_lock_excludes_a_second_holder_until_it_is_dropped() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("lock");
        let fs = RealFs;
        let held = fs.lock(&path).expect("free");
        assert_eq!(fs.lock(&path).expect_err("held").kind(), io::ErrorKind::WouldBlock);
        drop(held);
        fs.lock(&path).expect("free again");
    }

    #[test]
    fn reading_past_the_end_is_an_error_not_a_short_read() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = RealFs.create(&dir.path().join("f")).expect("created");
        file.write_all_at(b"abc", 2).expect("written");
        assert_eq!(file.len().expect("known"), 5);
        let mut buf = [0; 4];
        assert_eq!(file.read_exact_at(&mut buf, 2).expect_err("short").kind(), io::ErrorKind::UnexpectedEof);
        assert!(RealFs.space(dir.path()).expect("known").total_bytes > 0);
    }
}
