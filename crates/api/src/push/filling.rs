//! What a handler fills, and the way from there into storage.

use std::collections::HashSet;

use model::TenantId;
use storage::{Appended, Durability, Rejected, WriteBatch};
use wire::json::JsonError;
use wire::remote_write::LabelHasher;

use super::refusals::{ExplainRaw, Refusals};
use super::write_error;
use crate::error::ApiError;
use crate::state::State;

/// A batch that has grown to this is written before the rest of the body is parsed.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// A body, and the batch that a handler makes of it.
pub(crate) struct Filling<'a> {
    /// The body, decompressed. A handler may take it, and give it to the batch ([`WriteBatch::set_raw`]) if labels are to stay raw.
    pub(crate) body: Vec<u8>,
    /// What will be written.
    pub(crate) batch: &'a mut WriteBatch,
    /// The time of samples that say none.
    pub(crate) now_ms: i64,
    /// Makes keys for raw labels of this protocol.
    pub(crate) label_hasher: &'a LabelHasher,
    pub(super) sink: Sink<'a>,
}

impl Filling<'_> {
    /// What was refused so far; handlers add to it.
    pub(crate) fn refusals(&mut self) -> &mut Refusals {
        &mut self.sink.refusals
    }

    /// The batch and the refusals, for visitors that need both.
    pub(crate) fn parts(&mut self) -> (&mut WriteBatch, &mut Refusals) {
        (self.batch, &mut self.sink.refusals)
    }

    /// Says how raw labels are explained that turn out not to be sound.
    pub(crate) fn explain_raw(&mut self, explain: ExplainRaw) {
        self.sink.explain_raw = explain;
    }

    /// Writes the batch if it has grown large. To be called between items of a body that may be large; series of before must not be
    /// used afterwards. Never with raw labels.
    ///
    /// # Errors
    /// If storage refuses; what was written before stays.
    pub(crate) fn flush_if_large(&mut self) -> Result<(), ApiError> {
        if self.batch.size_bytes() < BATCH_BYTES_MAX { Ok(()) } else { self.flush() }
    }

    /// Writes the batch and empties it. Returns what storage refused of it; that is noted already.
    ///
    /// # Errors
    /// If storage refuses it as a whole.
    pub(crate) fn write(&mut self) -> Result<Vec<Rejected>, ApiError> {
        self.sink.append(self.batch)
    }

    pub(super) fn flush(&mut self) -> Result<(), ApiError> {
        self.write().map(drop)
    }
}

/// Writes batches, and adds up what became of them.
pub(super) struct Sink<'a> {
    state: &'a State,
    tenant: &'a TenantId,
    pub(super) accepted_count: usize,
    pub(super) written: Written,
    pub(super) refusals: Refusals,
    pub(super) durable: Vec<Durability>,
    explain_raw: ExplainRaw,
}

impl<'a> Sink<'a> {
    pub(super) fn new(state: &'a State, tenant: &'a TenantId) -> Self {
        Self {
            state,
            tenant,
            accepted_count: 0,
            written: Written::default(),
            refusals: Refusals::default(),
            durable: Vec::new(),
            explain_raw: |_| None,
        }
    }

    /// Writes the batch and empties it. Returns what storage refused of it.
    pub(super) fn append(&mut self, batch: &mut WriteBatch) -> Result<Vec<Rejected>, ApiError> {
        let mut rejected = Vec::new();
        if !batch.is_empty() {
            let appended = self.state.backends()?.appender.append(self.tenant, batch).map_err(write_error)?;
            self.accepted_count += appended.accepted_count;
            self.written.add(&appended, batch);
            self.refusals.add_of_storage(&appended, batch, self.explain_raw);
            self.durable.push(appended.durable);
            rejected = appended.rejected;
        }
        batch.clear();
        Ok(rejected)
    }
}

/// What was written, by its kind; duplicates included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) floats: usize,
    pub(crate) histograms: usize,
    pub(crate) exemplars: usize,
}

impl Written {
    fn add(&mut self, appended: &Appended, batch: &WriteBatch) {
        let mut refused_histograms = 0;
        if !appended.rejected.is_empty() && !batch.histograms().is_empty() {
            let histograms: HashSet<_> =
                batch.histograms().iter().map(|h| (h.series, h.timestamp_ms)).collect();
            let refused =
                appended.rejected.iter().filter(|r| histograms.contains(&(r.series, r.timestamp_ms)));
            refused_histograms = refused.count();
        }
        let refused_floats = appended.rejected.len() - refused_histograms;
        self.histograms += batch.histograms().len().saturating_sub(refused_histograms);
        self.floats += (batch.sample_count() - batch.histograms().len()).saturating_sub(refused_floats);
        self.exemplars += appended.exemplar_count;
    }
}

/// What became of the items of a JSON body, one after the other.
#[derive(Default)]
pub(crate) struct Items {
    sound_count: usize,
    failed: Option<ApiError>,
}

impl Items {
    /// Notes one: that it was added, or why not. Answers whether to go on.
    pub(crate) fn note(
        &mut self,
        filling: &mut Filling<'_>,
        number: usize,
        added: Result<(), String>,
    ) -> bool {
        match added {
            Ok(()) => self.sound_count += 1,
            Err(message) => filling.refusals().add("invalid", 1, || format!("item {number}: {message}")),
        }
        self.failed = filling.flush_if_large().err();
        self.failed.is_none()
    }

    /// Ends them with what reading came to.
    ///
    /// # Errors
    /// If storage failed, or nothing of the body could be read.
    pub(crate) fn end(self, filling: &mut Filling<'_>, read: Result<(), JsonError>) -> Result<(), ApiError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match read {
            // What stands before the fault is sound and goes in.
            Err(error) if self.sound_count > 0 => {
                filling.refusals().add("malformed", 1, || error.to_string());
                Ok(())
            }
            read => read.map_err(|error| ApiError::bad_data(error.to_string())),
        }
    }
}
