//! `/api/v1/write`: remote write 1.0.
//!
//! Answers as the specification wants them: 204 once everything is durable; 400 for what retrying cannot help,
//! after the sound part is written; 429 and 503 for what it can.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use model::{Exemplar, FloatHistogram, LabelsRef, Metadata, TenantId};
use storage::{
    Appended, BatchLabels, BatchSeries, Durability, ErrorKind, InvalidLabels, SeriesKey, WriteBatch,
};
use wire::remote_write::{
    RawVisitor, RejectedSeries, RemoteWriteError, Visitor, decode_raw, decompress, pack_raw_labels,
    refuse_raw,
};

use crate::body::read_body;
use crate::error::{self, ApiError, ErrorType};
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::{blocking, cancel_after};

/// How many refusals an answer spells out; the others are counted.
const REFUSALS_SHOWN_MAX: usize = 10;

/// Buffers beyond this are not kept for the next request.
const SCRATCH_BYTES_MAX: usize = 16 << 20;

/// Bodies up to here take less than a millisecond or two, and never wait for the disk: handing them to another thread
/// would cost more than it is worth.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// Buffers that go from request to request, so that decoding allocates nothing per sample.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Also holds the decompressed request, of which labels are parts.
    batch: WriteBatch,
}

pub(crate) async fn write(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Response {
    answer(&state, tenant, request).await.unwrap_or_else(ApiError::into_text)
}

async fn answer(state: &Arc<State>, tenant: TenantId, request: Request) -> Result<Response, ApiError> {
    if let Err(fault) = check_content(request.headers()) {
        return Ok(error::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, &fault));
    }
    let Ok(slot) = Arc::clone(&state.write_slots).try_acquire_owned() else {
        return Err(ApiError::new(ErrorType::TooManyRequests, "too many writes at a time; send again later"));
    };
    let body = read_body(request.into_body(), state.settings.write_bytes_max, &state.settings).await?;
    let body_bytes = body.len();
    let work = {
        let state = Arc::clone(state);
        move || {
            let written = write_body(&state, &tenant, &body);
            drop(slot);
            written
        }
    };
    // Not stopped when the client goes away: what is begun is short, and half a batch helps nobody.
    let (durable, refusals) = if body_bytes <= INLINE_BYTES_MAX {
        work()?
    } else {
        blocking(state, cancel_after(state, None), work).await??
    };
    durable.await.map_err(write_error)?;
    if refusals.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(error::text(StatusCode::BAD_REQUEST, &refusals.into_text()))
}

/// What the body says it is.
fn check_content(headers: &HeaderMap) -> Result<(), String> {
    const MEDIA_TYPE: &str = "application/x-protobuf";
    const MESSAGE: &str = "prometheus.WriteRequest";
    let get = |name| headers.get(name).and_then(|v| v.to_str().ok()).map_or("", str::trim);
    let content_type = get(header::CONTENT_TYPE);
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or("");
    if !media_type.is_empty() && !media_type.eq_ignore_ascii_case(MEDIA_TYPE) {
        return Err(format!(
            "expected {MEDIA_TYPE} as the first (media) part, got {content_type} content-type"
        ));
    }
    let message = parts.find_map(|part| part.strip_prefix("proto=")).unwrap_or(MESSAGE);
    if message != MESSAGE {
        return Err(format!("{message} protobuf message is not accepted by this server; accepted {MESSAGE}"));
    }
    let encoding = get(header::CONTENT_ENCODING);
    if !encoding.is_empty() && encoding != "snappy" {
        return Err(format!(
            "{encoding} encoding (compression) is not accepted by this server; only snappy is acceptable"
        ));
    }
    Ok(())
}

fn write_body(state: &State, tenant: &TenantId, body: &Bytes) -> Result<(Durability, Refusals), ApiError> {
    let mut scratch = state.scratch.lock().pop().unwrap_or_default();
    let written = write_with(state, tenant, body, &mut scratch);
    let size_bytes = scratch.batch.size_bytes();
    scratch.batch.clear();
    if size_bytes <= SCRATCH_BYTES_MAX {
        let mut kept = state.scratch.lock();
        if kept.len() < state.settings.writes_concurrent_max {
            kept.push(scratch);
        }
    }
    written
}

fn write_with(
    state: &State,
    tenant: &TenantId,
    body: &Bytes,
    scratch: &mut Scratch,
) -> Result<(Durability, Refusals), ApiError> {
    let decompressed_max = state.settings.write_decompressed_bytes_max;
    let batch = &mut scratch.batch;
    let mut decompressed = batch.take_raw_buffer();
    decompress(body, decompressed_max, &mut decompressed).map_err(|e| request_error(e, body.len()))?;
    // The request and, a few times as large, the batch.
    let needed_bytes = 3 * decompressed.len() as u64;
    let _held = state.deps.budget.reserve(needed_bytes).map_err(|e| write_error(e.into()))?;
    let mut fill = Fill { batch, series: 0, refusals: Refusals::default() };
    decode_raw(&decompressed, &state.label_hasher, &mut fill).map_err(|e| request_error(e, body.len()))?;
    let mut refusals = fill.refusals;
    batch.set_raw(decompressed, |raw, packed| pack_raw_labels(raw, packed).map_err(|_| InvalidLabels));
    if scratch.batch.is_empty() {
        count(state, 0, &refusals);
        return Ok((Durability::done(), refusals));
    }
    let appended = state.backends()?.appender.append(tenant, &scratch.batch).map_err(write_error)?;
    refusals.add_of_storage(&appended, &scratch.batch);
    count(state, appended.accepted_count, &refusals);
    Ok((appended.durable, refusals))
}

