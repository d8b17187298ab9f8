//! The way in: limits, series lookup, journal, head.
//!
//! A batch is dealt to the shards of its tenant's head. For each shard, under its lock: series are looked up or
//! created, samples are encoded into the journal, then applied. Nothing is allocated per sample.
//!
//! Map: [`resolve`] which series a batch speaks of · [`deal`] its samples by shard · this file: journal and head.

mod deal;
mod resolve;

use std::sync::Arc;

use model::TenantId;
use storage::{
    Appended, Appender, BatchSeries, Error, ErrorKind, RejectReason, Rejected, StartColumn, WriteBatch,
};
use xxhash_rust::xxh3::xxh3_64;

use chunk::varint::{write_bytes, write_i64, write_u64};

use self::deal::{Deal, NOWHERE};
use self::resolve::{Resolved, Slot};
use crate::engine::Tsdb;
use crate::head::keys::NewKey;
use crate::head::series::Tally;
use crate::head::{SHARDS, SeriesLimits, Shard, series_number, shard_of};
use crate::journal::{Ticket, record};
use crate::tenant::Tenant;

/// Buffers of one writer, kept from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// By series of the batch.
    series: Vec<Resolved>,
    /// Packed labels of raw series that were not known, one after the other.
    decoded: String,
    /// Places that were reserved for keys of this batch.
    key_places: Vec<u32>,
    /// Keys of the shard at hand that are to be remembered.
    new_keys: Vec<NewKey>,
    /// Shards of the samples at hand, [`NOWHERE`] for those that are refused.
    shards: Vec<u8>,
    /// Float samples by shard, in order of the batch within one.
    floats: Deal,
    histograms: Deal,
    /// Samples of the shard at hand that will be written: slot and place in the batch.
    accepted: Vec<(u32, u32)>,
    accepted_histograms: Vec<(u32, u32)>,
    /// Slots of the shard at hand that the journal's segment does not know yet.
    undefined: Vec<u32>,
    histogram_bytes: Vec<u8>,
    /// The encoded samples of the shard at hand.
    columns: Vec<u8>,
    /// With which shard the next batch begins.
    first_shard: usize,
}

/// Which timestamps are accepted.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    oldest_ms: i64,
    newest_ms: i64,
}

impl Bounds {
    fn check(&self, timestamp_ms: i64) -> Result<(), RejectReason> {
        if (self.oldest_ms..=self.newest_ms).contains(&timestamp_ms) {
            return Ok(());
        }
        if timestamp_ms.unsigned_abs() > chunk::TIMESTAMP_MS_ABS_MAX.unsigned_abs() {
            Err(RejectReason::InvalidTimestamp)
        } else if timestamp_ms < self.oldest_ms {
            Err(RejectReason::TooOld)
        } else {
            Err(RejectReason::TooFarInFuture)
        }
    }
}

/// What happens to a batch, counted.
#[derive(Debug, Default)]
struct Outcome {
    accepted_count: usize,
    created_count: usize,
    exemplar_count: usize,
    rejected: Vec<Rejected>,
    tally: Tally,
    /// Of the samples within bounds; `None` if there are none.
    oldest_ms: Option<i64>,
}

impl Outcome {
    fn reject(&mut self, series: BatchSeries, timestamp_ms: i64, reason: RejectReason) {
        self.rejected.push(Rejected { series, timestamp_ms, reason });
    }
}

/// One batch on its way in.
struct Append<'a> {
    tsdb: &'a Tsdb,
    tenant: &'a Tenant,
    batch: &'a WriteBatch,
    limits: SeriesLimits,
    /// What [`crate::head::Head::releases`] said before keys were looked up.
    releases: u64,
    ticket: Ticket,
    outcome: Outcome,
}

