//! A window: the entries of many frames, dealt by shard to the threads that apply them.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use crate::head::SHARDS;
use crate::head::memory::HeadMemory;
use crate::tenant::Tenant;

/// A window is dealt out at this fraction of the head's memory, ...
const HEAD_DIVISOR: u64 = 32;
/// ... but not below this, ...
const BYTES_MIN: u64 = 2 << 20;
/// ... nor above this.
const BYTES_MAX: u64 = 64 << 20;

/// How large a window should be, so that what the replay takes beside the head stays small.
pub(super) fn bytes_max(memory: &HeadMemory) -> usize {
    (memory.used() / HEAD_DIVISOR).clamp(BYTES_MIN, BYTES_MAX) as usize
}

/// What one thread applies of a window.
pub(super) struct Work {
    pub(super) segment: u64,
    pub(super) window: Arc<Vec<u8>>,
    /// By shard, each in the order of the journal.
    pub(super) pieces: Vec<(usize, Vec<Piece>)>,
}

/// The body of an entry of samples.
pub(super) struct Piece {
    pub(super) tenant: Arc<Tenant>,
    /// What the segment calls the tenant.
    pub(super) number: u32,
    /// Where it is in the window.
    pub(super) body: Range<usize>,
}

/// Deals entries to appliers: shards by turns.
pub(super) struct Dealer {
    queues: Vec<SyncSender<Work>>,
    pieces: [Vec<Piece>; SHARDS],
    /// Windows that were handed out. Those that are done are used again.
    sent: Vec<Arc<Vec<u8>>>,
}

impl Dealer {
    pub(super) fn new(queues: Vec<SyncSender<Work>>) -> Self {
        Self { queues, pieces: Default::default(), sent: Vec::new() }
    }

    pub(super) fn add(&mut self, shard: usize, piece: Piece) {
        self.pieces[shard].push(piece);
    }

    /// Hands out the window and what was added of it, once the one before is done; leaves an empty one in its place.
    pub(super) fn send(&mut self, segment: u64, window: &mut Vec<u8>) {
        if self.pieces.iter().all(Vec::is_empty) {
            window.clear();
            return;
        }
        let full = Arc::new(std::mem::take(window));
        for (at, queue) in self.queues.iter().enumerate() {
            let pieces: Vec<(usize, Vec<Piece>)> = (at..SHARDS)
                .step_by(self.queues.len())
                .map(|shard| (shard, std::mem::take(&mut self.pieces[shard])))
                .filter(|(_, pieces)| !pieces.is_empty())
                .collect();
            if !pieces.is_empty() {
                // Its thread ends early only in a panic, which is noticed when it is joined.
                let _ = queue.send(Work { segment, window: Arc::clone(&full), pieces });
            }
        }
        self.sent.push(full);
        if let Some(done) = self.sent.iter().position(|sent| Arc::strong_count(sent) == 1)
            && let Ok(mut done) = Arc::try_unwrap(self.sent.swap_remove(done))
        {
            done.clear();
            *window = done;
        }
    }
}
