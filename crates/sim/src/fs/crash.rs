//! What a crash leaves of what was not synced.

use std::collections::BTreeMap;

use stdx::rand::{Random, SeededRandom};

use super::state::{DataChange, DirNode, FileNode, NameChange, Node, NodeId, ROOT, State, write_at};

/// What a disk writes all or nothing of, mostly.
const SECTOR_BYTES: usize = 512;

/// How a crash treats what was not synced.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    Lost,
    Kept,
    /// Up to some point, in order, the last piece torn.
    Prefix,
    /// Any part, in any order.
    Pieces,
}

impl State {
    /// What a restarted machine finds.
    pub(super) fn after_crash(&self, seed: u64) -> Self {
        let random = SeededRandom::new(seed);
        let fates = [Fate::Lost, Fate::Kept, Fate::Prefix, Fate::Pieces];
        let fate = fates[random.below(fates.len() as u64) as usize];
        let mut nodes = self.nodes.clone();
        let mut moves = Vec::new();
        for (id, node) in &mut nodes {
            match node {
                Node::File(file) => file.persist(fate, &random),
                Node::Dir(dir) => dir.persist(*id, fate, &random, &mut moves),
            }
        }
        for (dir, name, node, to_dir) in moves {
            let has_arrived = match nodes.get(&to_dir) {
                Some(Node::Dir(target)) => target.durable.values().any(|arrived| *arrived == node),
                _ => false,
            };
            if let Some(Node::Dir(old)) = nodes.get_mut(&dir)
                && has_arrived
                && old.durable.get(&name) == Some(&node)
            {
                old.durable.remove(&name);
            }
        }
        let mut state = Self::empty();
        state.next = self.next;
        state.adopt(ROOT, &nodes);
        state
    }

    /// Takes over what is durable and can be reached from `node`.
    fn adopt(&mut self, node: NodeId, nodes: &BTreeMap<NodeId, Node>) {
        match &nodes[&node] {
            Node::File(file) => {
                let name_count = match self.nodes.get(&node) {
                    Some(Node::File(known)) => known.name_count,
                    _ => 0,
                };
                if name_count == 0 {
                    self.used_bytes += file.durable.len() as u64;
                }
                let durable = file.durable.clone();
                let file = FileNode {
                    live: durable.clone(),
                    durable,
                    pending: Vec::new(),
                    name_count: name_count + 1,
                };
                self.nodes.insert(node, Node::File(file));
            }
            Node::Dir(dir) => {
                let names = dir.durable.clone();
                let children: Vec<NodeId> = names.values().copied().collect();
                let dir = DirNode { live: names.clone(), durable: names, pending: Vec::new() };
                self.nodes.insert(node, Node::Dir(dir));
                for child in children {
                    self.adopt(child, nodes);
                }
            }
        }
    }
}

impl FileNode {
    /// Makes part of what is pending durable, and forgets the rest.
    pub(super) fn persist(&mut self, fate: Fate, random: &SeededRandom) {
        let pending = std::mem::take(&mut self.pending);
        let kept_count = match fate {
            Fate::Lost => return,
            Fate::Kept | Fate::Pieces => pending.len(),
            Fate::Prefix => random.below(pending.len() as u64 + 1) as usize,
        };
        for change in &pending[..kept_count] {
            match fate {
                Fate::Pieces => change.apply_pieces(&mut self.durable, random),
                _ => change.apply_to(&mut self.durable),
            }
        }
        if matches!(fate, Fate::Prefix)
            && let Some(DataChange::Write { offset, data }) = pending.get(kept_count)
        {
            let torn = random.below(data.len() as u64 + 1) as usize;
            write_at(&mut self.durable, *offset, &data[..torn]);
        }
    }
}

impl DataChange {
    /// Each sector is kept, lost, or (rarely) torn.
    fn apply_pieces(&self, content: &mut Vec<u8>, random: &SeededRandom) {
        match self {
            Self::Write { offset, data } => {
                let mut at = 0;
                while at < data.len() {
                    let to_boundary = SECTOR_BYTES - (*offset as usize + at) % SECTOR_BYTES;
                    let piece = &data[at..data.len().min(at + to_boundary)];
                    let kept = match random.below(8) {
                        0..=3 => piece.len(),
                        4 => random.below(piece.len() as u64 + 1) as usize,
                        _ => 0,
                    };
                    write_at(content, offset + at as u64, &piece[..kept]);
                    at += piece.len();
                }
            }
            Self::SetLen(_) if random.below(2) == 0 => self.apply_to(content),
            Self::SetLen(_) => {}
        }
    }
}

impl DirNode {
    /// As for files; moves to other directories are left to the caller, who knows those.
    fn persist(
        &mut self,
        id: NodeId,
        fate: Fate,
        random: &SeededRandom,
        moves: &mut Vec<(NodeId, String, NodeId, NodeId)>,
    ) {
        let pending = std::mem::take(&mut self.pending);
        let kept_count = match fate {
            Fate::Lost => 0,
            Fate::Kept | Fate::Pieces => pending.len(),
            Fate::Prefix => random.below(pending.len() as u64 + 1) as usize,
        };
        for change in &pending[..kept_count] {
            if matches!(fate, Fate::Pieces) && random.below(2) == 0 {
                continue;
            }
            match change {
                NameChange::MovedAway { name, node, to_dir } => {
                    moves.push((id, name.clone(), *node, *to_dir));
                }
                _ => change.apply_to(&mut self.durable),
            }
        }
    }
}