impl Appender for Tsdb {
    fn append(&self, tenant: &TenantId, batch: &WriteBatch) -> Result<Appended, Error> {
        let mut ticket = self.journal.begin()?;
        if batch.is_patient() {
            ticket.be_patient();
        }
        if self.memory.is_overfull() {
            self.flushing.request_flush();
            let message = "the head is over its share of memory until a flush is done; retry later";
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        let tenant = self.tenant_or_new(tenant)?;
        let limits = self.series_limits();
        let mut scratch = self.take_scratch();
        let (outcome, releases) = (Outcome::default(), tenant.head.releases());
        let mut append = Append { tsdb: self, tenant: &tenant, batch, limits, releases, ticket, outcome };
        append.deal(&mut scratch, self.bounds(&append.tenant.id));
        // Writers that go through the shards in the same order would wait for one another at each.
        scratch.first_shard = (scratch.first_shard + SHARDS / 2 + 1) % SHARDS;
        for at in 0..SHARDS {
            let shard = (scratch.first_shard + at) % SHARDS;
            if !(scratch.floats.of(shard).is_empty() && scratch.histograms.of(shard).is_empty()) {
                append.write_shard(shard, &mut scratch);
            }
        }
        append.give_places_back(&mut scratch);
        append.write_exemplars(&scratch);
        append.write_metadata();
        let (outcome, ticket) = (append.outcome, append.ticket);
        if let Some(oldest_ms) = outcome.oldest_ms {
            tenant.changes.touch(oldest_ms);
        }
        if outcome.tally.duplicate_count > 0 {
            // The journal has them, the head may not: what they repeat may be in blocks only.
            tenant.set_runs_ahead();
        }
        self.give_scratch(scratch);
        self.count(&outcome);
        Ok(Appended {
            accepted_count: outcome.accepted_count,
            duplicate_count: outcome.tally.duplicate_count as usize,
            created_series_count: outcome.created_count,
            exemplar_count: outcome.exemplar_count,
            rejected: outcome.rejected,
            durable: ticket.durability(),
        })
    }
}

impl Tsdb {
    fn series_limits(&self) -> SeriesLimits {
        SeriesLimits {
            series_max: self.settings.series_per_tenant_max,
            labels_max: self.settings.labels_max,
            name_bytes_max: self.settings.label_name_bytes_max,
            value_bytes_max: self.settings.label_value_bytes_max,
            full: self.memory.is_full(),
        }
    }

    fn bounds(&self, tenant: &TenantId) -> Bounds {
        let now_ms = self.deps.clock.now_ms();
        let limit_ms = chunk::TIMESTAMP_MS_ABS_MAX;
        Bounds {
            oldest_ms: self.oldest_kept_ms(tenant).max(-limit_ms),
            newest_ms: now_ms.saturating_add(self.settings.future_ms_max).min(limit_ms),
        }
    }

    fn count(&self, outcome: &Outcome) {
        let tally = &outcome.tally;
        self.metrics.samples_appended.inc_by(outcome.accepted_count as u64);
        self.metrics.head_series.add(outcome.created_count as i64);
        self.metrics.head_series_created.inc_by(outcome.created_count as u64);
        for rejected in &outcome.rejected {
            self.metrics.samples_rejected.with_label_values(&[rejected.reason.as_str()]).inc();
        }
        self.count_tally(tally);
    }

    /// Counts what a write did to the head, and asks for a flush if memory is getting short.
    pub(crate) fn count_tally(&self, tally: &Tally) {
        self.metrics.duplicates.inc_by(tally.duplicate_count);
        self.metrics.out_of_order.inc_by(tally.out_of_order_count);
        self.metrics.overwrites.inc_by(tally.overwrite_count);
        self.metrics.head_chunks.add(tally.chunk_count);
        if self.memory.change(tally.bytes) {
            self.flushing.request_flush();
        }
    }
}

impl Append<'_> {
    /// Finds out which shards the series belong to, refuses samples out of bounds, deals the others.
    fn deal(&mut self, scratch: &mut Scratch, bounds: Bounds) {
        self.place_series(scratch);
        let Scratch { series: resolved, shards, .. } = scratch;
        let outcome = &mut self.outcome;
        let mut shard_of_sample = |series: BatchSeries, timestamp_ms: i64| {
            let resolved = &resolved[series as usize];
            let refused = match resolved.slot {
                Slot::Refused(reason) => Some(reason),
                _ => bounds.check(timestamp_ms).err(),
            };
            match refused {
                None => {
                    let oldest_ms = outcome.oldest_ms.unwrap_or(i64::MAX);
                    outcome.oldest_ms = Some(oldest_ms.min(timestamp_ms));
                    resolved.shard
                }
                Some(reason) => {
                    outcome.reject(series, timestamp_ms, reason);
                    NOWHERE
                }
            }
        };
        let (series, timestamps_ms, _) = self.batch.float_columns();
        shards.clear();
        shards.extend(series.iter().zip(timestamps_ms).map(|(series, t)| shard_of_sample(*series, *t)));
        scratch.floats.sort(shards);
        shards.clear();
        shards.extend(self.batch.histograms().iter().map(|h| shard_of_sample(h.series, h.timestamp_ms)));
        scratch.histograms.sort(shards);
    }

