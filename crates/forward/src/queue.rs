//! What is not delivered yet: a bounded first-in-first-out queue of records in files of a folder.
//!
//! Files are numbered segments of records, one after the other, and `cursor`, which says what was delivered:
//!
//! ```text
//! record   length of payload u32 · CRC32C of what follows u32 · samples u32 · newest timestamp i64 · payload   (little endian)
//! cursor   segment u64 · offset u64 · CRC32C of both u32
//! ```
//!
//! Promises: what [`Queue::sync`] returned for is there after a crash. A torn end is cut off when the queue is opened; a damaged
//! record is skipped and its segment's rest with it, counted as [`Lost`]. The cursor may lag behind a crash: then a few records are
//! handed out twice. A segment is removed as soon as its last record is delivered or dropped.
//!
//! Map: here the queue · `segment` one file of it.

mod segment;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stdx::fs::{self, Fs};

use segment::{RECORD_HEADER_BYTES, Record, Segment};

/// A segment is closed when it is this large.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;
const CURSOR: &str = "cursor";
/// The cursor is written after so many deliveries at the latest.
const CURSOR_LAG_MAX: u32 = 64;

/// A place between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    segment: u64,
    offset: u64,
}

/// Samples that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lost {
    /// To make room for newer ones.
    pub overflowed: u64,
    /// Damaged on disk. How many samples were in a part that cannot be read is unknown: each such part counts once.
    pub damaged: u64,
}

/// Records taken out to be delivered. They stay in the queue until [`Queue::done`].
#[derive(Debug)]
pub struct Claim {
    from: Position,
    to: Position,
    /// Samples in all of them.
    pub samples: u64,
    /// Timestamp of the newest sample in them.
    pub newest_ms: i64,
    /// The records, oldest first.
    pub payloads: Vec<Vec<u8>>,
}

/// The queue. Synchronous, and not shared: whoever shares it locks it.
#[derive(Debug)]
pub struct Queue {
    fs: Arc<dyn Fs>,
    folder: PathBuf,
    bytes_max: u64,
    /// Oldest first. The last is written to, if `writing`.
    segments: VecDeque<Segment>,
    writing: bool,
    next_segment: u64,
    /// The oldest record that is neither delivered nor dropped.
    head: Position,
    /// Where the cursor on disk is behind by so many changes of `head`.
    cursor_lag: u32,
    /// The claim that is under way, and how much of it has been dropped meanwhile.
    claimed: Option<(Position, u64)>,
    lost: Lost,
    /// For the bytes of a record; used again and again.
    buffer: Vec<u8>,
}

impl Queue {
    /// Opens the queue in `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// If files cannot be listed, read or made.
    pub fn open(fs: Arc<dyn Fs>, folder: &Path, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_durably(&*fs, folder)?;
        let mut numbers: Vec<u64> =
            fs.read_dir(folder)?.iter().filter_map(|entry| segment::number(&entry.name)).collect();
        numbers.sort_unstable();
        let mut queue = Self {
            next_segment: numbers.last().map_or(1, |last| last + 1),
            head: read_cursor(&*fs, &folder.join(CURSOR))?,
            fs,
            folder: folder.to_owned(),
            bytes_max,
            segments: VecDeque::new(),
            writing: false,
            cursor_lag: 0,
            claimed: None,
            lost: Lost::default(),
            buffer: Vec::new(),
        };
        let last = numbers.last().copied();
        for number in numbers {
            if number < queue.head.segment {
                queue.fs.remove_file(&queue.path(number))?;
                continue;
            }
            let from = if number == queue.head.segment { queue.head.offset } else { 0 };
            let mut segment = Segment::open(&*queue.fs, &queue.path(number), number, from)?;
            if segment.damaged && last == Some(number) {
                // A crash in the middle of writing: nobody was told that this was safe.
                segment.cut_off()?;
            }
            queue.lost.damaged += u64::from(segment.damaged);
            queue.segments.push_back(segment);
        }
        queue.leave_empty_segments()?;
        Ok(queue)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(segment::name(number))
    }

