//! What is kept of a tenant beside its samples: exemplars and metadata. Bounded, journaled like samples, and written
//! to one small file at each flush.
//!
//! File `extras`: magic, CRC32C of the rest, then under zstd: exemplars and metadata in the journal's form.

use std::collections::{BTreeMap, HashMap, VecDeque};

use chunk::Corrupt;
use chunk::varint::{Reader, write_u64};
use model::{Exemplar, Labels, Matcher, Metadata};
use storage::SeriesExemplars;

use crate::journal::record;

const MAGIC: &[u8; 8] = b"KYMOEXT1";
const HEAD_BYTES: usize = MAGIC.len() + 4;
/// Different metadata that is kept of one metric family; exporters seldom disagree.
const VARIANTS_MAX: usize = 8;
/// A file that claims to be larger is damaged.
const FILE_BYTES_MAX: usize = 1 << 30;

/// Exemplars and metadata of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    metadata: BTreeMap<String, Vec<Metadata>>,
    exemplars: HashMap<Labels, VecDeque<Exemplar>>,
    /// Series of all exemplars in the order they came, to find the oldest.
    order: VecDeque<Labels>,
    /// Whether there is something that the file does not have.
    pub(crate) dirty: bool,
}

impl Extras {
    /// Whether this says anything new about the family.
    pub(crate) fn is_news(&self, metric: &str, metadata: &Metadata) -> bool {
        self.metadata.get(metric).is_none_or(|known| !known.contains(metadata))
    }

    /// Keeps metadata, if there is room for the family.
    pub(crate) fn add_metadata(&mut self, metric: &str, metadata: Metadata, families_max: usize) {
        if !self.is_news(metric, &metadata) {
            return;
        }
        if !self.metadata.contains_key(metric) {
            if self.metadata.len() >= families_max {
                return;
            }
            self.metadata.insert(metric.to_owned(), Vec::new());
        }
        let known = self.metadata.get_mut(metric).expect("just inserted");
        if known.len() >= VARIANTS_MAX {
            known.remove(0);
        }
        known.push(metadata);
        self.dirty = true;
    }

    /// Whether an exemplar is there already.
    pub(crate) fn has_exemplar(&self, series: &str, exemplar: &Exemplar) -> bool {
        self.exemplars.get(series).is_some_and(|known| known.contains(exemplar))
    }

    /// Keeps an exemplar; the oldest makes room.
    pub(crate) fn add_exemplar(&mut self, series: Labels, exemplar: Exemplar, count_max: usize) {
        if count_max == 0 || self.has_exemplar(series.packed(), &exemplar) {
            return;
        }
        while self.order.len() >= count_max {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(known) = self.exemplars.get_mut(&oldest) {
                known.pop_front();
                if known.is_empty() {
                    self.exemplars.remove(&oldest);
                }
            }
        }
        self.order.push_back(series.clone());
        let known = self.exemplars.entry(series).or_default();
        let at = known.partition_point(|other| other.timestamp_ms <= exemplar.timestamp_ms);
        known.insert(at, exemplar);
        self.dirty = true;
    }

    /// Metadata of one family or of all.
    pub(crate) fn metadata(&self, metric: Option<&str>) -> BTreeMap<String, Vec<Metadata>> {
        match metric {
            None => self.metadata.clone(),
            Some(metric) => {
                self.metadata.get_key_value(metric).map(|(k, v)| (k.clone(), v.clone())).into_iter().collect()
            }
        }
    }

    /// Exemplars of series that meet all matchers of one set, sorted by labels.
    pub(crate) fn exemplars(
        &self,
        sets: &[Vec<Matcher>],
        start_ms: i64,
        end_ms: i64,
    ) -> Vec<SeriesExemplars> {
        let inside = |e: &&Exemplar| e.timestamp_ms.is_some_and(|t| (start_ms..=end_ms).contains(&t));
        let mut found: Vec<SeriesExemplars> = Vec::new();
        for (labels, known) in &self.exemplars {
            if !sets.iter().any(|matchers| model::matcher::matches_all(matchers, labels)) {
                continue;
            }
            let exemplars: Vec<Exemplar> = known.iter().filter(inside).cloned().collect();
            if !exemplars.is_empty() {
                found.push(SeriesExemplars { labels: labels.clone(), exemplars });
            }
        }
        found.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        found
    }