    fn write_shard(&mut self, shard_number: usize, scratch: &mut Scratch) {
        let mut shard = self.tenant.head.shards[shard_number].write();
        self.resolve_shard(&mut shard, shard_number, scratch);
        if !scratch.new_keys.is_empty() {
            self.tenant.head.remember(&mut shard, shard_number, &scratch.new_keys);
        }
        if scratch.accepted.is_empty() && scratch.accepted_histograms.is_empty() {
            return;
        }
        self.journal_shard(&mut shard, shard_number, scratch);
        let (_, timestamps_ms, values) = self.batch.float_columns();
        let tally = &mut self.outcome.tally;
        for (slot, place) in &scratch.accepted {
            let at = *place as usize;
            let series = shard.slots[*slot as usize].as_mut().expect("resolved under the same lock");
            series.append_float(timestamps_ms[at], values[at], self.batch.float_starts().get(at), tally);
        }
        for (slot, place) in &scratch.accepted_histograms {
            let sample = &self.batch.histograms()[*place as usize];
            let series = shard.slots[*slot as usize].as_mut().expect("resolved under the same lock");
            let histogram = Arc::new(sample.histogram.clone());
            series.append_histogram(sample.timestamp_ms, histogram, sample.start_ms, tally);
        }
        self.outcome.accepted_count += scratch.accepted.len() + scratch.accepted_histograms.len();
    }

    /// Encodes the accepted samples of a shard, in columns; defines series that the segment does not know.
    fn journal_shard(&mut self, shard: &mut Shard, shard_number: usize, scratch: &mut Scratch) {
        self.encode_shard(shard_number, scratch);
        let Scratch { accepted, accepted_histograms, undefined, columns, .. } = scratch;
        let mut entry = self.tsdb.journal.entry(self.tenant.number, self.tenant.id.as_str(), record::SAMPLES);
        let segment = entry.segment();
        undefined.clear();
        for (slot, _) in accepted.iter().chain(accepted_histograms.iter()) {
            let series = shard.slots[*slot as usize].as_mut().expect("resolved under the same lock");
            if series.define_in(segment) {
                undefined.push(*slot);
            }
        }
        let out = entry.out();
        let start = out.len();
        write_u64(out, undefined.len() as u64);
        let (symbols, mut packed) = (self.tenant.head.symbols(), String::new());
        for slot in undefined.iter() {
            let series = shard.slots[*slot as usize].as_ref().expect("resolved under the same lock");
            write_u64(out, u64::from(series_number(shard_number, *slot)));
            packed.clear();
            shard.append_labels(series, &symbols, &mut packed);
            write_bytes(out, packed.as_bytes());
        }
        drop(symbols);
        entry.count_definitions(start);
        entry.out().extend_from_slice(columns);
        entry.finish(&mut self.ticket);
    }