fn count(state: &State, accepted_count: usize, refusals: &Refusals) {
    state.metrics.write_samples.inc_by(accepted_count as u64);
    for (reason, samples) in &refusals.by_reason {
        state.metrics.write_rejected.with_label_values(&[*reason]).inc_by(*samples as u64);
    }
}

/// Storage refuses the whole batch: said so that the client knows whether to send it again.
fn write_error(error: storage::Error) -> ApiError {
    let error_type = match error.kind() {
        ErrorKind::Limit => ErrorType::TooManyRequests,
        ErrorKind::Unavailable | ErrorKind::Cancelled | ErrorKind::TimedOut => ErrorType::Unavailable,
        ErrorKind::Corrupt => ErrorType::Internal,
        ErrorKind::Rejected => ErrorType::BadData,
    };
    ApiError::new(error_type, error.to_string())
}

fn request_error(error: RemoteWriteError, body_bytes: usize) -> ApiError {
    /// A sound block holds at most 22 times its size. A header that claims more is a lie, not a large request.
    const SNAPPY_RATIO_MAX: usize = 22;
    let error_type = match error {
        RemoteWriteError::TooLarge { len_bytes, .. } if len_bytes / SNAPPY_RATIO_MAX <= body_bytes => {
            ErrorType::PayloadTooLarge
        }
        _ => ErrorType::BadData,
    };
    ApiError::new(error_type, error.to_string())
}

/// Fills a batch with what a request holds.
struct Fill<'a> {
    batch: &'a mut WriteBatch,
    series: BatchSeries,
    refusals: Refusals,
}

impl Visitor for Fill<'_> {
    fn series(&mut self, labels: LabelsRef<'_>) {
        self.series = self.batch.add_series(labels);
    }

    fn float(&mut self, timestamp_ms: i64, value: f64) {
        self.batch.add_float(self.series, timestamp_ms, value);
    }

    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram) {
        self.batch.add_histogram(self.series, timestamp_ms, histogram);
    }

    fn exemplar(&mut self, exemplar: Exemplar) {
        let timestamp_ms = exemplar.timestamp_ms.unwrap_or_default();
        self.batch.add_exemplar(self.series, exemplar, timestamp_ms);
    }

    fn metadata(&mut self, metric: &str, metadata: Metadata) {
        self.batch.add_metadata(metric, metadata);
    }

    fn reject(&mut self, rejected: RejectedSeries) {
        self.refusals.add("invalid", rejected.sample_count.max(1), || rejected.to_string());
    }
}

impl RawVisitor for Fill<'_> {
    fn raw_series(&mut self, hash: u128, labels: Range<usize>) {
        self.series = self.batch.add_raw_series(SeriesKey::new(hash), labels);
    }
}

/// What of a request was not written.
#[derive(Debug, Default)]
struct Refusals {
    shown: Vec<String>,
    count: usize,
    by_reason: Vec<(&'static str, usize)>,
}

impl Refusals {
    fn add(&mut self, reason: &'static str, samples: usize, text: impl FnOnce() -> String) {
        self.count += samples;
        match self.by_reason.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += samples,
            None => self.by_reason.push((reason, samples)),
        }
        if self.shown.len() < REFUSALS_SHOWN_MAX {
            self.shown.push(text());
        }
    }

    fn add_of_storage(&mut self, appended: &Appended, batch: &WriteBatch) {
        for rejected in &appended.rejected {
            let (reason, message) = (rejected.reason.as_str(), rejected.reason.message());
            match batch.labels(rejected.series) {
                BatchLabels::Raw(raw) => match refuse_raw(raw.bytes) {
                    // As if it had been noticed when the request was decoded.
                    Some(refused) => self.add("invalid", 1, || refused),
                    None => self.add(reason, 1, || {
                        let mut packed = String::new();
                        let labels = batch.labels(rejected.series).decode(&mut packed);
                        let labels = labels.map(|labels| labels.to_string()).unwrap_or_default();
                        format!("{labels} at {}: {message}", rejected.timestamp_ms)
                    }),
                },
                BatchLabels::Packed(labels) => {
                    self.add(reason, 1, || format!("{labels} at {}: {message}", rejected.timestamp_ms));
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn into_text(self) -> String {
        let mut text = format!("{} samples were refused, all others are written", self.count);
        for refusal in &self.shown {
            write!(text, "\n{refusal}").expect("a String takes everything");
        }
        if self.by_reason.iter().map(|(_, count)| count).sum::<usize>() > self.shown.len() {
            text.push_str("\n…");
        }
        text
    }
}