    /// The content of the file.
    pub(crate) fn encode(&self) -> std::io::Result<Vec<u8>> {
        let mut raw = Vec::new();
        write_u64(&mut raw, self.exemplars.values().map(VecDeque::len).sum::<usize>() as u64);
        for (series, known) in &self.exemplars {
            known.iter().for_each(|exemplar| record::write_exemplar(&mut raw, series.as_ref(), exemplar));
        }
        for (metric, known) in &self.metadata {
            known.iter().for_each(|metadata| record::write_metadata(&mut raw, metric, metadata));
        }
        let mut file = vec![0; HEAD_BYTES];
        write_u64(&mut file, raw.len() as u64);
        file.extend_from_slice(&zstd::bulk::compress(&raw, 3)?);
        let crc = crc32c::crc32c(&file[HEAD_BYTES..]);
        file[..8].copy_from_slice(MAGIC);
        file[8..HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
        Ok(file)
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
        let raw_len = reader.count(FILE_BYTES_MAX)?;
        let raw = zstd::bulk::decompress(reader.rest(), raw_len)
            .map_err(|_| Corrupt("it cannot be decompressed"))?;
        let mut reader = Reader::new(&raw);
        let mut extras = Self::default();
        for _ in 0..reader.count(raw.len())? {
            let (series, exemplar) = record::read_exemplar(&mut reader)?;
            extras.add_exemplar(series, exemplar, usize::MAX);
        }
        while !reader.is_empty() {
            let (metric, metadata) = record::read_metadata(&mut reader)?;
            extras.add_metadata(&metric, metadata, usize::MAX);
        }
        extras.dirty = false;
        Ok(extras)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::MetricType;

    fn exemplar(id: &str, timestamp_ms: i64) -> Exemplar {
        Exemplar {
            labels: Labels::from_pairs([("trace_id", id)]),
            value: 0.5,
            timestamp_ms: Some(timestamp_ms),
        }
    }

    #[test]
    fn the_oldest_exemplar_makes_room_and_the_file_keeps_the_rest() {
        let (a, b) = (Labels::from_pairs([("__name__", "a")]), Labels::from_pairs([("__name__", "b")]));
        let mut extras = Extras::default();
        extras.add_exemplar(a.clone(), exemplar("1", 10), 2);
        extras.add_exemplar(b.clone(), exemplar("2", 20), 2);
        extras.add_exemplar(b.clone(), exemplar("2", 20), 2);
        extras.add_exemplar(b.clone(), exemplar("3", 15), 2);
        let metadata =
            Metadata { metric_type: MetricType::Summary, unit: "s".to_owned(), help: "ü".to_owned() };
        extras.add_metadata("b", metadata.clone(), 1);
        extras.add_metadata("c", metadata.clone(), 1);
        let back = Extras::decode(&extras.encode().expect("encoded")).expect("sound");
        let all = [Vec::new()];
        let want = [SeriesExemplars { labels: b, exemplars: vec![exemplar("3", 15), exemplar("2", 20)] }];
        assert_eq!(back.exemplars(&all, 0, 100), want);
        assert_eq!(back.exemplars(&all, 16, 16), []);
        assert_eq!(back.metadata(None), BTreeMap::from([("b".to_owned(), vec![metadata])]));
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let mut file = Extras::default().encode().expect("encoded");
        let last = file.len() - 1;
        file[last] ^= 1;
        assert!(Extras::decode(&file).is_err() && Extras::decode(&[]).is_err());
    }
}