    /// Encodes the accepted samples of a shard before the journal is locked.
    fn encode_shard(&self, shard_number: usize, scratch: &mut Scratch) {
        let (_, timestamps_ms, values) = self.batch.float_columns();
        let Scratch { accepted, accepted_histograms, histogram_bytes, columns: out, .. } = scratch;
        out.clear();
        write_u64(out, accepted.len() as u64);
        record::write_refs(out, accepted.iter().map(|(slot, _)| series_number(shard_number, *slot)));
        record::write_timestamps(out, accepted.iter().map(|(_, place)| timestamps_ms[*place as usize]));
        record::write_values(out, accepted.iter().map(|(_, place)| values[*place as usize]));
        write_u64(out, accepted_histograms.len() as u64);
        for (slot, place) in accepted_histograms.iter() {
            let sample = &self.batch.histograms()[*place as usize];
            write_u64(out, u64::from(series_number(shard_number, *slot)));
            write_i64(out, sample.timestamp_ms);
            histogram_bytes.clear();
            chunk::histograms::encode(&[Arc::new(sample.histogram.clone())], histogram_bytes);
            write_bytes(out, histogram_bytes);
        }
        let (mut starts, mut histogram_starts) = (StartColumn::default(), StartColumn::default());
        if !self.batch.float_starts().is_empty() {
            for (at, (_, place)) in accepted.iter().enumerate() {
                starts.push_at(at, self.batch.float_starts().get(*place as usize));
            }
        }
        for (at, (_, place)) in accepted_histograms.iter().enumerate() {
            histogram_starts.push_at(at, self.batch.histograms()[*place as usize].start_ms);
        }
        record::write_starts(out, &starts, &histogram_starts);
    }

    /// Exemplars of series that exist; without a sample there is nothing to attach them to.
    fn write_exemplars(&mut self, scratch: &Scratch) {
        if self.batch.exemplars().is_empty() {
            return;
        }
        let count_max = self.tsdb.settings.exemplars_per_tenant_max;
        let mut extras = self.tenant.extras.lock();
        let (mut new, mut buffer) = (Vec::new(), String::new());
        for item in self.batch.exemplars() {
            let Ok(labels) = self.batch.labels(item.series).decode(&mut buffer) else { continue };
            let resolved = scratch.series[item.series as usize];
            let exists = match resolved.slot {
                Slot::At(_) => true,
                Slot::Refused(_) => false,
                Slot::Unknown | Slot::Hint(_) => {
                    let hash = hash_labels(labels.packed());
                    let shard = self.tenant.head.shards[shard_of(hash)].read();
                    self.tenant.head.find(&shard, hash, labels).is_some()
                }
            };
            let sane = item.exemplar.timestamp_ms.is_some_and(|t| t.abs() <= chunk::TIMESTAMP_MS_ABS_MAX);
            if !(exists && sane) {
                continue;
            }
            self.outcome.exemplar_count += 1;
            if !extras.has_exemplar(labels.packed(), &item.exemplar) {
                new.push((labels.to_labels(), &item.exemplar));
            }
        }
        if new.is_empty() {
            return;
        }
        self.tsdb.metrics.exemplars_appended.inc_by(new.len() as u64);
        let mut entry =
            self.tsdb.journal.entry(self.tenant.number, self.tenant.id.as_str(), record::EXEMPLARS);
        for (labels, exemplar) in &new {
            record::write_exemplar(entry.out(), labels.as_ref(), exemplar);
        }
        entry.finish(&mut self.ticket);
        for (labels, exemplar) in new {
            extras.add_exemplar(labels, exemplar.clone(), count_max);
        }
    }

    fn write_metadata(&mut self) {
        if self.batch.metadata().is_empty() {
            return;
        }
        let families_max = self.tsdb.settings.metadata_per_tenant_max;
        let mut extras = self.tenant.extras.lock();
        if !self.batch.metadata().iter().any(|(metric, metadata)| extras.is_news(metric, metadata)) {
            return;
        }
        let mut entry =
            self.tsdb.journal.entry(self.tenant.number, self.tenant.id.as_str(), record::METADATA);
        for (metric, metadata) in self.batch.metadata() {
            if extras.is_news(metric, metadata) {
                record::write_metadata(entry.out(), metric, metadata);
            }
        }
        entry.finish(&mut self.ticket);
        for (metric, metadata) in self.batch.metadata() {
            extras.add_metadata(metric, metadata.clone(), families_max);
        }
    }
}

/// The hash by which a series is looked up.
pub(crate) fn hash_labels(packed: &str) -> u64 {
    xxh3_64(packed.as_bytes())
}