    /// Samples that wait.
    pub fn samples(&self) -> u64 {
        self.segments.iter().map(|segment| segment.samples).sum()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::waiting_bytes).sum()
    }

    /// What was lost since this was last asked.
    pub fn take_lost(&mut self) -> Lost {
        std::mem::take(&mut self.lost)
    }

    /// Adds a record; the oldest are dropped if there is no room. Durable after [`Self::sync`].
    ///
    /// # Errors
    /// If it cannot be written; the queue is as before then.
    pub fn push(&mut self, samples: u32, newest_ms: i64, payload: &[u8]) -> io::Result<()> {
        let bytes = RECORD_HEADER_BYTES + payload.len() as u64;
        while self.bytes() + bytes > self.bytes_max && self.drop_oldest()? {}
        if !self.writing || self.segments.back().is_none_or(|last| last.end >= SEGMENT_BYTES_MAX) {
            self.begin_segment()?;
        }
        let Some(last) = self.segments.back_mut() else {
            return Err(io::Error::other("BUG: no segment to write"));
        };
        let written = last.append(&Record { samples, newest_ms, payload }, &mut self.buffer);
        if written.is_err() {
            // Whatever stands there now, nothing is written behind it.
            self.writing = false;
        }
        written
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        if self.writing {
            self.sync()?;
        }
        let number = self.next_segment;
        let file = self.fs.create(&self.path(number))?;
        self.fs.sync_dir(&self.folder)?;
        self.next_segment += 1;
        if self.segments.is_empty() {
            self.head = Position { segment: number, offset: 0 };
        }
        self.segments.push_back(Segment::new(number, file));
        self.writing = true;
        Ok(())
    }

    /// Makes everything durable that was added.
    ///
    /// # Errors
    /// If the disk does not take it; then it may or may not be there after a crash.
    pub fn sync(&mut self) -> io::Result<()> {
        if !self.writing {
            return Ok(());
        }
        let synced = self.segments.back().map_or(Ok(()), Segment::sync);
        // After a failed sync nothing is known about the file.
        self.writing &= synced.is_ok();
        synced
    }

    /// The oldest record is dropped. Whether there was one.
    fn drop_oldest(&mut self) -> io::Result<bool> {
        let Some((samples, next)) = self.next_record()? else { return Ok(false) };
        match &mut self.claimed {
            // Whether it arrives is not known yet.
            Some((to, dropped)) if self.head < *to => *dropped += samples,
            _ => self.lost.overflowed += samples,
        }
        self.advance(next)?;
        Ok(true)
    }

    /// Samples in the record at the head, and where the record after it begins.
    fn next_record(&mut self) -> io::Result<Option<(u64, Position)>> {
        while let Some(first) = self.segments.front() {
            let header = first.header(self.head.offset)?;
            match header {
                Some((samples, end)) => {
                    return Ok(Some((u64::from(samples), Position { segment: first.number, offset: end })));
                }
                None if self.segments.len() == 1 => return Ok(None),
                // Damaged from here on.
                None => self.skip_segment()?,
            }
        }
        Ok(None)
    }

    fn skip_segment(&mut self) -> io::Result<()> {
        if let Some(first) = self.segments.front_mut() {
            self.lost.damaged += first.samples;
            first.samples = 0;
            first.start = first.end;
            self.head.offset = first.end;
        }
        self.leave_empty_segments()
    }

    fn advance(&mut self, to: Position) -> io::Result<()> {
        if let Some(first) = self.segments.front_mut() {
            first.leave(to.offset)?;
        }
        self.head = to;
        self.cursor_lag += 1;
        self.leave_empty_segments()?;
        if self.cursor_lag >= CURSOR_LAG_MAX { self.save() } else { Ok(()) }
    }

    /// Removes segments in the front that hold nothing more.
    fn leave_empty_segments(&mut self) -> io::Result<()> {
        while let Some(first) = self.segments.front() {
            let written_to = self.writing && self.segments.len() == 1;
            if first.start < first.end || written_to && first.end < SEGMENT_BYTES_MAX {
                return Ok(());
            }
            let number = first.number;
            self.writing &= self.segments.len() > 1;
            self.segments.pop_front();
            self.head = Position {
                segment: self.segments.front().map_or(self.next_segment, |segment| segment.number),
                offset: self.segments.front().map_or(0, |segment| segment.start),
            };
            self.save()?;
            self.fs.remove_file(&self.path(number))?;
        }
        Ok(())
    }

    /// Writes down what was delivered, so that it is not handed out again after a restart.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&mut self) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(20);
        bytes.extend_from_slice(&self.head.segment.to_le_bytes());
        bytes.extend_from_slice(&self.head.offset.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        fs::write_atomic(&*self.fs, &self.folder.join(CURSOR), &bytes)?;
        self.cursor_lag = 0;
        Ok(())
    }

    /// Takes out the oldest records: one at least, more while they have `samples_max` samples together at most. Nothing if
    /// nothing waits, or a claim is under way.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn claim(&mut self, samples_max: usize) -> io::Result<Option<Claim>> {
        if self.claimed.is_some() || self.next_record()?.is_none() {
            return Ok(None);
        }
        let mut claim =
            Claim { from: self.head, to: self.head, samples: 0, newest_ms: i64::MIN, payloads: Vec::new() };
        let mut at = (0, self.head.offset);
        while let Some(segment) = self.segments.get(at.0) {
            match segment.read(at.1)? {
                Some((record, end)) => {
                    let samples = u64::from(record.samples);
                    if !claim.payloads.is_empty() && claim.samples + samples > samples_max as u64 {
                        break;
                    }
                    claim.samples += samples;
                    claim.newest_ms = claim.newest_ms.max(record.newest_ms);
                    claim.payloads.push(record.payload);
                    at.1 = end;
                    claim.to = Position { segment: segment.number, offset: end };
                }
                // The end of a segment, or damage: what is behind it waits until it is the head.
                None if claim.payloads.is_empty() && at.1 < segment.end => {
                    self.skip_segment()?;
                    return self.claim(samples_max);
                }
                None if at.1 < segment.end => break,
                None => {
                    at = (at.0 + 1, self.segments.get(at.0 + 1).map_or(0, |next| next.start));
                }
            }
        }
        self.claimed = Some((claim.to, 0));
        Ok(Some(claim))
    }

    /// Whether all of a claim has been dropped to make room: then sending it again makes no sense.
    pub fn overtaken(&self, claim: &Claim) -> bool {
        self.head >= claim.to
    }

    /// Ends a claim. If it was `delivered` (or given up for good), its records leave the queue; otherwise they will be
    /// handed out again, but for those that were dropped meanwhile.
    ///
    /// # Errors
    /// If files cannot be removed or the cursor cannot be written.
    pub fn done(&mut self, claim: &Claim, delivered: bool) -> io::Result<()> {
        debug_assert!(claim.from <= claim.to);
        let dropped = self.claimed.take().map_or(0, |(_, dropped)| dropped);
        if !delivered {
            self.lost.overflowed += dropped;
            return Ok(());
        }
        while self.head < claim.to {
            match self.next_record()? {
                Some((_, next)) => self.advance(next)?,
                None => break,
            }
        }
        Ok(())
    }
}

/// Where the queue begins, if it was ever written down. A damaged cursor is as good as none: records are sent twice then.
fn read_cursor(fs: &dyn Fs, path: &Path) -> io::Result<Position> {
    let start = Position { segment: 0, offset: 0 };
    if !fs.exists(path) {
        return Ok(start);
    }
    let bytes = fs::read(fs, path)?;
    let Some((numbers, crc)) = bytes.split_at_checked(16) else { return Ok(start) };
    if crc != crc32c::crc32c(numbers).to_le_bytes() {
        return Ok(start);
    }
    let number = |from: usize| {
        let mut eight = [0; 8];
        eight.copy_from_slice(&numbers[from..from + 8]);
        u64::from_le_bytes(eight)
    };
    Ok(Position { segment: number(0), offset: number(8) })
}
