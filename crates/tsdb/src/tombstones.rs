//! Deletes: which samples of a tenant's blocks count as gone, until they are gone.
//!
//! A delete first flushes what it matches, so that everything written before it is in blocks. Then it notes a
//! tombstone: matchers, a range of time, and an age of blocks. It hides samples in blocks below that age; what is written
//! later, into the same range too, lands in blocks of that age or above and is not touched. Ages, not clocks, decide.
//! Compactions leave hidden samples out; once no block holds any, the tombstone goes.
//!
//! File `tombstones` in the tenant's directory: magic, CRC32C of the rest, the first segment of the journal whose records are not
//! in blocks, the next number of a block, tombstones. It is replaced as a whole before a delete is answered. The
//! two numbers are there because the newest block, which says the same, may be deleted as a whole.

use std::sync::Arc;

use chunk::Corrupt;
use chunk::varint::{Reader, write_bytes, write_i64, write_u64};
use model::matcher::matches_all;
use model::{Labels, MatchOp, Matcher};

const MAGIC: &[u8; 8] = b"KYMOTMB1";
const HEAD_BYTES: usize = MAGIC.len() + 4;
/// Name of the file.
pub(crate) const TOMBSTONES_FILE: &str = "tombstones";

/// A range of time, inclusive at both ends.
pub(crate) type Hole = (i64, i64);

/// A delete that is not worked off yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tombstone {
    /// Unique within the tenant.
    pub(crate) id: u64,
    /// All must be met.
    pub(crate) matchers: Vec<Matcher>,
    /// Inclusive.
    pub(crate) start_ms: i64,
    /// Inclusive.
    pub(crate) end_ms: i64,
    /// Blocks below this age held their samples before the delete.
    pub(crate) before_age: u64,
    /// When it was asked for; only to clean up in time.
    pub(crate) created_ms: i64,
}

impl Tombstone {
    /// Whether it may hide anything of a block.
    pub(crate) fn concerns(&self, age: u64, min_ms: i64, max_ms: i64) -> bool {
        age < self.before_age && self.start_ms <= max_ms && self.end_ms >= min_ms
    }
}

/// All of a tenant. Replaced as a whole, so that a query keeps what it took.
pub(crate) type Tombstones = Arc<Vec<Tombstone>>;

/// What is hidden of a series in a block of this age: sorted, disjoint.
pub(crate) fn holes(tombstones: &[Tombstone], age: u64, labels: &Labels) -> Vec<Hole> {
    let hides = |t: &&Tombstone| age < t.before_age && matches_all(&t.matchers, labels);
    let mut holes: Vec<Hole> = tombstones.iter().filter(hides).map(|t| (t.start_ms, t.end_ms)).collect();
    holes.sort_unstable();
    holes.dedup_by(|next, kept| {
        let touches = next.0 <= kept.1.saturating_add(1);
        if touches {
            kept.1 = kept.1.max(next.1);
        }
        touches
    });
    holes
}

/// Whether nothing of a range is left.
pub(crate) fn covers(holes: &[Hole], min_ms: i64, max_ms: i64) -> bool {
    holes.iter().any(|(start_ms, end_ms)| *start_ms <= min_ms && *end_ms >= max_ms)
}

/// Content of the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TombstoneFile {
    /// Records in segments of the journal below this one are in blocks, or were deleted.
    pub(crate) journal_before: u64,
    /// No block with this number or a greater one was made when the file was written.
    pub(crate) next_block_id: u64,
    pub(crate) tombstones: Vec<Tombstone>,
}

impl TombstoneFile {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut file = vec![0; HEAD_BYTES];
        for number in [self.journal_before, self.next_block_id, self.tombstones.len() as u64] {
            write_u64(&mut file, number);
        }
        for tombstone in &self.tombstones {
            write_u64(&mut file, tombstone.id);
            write_i64(&mut file, tombstone.start_ms);
            write_i64(&mut file, tombstone.end_ms);
            write_u64(&mut file, tombstone.before_age);
            write_i64(&mut file, tombstone.created_ms);
            write_u64(&mut file, tombstone.matchers.len() as u64);
            for matcher in &tombstone.matchers {
                file.push(OPS.iter().position(|op| *op == matcher.op()).unwrap_or(0) as u8);
                write_bytes(&mut file, matcher.name().as_bytes());
                write_bytes(&mut file, matcher.value().as_bytes());
            }
        }
        let crc = crc32c::crc32c(&file[HEAD_BYTES..]);
        file[..8].copy_from_slice(MAGIC);
        file[8..HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
        file
    }

