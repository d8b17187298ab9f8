//! Files and directories: what is visible, what is durable, and what lies between.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stdx::fs::DirEntry;
use stdx::rand::SeededRandom;

use super::crash::Fate;

pub(super) type NodeId = u64;
pub(super) const ROOT: NodeId = 0;

/// One step that changes the file system.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { file: NodeId, offset: u64, data: Arc<[u8]> },
    SetLen { file: NodeId, len: u64 },
    Sync { file: NodeId },
    FailedSync { file: NodeId, seed: u64 },
    Make { dir: NodeId, name: String, node: NodeId, is_dir: bool },
    Link { dir: NodeId, name: String, node: NodeId },
    Unlink { dir: NodeId, name: String },
    Rename { from_dir: NodeId, from: String, to_dir: NodeId, to: String, node: NodeId },
    SyncDir { dir: NodeId },
}

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) nodes: BTreeMap<NodeId, Node>,
    pub(super) next: NodeId,
    /// Bytes of all files that have a name.
    pub(super) used_bytes: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
}

#[derive(Debug, Clone, Default)]
pub(super) struct FileNode {
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// What makes `live` out of `durable`, oldest first; less what failed syncs dropped.
    pub(super) pending: Vec<DataChange>,
    pub(super) name_count: usize,
}

#[derive(Debug, Clone)]
pub(super) enum DataChange {
    Write { offset: u64, data: Arc<[u8]> },
    SetLen(u64),
}

#[derive(Debug, Clone, Default)]
pub(super) struct DirNode {
    pub(super) live: BTreeMap<String, NodeId>,
    pub(super) durable: BTreeMap<String, NodeId>,
    pub(super) pending: Vec<NameChange>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum NameChange {
    Link {
        name: String,
        node: NodeId,
    },
    Unlink {
        name: String,
    },
    /// Within the directory: both or nothing.
    Rename {
        from: String,
        to: String,
        node: NodeId,
    },
    /// The old place of something that went to another directory; gone only if the new place is there.
    MovedAway {
        name: String,
        node: NodeId,
        to_dir: NodeId,
    },
}

impl State {
    pub(super) fn empty() -> Self {
        Self { nodes: BTreeMap::from([(ROOT, Node::Dir(DirNode::default()))]), next: ROOT + 1, used_bytes: 0 }
    }

