//! The operations of `stdx::fs` on a simulated disk.

use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use parking_lot::Mutex;
use stdx::fs::{DirEntry, File, FileLock, Fs, Space};

use super::state::{Change, NodeId, ROOT};
use super::{Disk, OpKind, SimFs, no_space};

/// The size that [`Fs::space`] reports where no limit is set.
const TOTAL_BYTES: u64 = 1 << 40;

/// The names that lead from the root to `path`.
pub(super) fn names(path: &Path) -> io::Result<Vec<&str>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                names.push(name.to_str().ok_or(io::ErrorKind::InvalidFilename)?);
            }
            Component::ParentDir => {
                names.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(names)
}

fn parent_and_name(path: &Path) -> io::Result<(Vec<&str>, &str)> {
    let mut names = names(path)?;
    let name = names.pop().ok_or(io::ErrorKind::InvalidInput)?;
    Ok((names, name))
}

impl SimFs {
    fn file(&self, node: NodeId, is_writable: bool) -> Box<dyn File> {
        Box::new(SimFile { fs: self.clone(), node, is_writable })
    }
}

impl Fs for SimFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut disk = self.enter();
        disk.admit(OpKind::Open)?;
        let (parents, name) = parent_and_name(path)?;
        let dir = disk.state.walk(&parents)?;
        let node = match disk.state.child(dir, name)? {
            Some(node) => {
                disk.state.check_file(node)?;
                disk.change(Change::SetLen { file: node, len: 0 });
                node
            }
            None => make(&mut disk, dir, name, false),
        };
        Ok(self.file(node, true))
    }

    fn open_write(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut disk = self.enter();
        disk.admit(OpKind::Open)?;
        Ok(self.file(disk.state.find_file(path)?, true))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut disk = self.enter();
        disk.admit(OpKind::Open)?;
        Ok(self.file(disk.state.find_file(path)?, false))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.enter();
        disk.admit(OpKind::Open)?;
        let mut dir = ROOT;
        for name in names(path)? {
            dir = match disk.state.child(dir, name)? {
                Some(node) => node,
                None => make(&mut disk, dir, name, true),
            };
        }
        disk.state.entries(dir).map(|_| ())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut disk = self.enter();
        disk.admit(OpKind::Open)?;
        let dir = disk.state.walk(&names(path)?)?;
        disk.state.entries(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.enter();
        disk.admit(OpKind::Rename)?;
        let ((from_parents, from), (to_parents, to)) = (parent_and_name(from)?, parent_and_name(to)?);
        let (from_dir, to_dir) = (disk.state.walk(&from_parents)?, disk.state.walk(&to_parents)?);
        let node = disk.state.child(from_dir, from)?.ok_or(io::ErrorKind::NotFound)?;
        if let Some(target) = disk.state.child(to_dir, to)? {
            if target == node {
                return Ok(());
            }
            disk.state.check_replaceable(node, target)?;
        }
        disk.change(Change::Rename { from_dir, from: from.to_owned(), to_dir, to: to.to_owned(), node });
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.enter();
        disk.admit(OpKind::Rename)?;
        let node = disk.state.find_file(from)?;
        let (parents, name) = parent_and_name(to)?;
        let dir = disk.state.walk(&parents)?;
        if disk.state.child(dir, name)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.change(Change::Link { dir, name: name.to_owned(), node });
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.enter();
        disk.admit(OpKind::Remove)?;
        disk.state.find_file(path)?;
        let (parents, name) = parent_and_name(path)?;
        let dir = disk.state.walk(&parents)?;
        disk.change(Change::Unlink { dir, name: name.to_owned() });
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.enter();
        disk.admit(OpKind::Remove)?;
        let (parents, name) = parent_and_name(path)?;
        let parent = disk.state.walk(&parents)?;
        let dir = disk.state.child(parent, name)?.ok_or(io::ErrorKind::NotFound)?;
        disk.state.entries(dir)?;
        remove_below(&mut disk, dir)?;
        disk.change(Change::Unlink { dir: parent, name: name.to_owned() });
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.enter();
        disk.admit(OpKind::SyncDir)?;
        let dir = disk.state.walk(&names(path)?)?;
        disk.state.entries(dir)?;
        disk.change(Change::SyncDir { dir });
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        let disk = self.disk.lock();
        names(path).and_then(|names| disk.state.walk(&names)).is_ok()
    }

    fn space(&self, _path: &Path) -> Option<Space> {
        let disk = self.disk.lock();
        let total_bytes = disk.space_bytes.unwrap_or(TOTAL_BYTES);
        Some(Space { free_bytes: total_bytes.saturating_sub(disk.state.used_bytes()), total_bytes })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        let mut disk = self.enter();
        disk.admit(OpKind::Open)?;
        let (parents, name) = parent_and_name(path)?;
        let dir = disk.state.walk(&parents)?;
        let node = match disk.state.child(dir, name)? {
            Some(node) => node,
            None => make(&mut disk, dir, name, false),
        };
        if !disk.locked.insert(node) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock { disk: Arc::clone(&self.disk), node }))
    }
}

fn make(disk: &mut Disk, dir: NodeId, name: &str, is_dir: bool) -> NodeId {
    let node = disk.state.next_id();
    disk.change(Change::Make { dir, name: name.to_owned(), node, is_dir });
    node
}

/// Empties a directory one name after the other, so that a crash can come between any two.
fn remove_below(disk: &mut Disk, dir: NodeId) -> io::Result<()> {
    for entry in disk.state.entries(dir)? {
        if entry.is_dir
            && let Some(child) = disk.state.child(dir, &entry.name)?
        {
            remove_below(disk, child)?;
        }
        if disk.is_crashed() {
            return Err(io::Error::other("the simulated machine has stopped"));
        }
        disk.change(Change::Unlink { dir, name: entry.name });
    }
    Ok(())
}

#[derive(Debug)]
struct SimFile {
    fs: SimFs,
    node: NodeId,
    is_writable: bool,
}

impl SimFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.is_writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl File for SimFile {
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        self.fs.enter().write(self.node, data, offset)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut disk = self.fs.enter();
        disk.admit(OpKind::Read)?;
        let content = disk.state.content(self.node);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = start.checked_add(buf.len()).and_then(|end| content.get(start..end));
        buf.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.fs.enter().sync(self.node)
    }

    fn len(&self) -> io::Result<u64> {
        let disk = self.fs.disk.lock();
        if disk.is_crashed() {
            return Err(io::Error::other("the simulated machine has stopped"));
        }
        Ok(disk.state.len(self.node))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut disk = self.fs.enter();
        disk.admit(OpKind::Write)?;
        if len.saturating_sub(disk.state.len(self.node)) > disk.room_bytes() {
            return Err(no_space());
        }
        disk.change(Change::SetLen { file: self.node, len });
        Ok(())
    }
}

#[derive(Debug)]
struct SimLock {
    disk: Arc<Mutex<Disk>>,
    node: NodeId,
}

impl FileLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.lock().locked.remove(&self.node);
    }
}