    /// The inverse of [`Self::encode`].
    ///
    /// # Errors
    /// If the bytes are damaged.
    pub(crate) fn decode(file: &[u8]) -> Result<Self, Corrupt> {
        let (head, body) = file.split_at_checked(HEAD_BYTES).ok_or(Corrupt("it is too short"))?;
        if head[..8] != *MAGIC || head[8..] != crc32c::crc32c(body).to_le_bytes() {
            return Err(Corrupt("its checksum is wrong"));
        }
        let mut reader = Reader::new(body);
        let (journal_before, next_block_id) = (reader.u64()?, reader.u64()?);
        let mut tombstones = Vec::new();
        for _ in 0..reader.count(body.len())? {
            tombstones.push(read_tombstone(&mut reader, body.len())?);
        }
        Ok(Self { journal_before, next_block_id, tombstones })
    }
}

/// Their order is part of the format.
const OPS: [MatchOp; 4] = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];

fn read_tombstone(reader: &mut Reader<'_>, bytes_max: usize) -> Result<Tombstone, Corrupt> {
    let (id, start_ms, end_ms) = (reader.u64()?, reader.i64()?, reader.i64()?);
    let (before_age, created_ms) = (reader.u64()?, reader.i64()?);
    let mut matchers = Vec::new();
    for _ in 0..reader.count(bytes_max)? {
        let op = *OPS.get(usize::from(reader.u8()?)).ok_or(Corrupt("a matcher of unknown kind"))?;
        let (name, value) = (reader.text()?, reader.text()?);
        let matcher = Matcher::new(op, name, value);
        matchers.push(matcher.map_err(|_| Corrupt("a matcher is not valid"))?);
    }
    Ok(Tombstone { id, matchers, start_ms, end_ms, before_age, created_ms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tombstone(id: u64, metric: &str, (start_ms, end_ms): Hole, before_age: u64) -> Tombstone {
        let matchers = vec![
            Matcher::equal("__name__", metric),
            Matcher::new(MatchOp::NotRegex, "i", "x.*").expect("valid"),
        ];
        Tombstone { id, matchers, start_ms, end_ms, before_age, created_ms: 7 }
    }

    #[test]
    fn a_tombstone_hides_matching_series_of_older_blocks_only() {
        let all =
            [tombstone(1, "a", (0, 9), 5), tombstone(2, "a", (10, 19), 6), tombstone(3, "b", (0, 99), 9)];
        let a = Labels::from_pairs([("__name__", "a")]);
        assert_eq!(holes(&all, 4, &a), [(0, 19)]);
        assert_eq!(holes(&all, 5, &a), [(10, 19)]);
        assert_eq!(holes(&all, 6, &a), []);
        assert_eq!(holes(&all, 4, &Labels::from_pairs([("__name__", "a"), ("i", "xy")])), []);
        assert!(covers(&[(0, 19)], 0, 19) && !covers(&[(0, 19)], 0, 20));
        assert!(all[0].concerns(4, 9, 9) && !all[0].concerns(4, 10, 11) && !all[0].concerns(5, 9, 9));
    }

    proptest! {
        #[test]
        fn holes_are_sorted_and_disjoint_and_lose_nothing(ranges in proptest::collection::vec((-50i64..50, 0i64..20), 0..12)) {
            let all: Vec<Tombstone> =
                ranges.iter().map(|(start, width)| tombstone(1, "a", (*start, start + width), 1)).collect();
            let holes = holes(&all, 0, &Labels::from_pairs([("__name__", "a")]));
            prop_assert!(holes.windows(2).all(|pair| pair[0].1 < pair[1].0));
            for t in -60..80 {
                let want = ranges.iter().any(|(start, width)| (*start..=start + width).contains(&t));
                prop_assert_eq!(covers(&holes, t, t), want);
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), HEAD_BYTES..200)) {
            let crc = crc32c::crc32c(&bytes[HEAD_BYTES..]);
            bytes[..8].copy_from_slice(MAGIC);
            bytes[8..HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
            if let Ok(file) = TombstoneFile::decode(&bytes) {
                prop_assert!(file.tombstones.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn the_file_comes_back_and_damage_is_found() {
        let tombstones = vec![tombstone(1, "a", (i64::MIN, i64::MAX), 5), tombstone(2, "ü", (-1, 1), 6)];
        let file = TombstoneFile { journal_before: 3, next_block_id: 9, tombstones };
        let mut bytes = file.encode();
        assert_eq!(TombstoneFile::decode(&bytes).expect("sound"), file);
        bytes[14] ^= 1;
        assert!(TombstoneFile::decode(&bytes).is_err() && TombstoneFile::decode(&[]).is_err());
    }
}