    pub(super) fn next_id(&self) -> NodeId {
        self.next
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    fn dir(&self, node: NodeId) -> io::Result<&DirNode> {
        match self.nodes.get(&node) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn dir_mut(&mut self, node: NodeId) -> &mut DirNode {
        match self.nodes.get_mut(&node) {
            Some(Node::Dir(dir)) => dir,
            _ => panic!("BUG: node {node} is no directory"),
        }
    }

    fn file(&self, node: NodeId) -> &FileNode {
        match self.nodes.get(&node) {
            Some(Node::File(file)) => file,
            _ => panic!("BUG: node {node} is no file"),
        }
    }

    fn file_mut(&mut self, node: NodeId) -> &mut FileNode {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => file,
            _ => panic!("BUG: node {node} is no file"),
        }
    }

    /// The node at the end of `names`.
    pub(super) fn walk(&self, names: &[&str]) -> io::Result<NodeId> {
        names.iter().try_fold(ROOT, |dir, name| {
            self.child(dir, name)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        })
    }

    pub(super) fn child(&self, dir: NodeId, name: &str) -> io::Result<Option<NodeId>> {
        Ok(self.dir(dir)?.live.get(name).copied())
    }

    pub(super) fn check_file(&self, node: NodeId) -> io::Result<()> {
        match self.nodes.get(&node) {
            Some(Node::File(_)) => Ok(()),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn find_file(&self, path: &Path) -> io::Result<NodeId> {
        let node = self.walk(&super::files::names(path)?)?;
        self.check_file(node)?;
        Ok(node)
    }

    /// Whether a rename may put `node` in the place of `target`.
    pub(super) fn check_replaceable(&self, node: NodeId, target: NodeId) -> io::Result<()> {
        match (&self.nodes[&node], &self.nodes[&target]) {
            (Node::File(_), Node::File(_)) => Ok(()),
            (Node::Dir(_), Node::Dir(target)) if target.live.is_empty() => Ok(()),
            (Node::Dir(_), Node::Dir(_)) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            (Node::File(_), Node::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            (Node::Dir(_), Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn entries(&self, dir: NodeId) -> io::Result<Vec<DirEntry>> {
        let entry = |(name, node): (&String, &NodeId)| match &self.nodes[node] {
            Node::File(file) => DirEntry { name: name.clone(), is_dir: false, len: file.live.len() as u64 },
            Node::Dir(_) => DirEntry { name: name.clone(), is_dir: true, len: 0 },
        };
        Ok(self.dir(dir)?.live.iter().map(entry).collect())
    }

    pub(super) fn content(&self, file: NodeId) -> &[u8] {
        &self.file(file).live
    }

    pub(super) fn len(&self, file: NodeId) -> u64 {
        self.file(file).live.len() as u64
    }

    pub(super) fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut found = Vec::new();
        self.visit(ROOT, &PathBuf::from("/"), &mut |path, node| {
            found.push((path.to_owned(), self.len(node)));
        });
        found
    }

    fn visit(&self, dir: NodeId, path: &Path, on_file: &mut impl FnMut(&Path, NodeId)) {
        let Ok(directory) = self.dir(dir) else { return };
        for (name, node) in &directory.live {
            let path = path.join(name);
            match &self.nodes[node] {
                Node::File(_) => on_file(&path, *node),
                Node::Dir(_) => self.visit(*node, &path, on_file),
            }
        }
    }

    pub(super) fn flip_bit(&mut self, file: NodeId, bit: u64) -> io::Result<()> {
        let file = self.file_mut(file);
        let at = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let mask = 1 << (bit % 8);
        *file.live.get_mut(at).ok_or(io::ErrorKind::UnexpectedEof)? ^= mask;
        if let Some(byte) = file.durable.get_mut(at) {
            *byte ^= mask;
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { file, offset, data } => {
                self.change_data(*file, DataChange::Write { offset: *offset, data: Arc::clone(data) });
            }
            Change::SetLen { file, len } => self.change_data(*file, DataChange::SetLen(*len)),
            Change::Sync { file } => {
                let file = self.file_mut(*file);
                for change in std::mem::take(&mut file.pending) {
                    change.apply_to(&mut file.durable);
                }
            }
            Change::FailedSync { file, seed } => {
                let random = SeededRandom::new(*seed);
                self.file_mut(*file).persist(Fate::Pieces, &random);
            }
            Change::Make { dir, name, node, is_dir } => {
                let content =
                    if *is_dir { Node::Dir(DirNode::default()) } else { Node::File(FileNode::default()) };
                self.nodes.insert(*node, content);
                self.next = self.next.max(node + 1);
                self.link(*dir, name, *node);
                self.dir_mut(*dir).pending.push(NameChange::Link { name: name.clone(), node: *node });
            }
            Change::Link { dir, name, node } => {
                self.link(*dir, name, *node);
                self.dir_mut(*dir).pending.push(NameChange::Link { name: name.clone(), node: *node });
            }
            Change::Unlink { dir, name } => {
                self.unlink(*dir, name);
                self.dir_mut(*dir).pending.push(NameChange::Unlink { name: name.clone() });
            }
            Change::Rename { from_dir, from, to_dir, to, node } => {
                self.rename(*from_dir, from, *to_dir, to, *node);
            }
            Change::SyncDir { dir } => self.sync_dir(*dir),
        }
    }

    fn change_data(&mut self, node: NodeId, change: DataChange) {
        let file = self.file_mut(node);
        let before = file.live.len() as u64;
        change.apply_to(&mut file.live);
        file.pending.push(change);
        if file.name_count > 0 {
            let after = file.live.len() as u64;
            self.used_bytes = self.used_bytes + after - before;
        }
    }

    /// Gives a node a (further) name.
    fn link(&mut self, dir: NodeId, name: &str, node: NodeId) {
        if self.dir(dir).is_ok_and(|dir| dir.live.contains_key(name)) {
            self.unlink(dir, name);
        }
        self.dir_mut(dir).live.insert(name.to_owned(), node);
        if let Some(Node::File(file)) = self.nodes.get_mut(&node) {
            file.name_count += 1;
            if file.name_count == 1 {
                self.used_bytes += file.live.len() as u64;
            }
        }
    }

    fn unlink(&mut self, dir: NodeId, name: &str) {
        let Some(node) = self.dir_mut(dir).live.remove(name) else { return };
        if let Some(Node::File(file)) = self.nodes.get_mut(&node) {
            file.name_count -= 1;
            if file.name_count == 0 {
                self.used_bytes -= file.live.len() as u64;
            }
        }
    }

    fn rename(&mut self, from_dir: NodeId, from: &str, to_dir: NodeId, to: &str, node: NodeId) {
        self.link(to_dir, to, node);
        self.unlink(from_dir, from);
        if from_dir == to_dir {
            let change = NameChange::Rename { from: from.to_owned(), to: to.to_owned(), node };
            self.dir_mut(to_dir).pending.push(change);
            return;
        }
        self.dir_mut(to_dir).pending.push(NameChange::Link { name: to.to_owned(), node });
        self.dir_mut(from_dir).pending.push(NameChange::MovedAway { name: from.to_owned(), node, to_dir });
    }

    fn sync_dir(&mut self, dir: NodeId) {
        for change in std::mem::take(&mut self.dir_mut(dir).pending) {
            // A move is one step for the file system's own journal: its new place is synced with its old one.
            if let NameChange::MovedAway { node, to_dir, .. } = &change {
                let target = self.dir_mut(*to_dir);
                let arrival =
                    |c: &NameChange| matches!(c, NameChange::Link { node: arrived, .. } if arrived == node);
                if let Some(at) = target.pending.iter().position(arrival) {
                    let arrival = target.pending.remove(at);
                    arrival.apply_to(&mut target.durable);
                }
            }
            change.apply_to(&mut self.dir_mut(dir).durable);
        }
    }

    /// A change with paths instead of numbers, as far as they still have names.
    pub(super) fn describe(&self, change: &Change) -> String {
        let path = |wanted: NodeId| {
            let mut found = None;
            self.visit(ROOT, &PathBuf::from("/"), &mut |path, node| {
                if node == wanted {
                    found = Some(path.display().to_string());
                }
            });
            found.unwrap_or_else(|| format!("#{wanted}"))
        };
        match change {
            Change::Write { file, offset, data } => {
                format!("write {} +{offset} {} bytes", path(*file), data.len())
            }
            Change::SetLen { file, len } => format!("set_len {} {len}", path(*file)),
            Change::Sync { file } => format!("sync {}", path(*file)),
            Change::FailedSync { file, .. } => format!("failed sync {}", path(*file)),
            Change::Make { node, name, is_dir, .. } => {
                format!("{} {name} {}", if *is_dir { "mkdir" } else { "create" }, path(*node))
            }
            Change::Link { name, node, .. } => format!("link {name} {}", path(*node)),
            Change::Unlink { name, .. } => format!("unlink {name}"),
            Change::Rename { from, node, .. } => format!("rename {from} {}", path(*node)),
            Change::SyncDir { dir } => format!("sync_dir #{dir}"),
        }
    }
}

pub(super) fn write_at(content: &mut Vec<u8>, offset: u64, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let start = usize::try_from(offset).expect("simulated files fit into memory");
    if content.len() < start + data.len() {
        content.resize(start + data.len(), 0);
    }
    content[start..start + data.len()].copy_from_slice(data);
}

impl DataChange {
    pub(super) fn apply_to(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => write_at(content, *offset, data),
            Self::SetLen(len) => {
                content.resize(usize::try_from(*len).expect("simulated files fit into memory"), 0);
            }
        }
    }
}

impl NameChange {
    pub(super) fn apply_to(&self, names: &mut BTreeMap<String, NodeId>) {
        match self {
            Self::Link { name, node } => {
                names.insert(name.clone(), *node);
            }
            Self::Unlink { name } => {
                names.remove(name);
            }
            Self::Rename { from, to, node } => {
                if names.get(from) == Some(node) {
                    names.remove(from);
                }
                names.insert(to.clone(), *node);
            }
            Self::MovedAway { name, node, .. } => {
                if names.get(name) == Some(node) {
                    names.remove(name);
                }
            }
        }
    }
}
