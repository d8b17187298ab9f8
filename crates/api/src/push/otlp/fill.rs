//! A request's data points into a batch, and what storage refused back to data points.

use std::collections::HashSet;
use std::fmt::Display;

use model::labels::LabelsBuilder;
use model::{Exemplar, FloatHistogram, Metadata, TenantId};
use parking_lot::{Mutex, MutexGuard};
use stdx::memory::{Budget, Reservation};
use storage::BatchSeries;
use wire::otlp::answer::Encoding;
use wire::otlp::convert::{Converter, Settings, Sink};
use wire::otlp::delta::Accumulators;
use wire::otlp::{OtlpError, json, protobuf};

use crate::error::ApiError;
use crate::push::Filling;

/// A batch that has grown to about this is written before the rest of the request is read.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// What a sample takes in a batch besides its labels.
const SAMPLE_BYTES: usize = 48;
/// Memory for the totals of all streams of deltas; some 300,000 counters.
const TOTALS_BYTES_MAX: usize = 64 << 20;
/// Stands for "not of a data point".
const NO_POINT: u32 = u32::MAX;

/// Totals of deltas, of all tenants.
pub(crate) struct Totals(Mutex<Kept>);

struct Kept {
    accumulators: Accumulators,
    held: Reservation,
}

impl Totals {
    pub(crate) fn new(budget: &std::sync::Arc<Budget>) -> Self {
        let limit_bytes = (TOTALS_BYTES_MAX as u64).min(budget.limit_bytes() / 8);
        let accumulators = Accumulators::new(usize::try_from(limit_bytes).unwrap_or(TOTALS_BYTES_MAX));
        Self(Mutex::new(Kept { accumulators, held: budget.reserve_none() }))
    }
}

/// Fills and writes batches with what a request holds. Returns how many data points were refused.
pub(super) fn fill(
    totals: &Totals,
    tenant: &TenantId,
    settings: &Settings,
    encoding: Encoding,
    filling: &mut Filling<'_>,
) -> Result<u64, ApiError> {
    let request = std::mem::take(&mut filling.body);
    let mut fill = Fill {
        filling,
        totals,
        locked: None,
        tenant,
        key: Vec::new(),
        series: 0,
        point: 0,
        point_of_series: Vec::new(),
        bytes: 0,
        refused_points: 0,
        failed: None,
    };
    let mut converter = Converter::new(settings, &mut fill);
    let decoded = match encoding {
        Encoding::Protobuf => protobuf::decode(&request, &mut converter),
        Encoding::Json => json::decode(&request, &mut converter),
    };
    let refused = fill.finish(decoded);
    // The next request finds the buffer.
    filling.body = request;
    refused
}

struct Fill<'a, 'f> {
    filling: &'a mut Filling<'f>,
    totals: &'a Totals,
    /// From the first delta on until it is stored: another request must not add to totals that may be taken back.
    locked: Option<MutexGuard<'a, Kept>>,
    tenant: &'a TenantId,
    key: Vec<u8>,
    series: BatchSeries,
    point: u32,
    /// By series of the batch.
    point_of_series: Vec<u32>,
    /// About what the batch takes.
    bytes: usize,
    refused_points: u64,
    /// Storage refused a batch.
    failed: Option<ApiError>,
}

impl Fill<'_, '_> {
    fn finish(mut self, decoded: Result<(), OtlpError>) -> Result<u64, ApiError> {
        if let Err(error) = decoded {
            self.filling.batch.clear();
            self.take_back();
            return Err(ApiError::bad_data(error.to_string()));
        }
        if self.failed.is_none() {
            self.write();
        }
        self.failed.map_or(Ok(self.refused_points), Err)
    }

    fn write(&mut self) {
        match self.filling.write() {
            Ok(rejected) => {
                let points: HashSet<u32> = rejected
                    .iter()
                    .filter_map(|rejected| self.point_of_series.get(rejected.series as usize).copied())
                    .filter(|point| *point != NO_POINT)
                    .collect();
                self.refused_points += points.len() as u64;
                if let Some(mut kept) = self.locked.take() {
                    let Kept { accumulators, held } = &mut *kept;
                    accumulators.commit();
                    let bytes = accumulators.size_bytes() as u64;
                    held.shrink(held.bytes().saturating_sub(bytes));
                    // Bounded by themselves; that others are short of memory must not lose them.
                    held.raise_anyway(bytes);
                }
            }
            Err(error) => {
                self.filling.batch.clear();
                self.take_back();
                self.failed = Some(error);
            }
        }
        self.point_of_series.clear();
        self.bytes = 0;
    }

    fn take_back(&mut self) {
        if let Some(mut kept) = self.locked.take() {
            kept.accumulators.rollback();
        }
    }
}

impl Sink for Fill<'_, '_> {
    fn has_room(&mut self) -> bool {
        if self.bytes >= BATCH_BYTES_MAX && self.failed.is_none() {
            self.write();
        }
        self.failed.is_none()
    }

    fn begin_point(&mut self, is_clients: bool) {
        self.point = self.point.wrapping_add(1) % NO_POINT;
        if !is_clients {
            self.point = NO_POINT;
        }
    }

    fn series(&mut self, labels: &LabelsBuilder) {
        self.series = self.filling.batch.add_series_with(|packed| {
            let before = packed.len();
            labels.pack_into(packed);
            self.bytes += packed.len() - before;
        });
        self.point_of_series.push(self.point);
        self.bytes += SAMPLE_BYTES;
    }

    fn float(&mut self, timestamp_ms: i64, value: f64, start_ms: i64) {
        self.filling.batch.add_float_since(self.series, timestamp_ms, value, start_ms);
        self.bytes += SAMPLE_BYTES;
    }

    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram, start_ms: i64) {
        self.bytes += histogram.size_bytes();
        self.filling.batch.add_histogram_since(self.series, timestamp_ms, histogram, start_ms);
    }

    fn exemplar(&mut self, exemplar: Exemplar) {
        self.bytes += SAMPLE_BYTES + exemplar.labels.packed().len();
        let timestamp_ms = exemplar.timestamp_ms.unwrap_or_default();
        self.filling.batch.add_exemplar(self.series, exemplar, timestamp_ms);
    }

    fn metadata(&mut self, family: &str, metadata: Metadata) {
        self.bytes += SAMPLE_BYTES + family.len() + metadata.help.len();
        self.filling.batch.add_metadata(family, metadata);
    }

    fn reject(&mut self, metric: &str, reason: &dyn Display) {
        // What could not be stored for another reason is told once, for the request.
        if self.failed.is_none() {
            self.refused_points += 1;
            self.filling.refusals().add("invalid", 1, || format!("{metric}: {reason}"));
        }
    }

    fn deltas(&mut self) -> (&mut Accumulators, i64) {
        let totals = self.totals;
        let kept = self.locked.get_or_insert_with(|| totals.0.lock());
        (&mut kept.accumulators, self.filling.now_ms)
    }

    fn stream_key(&mut self, packed: &str) -> u128 {
        self.key.clear();
        self.key.extend_from_slice(self.tenant.as_str().as_bytes());
        // No tenant's name has such a byte.
        self.key.push(0);
        self.key.extend_from_slice(packed.as_bytes());
        self.filling.label_hasher.hash(&self.key)
    }
}
