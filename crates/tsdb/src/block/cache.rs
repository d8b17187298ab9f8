//! Decompressed frames of all blocks, bounded in bytes; what was not used lately goes first ("second chance").

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use stdx::memory::{Budget, Reservation};

use super::format::FrameKind;
use super::index::{LabelFrame, Symbols};
use crate::metrics::Metrics;

/// Names a frame in the whole process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FrameKey {
    /// Unique in the process, so that a frame of a deleted block is never taken for another's.
    pub(crate) block: u64,
    pub(crate) kind: FrameKind,
    pub(crate) number: u32,
}

/// A frame in the form in which it is used.
#[derive(Debug, Clone)]
pub(crate) enum Cached {
    Raw(Arc<Vec<u8>>),
    Symbols(Arc<Symbols>),
    Label(Arc<LabelFrame>),
}

impl Cached {
    fn size_bytes(&self) -> usize {
        const OVERHEAD_BYTES: usize = 128;
        OVERHEAD_BYTES
            + match self {
                Self::Raw(raw) => raw.len(),
                Self::Symbols(symbols) => symbols.size_bytes(),
                Self::Label(label) => label.size_bytes(),
            }
    }
}

/// The cache, shared by all blocks.
#[derive(Debug)]
pub(crate) struct FrameCache {
    state: Mutex<State>,
    bytes_max: usize,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct State {
    frames: HashMap<FrameKey, Entry>,
    /// In order of insertion, or of the second chance.
    queue: VecDeque<FrameKey>,
    bytes: usize,
    reservation: Reservation,
}

#[derive(Debug)]
struct Entry {
    frame: Cached,
    used: bool,
}

impl FrameCache {
    pub(crate) fn new(budget: &Arc<Budget>, bytes_max: u64, metrics: Arc<Metrics>) -> Arc<Self> {
        let reservation = budget.child("block cache", u64::MAX).reserve_none();
        let state = State { frames: HashMap::new(), queue: VecDeque::new(), bytes: 0, reservation };
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        Arc::new(Self { state: Mutex::new(state), bytes_max, metrics })
    }

    pub(crate) fn get(&self, key: FrameKey) -> Option<Cached> {
        let mut state = self.state.lock();
        let found = state.frames.get_mut(&key).map(|entry| {
            entry.used = true;
            entry.frame.clone()
        });
        let counter = if found.is_some() { &self.metrics.cache_hits } else { &self.metrics.cache_misses };
        counter.inc();
        found
    }

    /// Whether a frame is at hand.
    pub(crate) fn contains(&self, key: FrameKey) -> bool {
        self.state.lock().frames.contains_key(&key)
    }

    /// Keeps a frame if memory allows, and makes room for it.
    pub(crate) fn insert(&self, key: FrameKey, frame: Cached) {
        let size = frame.size_bytes();
        if size > self.bytes_max / 4 {
            return;
        }
        let state = &mut *self.state.lock();
        if state.frames.contains_key(&key) {
            return;
        }
        state.make_room(self.bytes_max.saturating_sub(size));
        let want = (state.bytes + size) as u64;
        if want > state.reservation.bytes() && state.reservation.resize(want).is_err() {
            // Others need the memory more: stay as large as we are.
            let allowed = usize::try_from(state.reservation.bytes()).unwrap_or(usize::MAX);
            if allowed < size {
                return;
            }
            state.make_room(allowed - size);
        }
        state.bytes += size;
        state.queue.push_back(key);
        state.frames.insert(key, Entry { frame, used: false });
    }

    /// Drops the frames of a block that is gone.
    pub(crate) fn forget(&self, block: u64) {
        let State { frames, queue, bytes, reservation } = &mut *self.state.lock();
        let before = *bytes;
        frames.retain(|key, entry| {
            let stays = key.block != block;
            *bytes -= if stays { 0 } else { entry.frame.size_bytes() };
            stays
        });
        if *bytes < before {
            queue.retain(|key| key.block != block);
            reservation.shrink((before - *bytes) as u64);
            frames.shrink_to_fit();
            queue.shrink_to_fit();
        }
    }
}

impl State {
    fn make_room(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let Some(key) = self.queue.pop_front() else { return };
            let Some(entry) = self.frames.get_mut(&key) else { continue };
            if std::mem::replace(&mut entry.used, false) {
                self.queue.push_back(key);
            } else if let Some(gone) = self.frames.remove(&key) {
                self.bytes -= gone.frame.size_bytes();
            }
        }
    }
}
