//! One block of what was frozen: the thread that flushes fetches chunks from the head, for which it needs the head's locks
//! for a moment each; another one, of low priority, decodes, encodes, compresses and writes them. Should it lose the
//! processor, nobody waits for anything it holds.

use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};

use model::LabelsRef;
use storage::SeriesSamples;

use crate::block::format::Meta;
use crate::block::{Block, BlockWriter};
use crate::engine::Tsdb;
use crate::head::Head;
use crate::head::chunks::HeadChunk;
use crate::maintain::background;
use crate::merge::Merger;

/// Series that are fetched at once.
const BATCH_SERIES: usize = 256;
/// Batches that wait to be written.
const BATCHES_MAX: usize = 4;

/// What one block shall hold.
pub(super) struct Wanted<'a> {
    /// Numbers of series, sorted by labels.
    series: &'a [u32],
    start_ms: i64,
    end_ms: i64,
}

/// Chunks of several series, on their way from the head to the disk.
#[derive(Default)]
struct Batch {
    /// Packed labels of one series after the other, and all their chunks.
    packed: String,
    chunks: Vec<HeadChunk>,
    /// Where those of each series end.
    ends: Vec<(usize, usize)>,
}

impl Batch {
    fn clear(&mut self) {
        self.packed.clear();
        self.chunks.clear();
        self.ends.clear();
    }
}

impl Wanted<'_> {
    /// Sends all batches, or until nobody takes them.
    fn fetch(&self, head: &Head, batches: &SyncSender<Batch>, used: &Receiver<Batch>) {
        let overlaps = |chunk: &HeadChunk| chunk.min_ms() <= self.end_ms && chunk.max_ms() >= self.start_ms;
        for numbers in self.series.chunks(BATCH_SERIES) {
            let mut batch = used.try_recv().unwrap_or_default();
            batch.clear();
            for number in numbers {
                head.frozen(*number, overlaps, &mut batch.packed, &mut batch.chunks);
                batch.ends.push((batch.packed.len(), batch.chunks.len()));
            }
            if batches.send(batch).is_err() {
                return;
            }
        }
    }

    /// Writes a batch.
    fn write(
        &self,
        batch: &Batch,
        samples: &mut SeriesSamples,
        writer: &mut BlockWriter<'_>,
    ) -> io::Result<()> {
        let (mut packed_start, mut chunks_start) = (0, 0);
        for (packed_end, chunks_end) in &batch.ends {
            let mut merger = Merger::new(samples, self.start_ms, self.end_ms);
            for chunk in &batch.chunks[chunks_start..*chunks_end] {
                chunk.read(&mut merger).map_err(|e| io::Error::other(format!("BUG: head chunk: {e}")))?;
            }
            let packed = &batch.packed[packed_start..*packed_end];
            writer.add(LabelsRef::from_packed_trusted(packed), samples)?;
            (packed_start, chunks_start) = (*packed_end, *chunks_end);
        }
        Ok(())
    }
}

impl Tsdb {
    /// What a window's block shall hold of frozen series.
    pub(super) fn wanted<'a>(&self, series: &'a [u32], window: i64) -> Wanted<'a> {
        let span_ms = self.settings.block_span_ms;
        Wanted { series, start_ms: window * span_ms, end_ms: window * span_ms + (span_ms - 1) }
    }

    /// Writes a block; `None` if it would hold no samples.
    pub(super) fn write_window(
        &self,
        head: &Head,
        wanted: &Wanted<'_>,
        meta: Meta,
        path: &Path,
    ) -> io::Result<Option<Block>> {
        let (batches, incoming) = mpsc::sync_channel(BATCHES_MAX);
        let (outgoing, used) = mpsc::channel();
        background::run_beside(
            move || self.write_block(wanted, incoming, &outgoing, meta, path),
            move || wanted.fetch(head, &batches, &used),
        )?
    }

    fn write_block(
        &self,
        wanted: &Wanted<'_>,
        incoming: Receiver<Batch>,
        outgoing: &Sender<Batch>,
        meta: Meta,
        path: &Path,
    ) -> io::Result<Option<Block>> {
        let mut writer = BlockWriter::create(&*self.deps.fs, path, meta, &self.deps.budget)?;
        let mut samples = SeriesSamples::default();
        for batch in incoming {
            wanted.write(&batch, &mut samples, &mut writer)?;
            // Whoever fetches may be done already.
            let _ = outgoing.send(batch);
        }
        if writer.is_empty() {
            return Ok(None);
        }
        let path = writer.finish()?;
        Block::open(&self.block_env, &path).map(Some)
    }
}
