//! What status pages show about a tenant's data.

use std::collections::BTreeSet;

use model::{METRIC_NAME, TenantId};

use crate::engine::Tsdb;
use crate::head::index::HeadIndex;
use crate::head::series::Series;

/// Figures about one tenant; lists are sorted by falling number, then by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TsdbStats {
    /// Series in the head.
    pub series_count: u64,
    /// Different pairs of label name and value in the head.
    pub label_pair_count: u64,
    /// Chunks in the head, open ones included.
    pub chunk_count: u64,
    /// Samples in the head.
    pub sample_count: u64,
    /// Time of the oldest sample in the head; `None` if it is empty.
    pub min_time_ms: Option<i64>,
    /// Time of the newest sample in the head; `None` if it is empty.
    pub max_time_ms: Option<i64>,
    /// Series by metric name.
    pub series_count_by_metric: Vec<(String, u64)>,
    /// Values by label name.
    pub value_count_by_label: Vec<(String, u64)>,
    /// Bytes of all values by label name.
    pub bytes_by_label: Vec<(String, u64)>,
    /// Series by `name=value`.
    pub series_count_by_pair: Vec<(String, u64)>,
    /// All blocks, oldest first.
    pub blocks: Vec<BlockStats>,
    /// Size of the journal, of all tenants.
    pub wal_bytes: u64,
    /// Memory of the head, of all tenants.
    pub head_bytes: u64,
}

/// Figures about one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockStats {
    /// Unique within the tenant.
    pub id: u64,
    /// 0 as flushed, more after compactions.
    pub level: u8,
    /// Time of the oldest sample.
    pub min_time_ms: i64,
    /// Time of the newest sample.
    pub max_time_ms: i64,
    /// Series in the block.
    pub series_count: u64,
    /// Samples in the block.
    pub sample_count: u64,
    /// Chunks in the block.
    pub chunk_count: u64,
    /// Size of the file.
    pub bytes: u64,
}

impl Tsdb {
    /// Figures about one tenant, with at most `limit` entries in each of the four rankings.
    pub fn stats(&self, tenant: &TenantId, limit: usize) -> TsdbStats {
        let mut stats = TsdbStats {
            wal_bytes: self.journal.bytes(),
            head_bytes: self.memory.used(),
            ..TsdbStats::default()
        };
        let Some(tenant) = self.tenant(tenant) else { return stats };
        stats.series_count = tenant.head.series_count() as u64;
        for shard in &tenant.head.shards {
            let mut from = 0;
            loop {
                let shard = shard.read();
                let end = (from + SLOTS_AT_ONCE).min(shard.slots.len());
                shard.slots[from.min(end)..end].iter().flatten().for_each(|series| stats.add(series));
                if end == shard.slots.len() {
                    break;
                }
                from = end;
            }
        }
        stats.rank(&tenant.head.index.read(), limit);
        stats.blocks = tenant
            .blocks()
            .iter()
            .map(|block| {
                let meta = block.meta();
                BlockStats {
                    id: meta.id,
                    level: meta.level,
                    min_time_ms: meta.min_ms,
                    max_time_ms: meta.max_ms,
                    series_count: meta.series_count,
                    sample_count: meta.sample_count,
                    chunk_count: meta.chunk_count,
                    bytes: block.len_bytes(),
                }
            })
            .collect();
        stats.blocks.sort_by_key(|block| (block.min_time_ms, block.id));
        stats
    }

    /// The names of all tenants that have data.
    pub fn tenant_ids(&self) -> Vec<TenantId> {
        self.all_tenants().iter().map(|tenant| tenant.id.clone()).collect()
    }
}

/// A shard is locked while so many series are looked at.
const SLOTS_AT_ONCE: usize = 2048;

impl TsdbStats {
    fn add(&mut self, series: &Series) {
        self.chunk_count += series.chunk_count() as u64;
        self.sample_count += series.sample_count() as u64;
        if let Some((min_ms, max_ms)) = series.range_ms() {
            self.min_time_ms = Some(self.min_time_ms.map_or(min_ms, |t| t.min(min_ms)));
            self.max_time_ms = Some(self.max_time_ms.map_or(max_ms, |t| t.max(max_ms)));
        }
    }

    fn rank(&mut self, index: &HeadIndex, limit: usize) {
        let (mut metrics, mut counts, mut bytes, mut pairs) =
            (Top::new(limit), Top::new(limit), Top::new(limit), Top::new(limit));
        index.visit_names(|name, values| {
            let (mut value_count, mut value_bytes) = (0, 0);
            for (value, series_count) in values {
                value_count += 1;
                value_bytes += value.len() as u64;
                pairs.add(series_count, || format!("{name}={value}"));
                if name == METRIC_NAME {
                    metrics.add(series_count, || value.to_owned());
                }
            }
            self.label_pair_count += value_count;
            counts.add(value_count, || name.to_owned());
            bytes.add(value_bytes, || name.to_owned());
        });
        self.series_count_by_metric = metrics.finish();
        self.value_count_by_label = counts.finish();
        self.bytes_by_label = bytes.finish();
        self.series_count_by_pair = pairs.finish();
    }
}

/// Keeps the largest few.
struct Top {
    limit: usize,
    /// By number, then by name; several names may have one number.
    kept: BTreeSet<(u64, std::cmp::Reverse<String>)>,
}

impl Top {
    fn new(limit: usize) -> Self {
        Self { limit, kept: BTreeSet::new() }
    }

    fn add(&mut self, number: u64, name: impl FnOnce() -> String) {
        let full = self.kept.len() >= self.limit;
        if full && self.kept.first().is_none_or(|(least, _)| number < *least) {
            return;
        }
        self.kept.insert((number, std::cmp::Reverse(name())));
        if self.kept.len() > self.limit {
            self.kept.pop_first();
        }
    }

    fn finish(self) -> Vec<(String, u64)> {
        self.kept.into_iter().rev().map(|(number, name)| (name.0, number)).collect()
    }
}
