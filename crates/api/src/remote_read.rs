//! `/api/v1/read`: remote read, so that Prometheus and Thanos answer queries from what is stored here.
//!
//! Two forms of answer, of which the client takes one: all samples in one message, or frames of encoded chunks that are made
//! while they are sent. Neither holds more than its share of memory, and a client that goes away ends the work.

use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use model::{Labels, LabelsBuilder, Matcher, TenantId};
use stdx::memory::Reservation;
use storage::{QueryContext, SelectHints, SelectRequest, SeriesSamples, SeriesSet};
use tokio::sync::mpsc;
use wire::remote_read::{
    CHUNKS_CONTENT_TYPE, ChunkFrames, ReadQuery, ReadRequest, ResponseType, SAMPLES_CONTENT_TYPE,
    SamplesResponse,
};

use crate::body::{Render, read_body, received, streamed};
use crate::error::{ApiError, ErrorType};
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::{blocking, cancel_after};

/// Largest request; a query is a few hundred bytes.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// The most samples in an answer of one message, as Prometheus' default says.
const SAMPLES_MAX: usize = 50_000_000;
/// Frames that wait for the client to take them.
const FRAMES_WAITING_MAX: usize = 2;
/// Frames are handed on when they are this large together.
const BATCH_BYTES: usize = 256 << 10;
/// Memory of an answer in frames: those that wait, the one in hand, and one series of 100,000 samples.
const FRAMES_BYTES: u64 = (FRAMES_WAITING_MAX as u64 + 2) * (2 << 20);

/// As plain text where it fails, as Prometheus answers here.
pub(crate) async fn read(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Response {
    answer(&state, tenant, request).await.unwrap_or_else(ApiError::into_text)
}

async fn answer(state: &Arc<State>, tenant: TenantId, request: Request) -> Result<Response, ApiError> {
    let slots = Arc::clone(&state.read_slots);
    let slot = slots.acquire_owned().await.map_err(|_| ApiError::new(ErrorType::Unavailable, "stopping"))?;
    let body = read_body(request.into_body(), REQUEST_BYTES_MAX, &state.settings).await?;
    let mut message = Vec::new();
    wire::remote_write::decompress(&body, REQUEST_BYTES_MAX, &mut message)
        .map_err(|error| ApiError::bad_data(error.to_string()))?;
    let asked = wire::remote_read::decode(&message).map_err(|error| ApiError::bad_data(error.to_string()))?;
    let cancel = cancel_after(state, None);
    let mut reading = Reading {
        state: Arc::clone(state),
        tenant,
        context: QueryContext { budget: Arc::clone(&state.deps.budget), cancel: cancel.clone() },
        external: Labels::empty(),
        builder: LabelsBuilder::new(),
    };
    match asked.response_type {
        ResponseType::Samples => {
            let work = move || {
                let answered = reading.samples(&asked);
                drop(slot);
                answered
            };
            let whole = blocking(state, cancel, work).await??;
            let headers =
                [(header::CONTENT_TYPE, SAMPLES_CONTENT_TYPE), (header::CONTENT_ENCODING, "snappy")];
            Ok((headers, streamed(whole)).into_response())
        }
        ResponseType::StreamedXorChunks => {
            let selecting = move || {
                let sets = reading.select(&asked)?;
                let held = reading.context.budget.reserve(FRAMES_BYTES).map_err(storage::Error::from)?;
                Ok::<_, ApiError>((reading, sets, held))
            };
            let (reading, sets, held) = blocking(state, cancel.clone(), selecting).await??;
            let (frames, receiver) = mpsc::channel(FRAMES_WAITING_MAX);
            // Not awaited: it ends with the last frame, or when nobody takes them any more.
            drop(tokio::task::spawn_blocking(move || {
                reading.stream(&sets, &frames);
                drop((held, slot));
            }));
            Ok(([(header::CONTENT_TYPE, CHUNKS_CONTENT_TYPE)], received(receiver, cancel)).into_response())
        }
    }
}

/// A compressed message, and the memory it takes until it is sent.
struct Whole {
    bytes: Vec<u8>,
    sent: usize,
    _held: Reservation,
}

impl Render for Whole {
    fn render(&mut self, out: &mut Vec<u8>) -> bool {
        const PIECE_BYTES: usize = 32 << 10;
        let end = self.bytes.len().min(self.sent + PIECE_BYTES);
        out.extend_from_slice(&self.bytes[self.sent..end]);
        self.sent = end;
        end < self.bytes.len()
    }
}

/// One request that is being answered.
struct Reading {
    state: Arc<State>,
    tenant: TenantId,
    context: QueryContext,
    external: Labels,
    builder: LabelsBuilder,
}

impl Reading {
    /// The series of each query. Labels that the configuration adds to everything that leaves are stored nowhere: whoever asks
    /// for them means series without.
    fn select(&mut self, asked: &ReadRequest) -> Result<Vec<Box<dyn SeriesSet>>, ApiError> {
        self.external = self.state.deps.status.external_labels();
        let querier = &self.state.backends()?.querier;
        let mut sets = Vec::with_capacity(asked.queries.len());
        for query in &asked.queries {
            let matchers = self.without_external(query);
            let hints = SelectHints {
                step_ms: query.hints.step_ms,
                window_ms: query.hints.window_ms,
                function: &query.hints.function,
                ..SelectHints::default()
            };
            let request =
                SelectRequest { matchers: &matchers, start_ms: query.start_ms, end_ms: query.end_ms, hints };
            sets.push(querier.select(&self.tenant, &request, &self.context)?);
        }
        Ok(sets)
    }

    fn without_external(&self, query: &ReadQuery) -> Vec<Matcher> {
        let is_external = |matcher: &Matcher| {
            matcher.op() == model::matcher::MatchOp::Equal
                && self.external.get(matcher.name()).is_some_and(|value| value == matcher.value())
        };
        let replace = |matcher: &Matcher| {
            if is_external(matcher) { Matcher::equal(matcher.name(), "") } else { matcher.clone() }
        };
        query.matchers.iter().map(replace).collect()
    }

    /// Labels of a series as they leave.
    fn labels(&mut self, stored: &Labels) -> Labels {
        if self.external.is_empty() {
            return stored.clone();
        }
        self.builder.reset_to(stored.as_ref());
        for (name, value) in &self.external {
            if stored.get(name).is_none() {
                self.builder.set(name, value);
            }
        }
        self.builder.build()
    }

    fn samples(mut self, asked: &ReadRequest) -> Result<Whole, ApiError> {
        let mut response = SamplesResponse::new();
        let mut held = self.context.budget.reserve_none();
        let mut samples = SeriesSamples::default();
        let mut sample_count = 0;
        for set in self.select(asked)? {
            for at in 0..set.len() {
                set.read(at, &mut samples)?;
                if samples.is_empty() {
                    continue;
                }
                sample_count += samples.len();
                if sample_count > SAMPLES_MAX {
                    return Err(ApiError::bad_data(format!("exceeded sample limit ({SAMPLES_MAX})")));
                }
                response.begin_series(&self.labels(set.labels(at)));
                for (timestamp_ms, value) in samples.floats.timestamps_ms.iter().zip(&samples.floats.values) {
                    response.float(*timestamp_ms, *value);
                }
                let histograms = samples.histograms.timestamps_ms.iter().zip(&samples.histograms.values);
                for (timestamp_ms, value) in histograms {
                    response.histogram(*timestamp_ms, value);
                }
                response.end_series();
                // Buffers that grow may be twice as large as what is in them.
                held.resize(2 * response.size_bytes() as u64).map_err(storage::Error::from)?;
            }
            response.end_query();
        }
        let worst_bytes = response.size_bytes() as u64 * 7 / 6 + 32;
        held.grow(worst_bytes).map_err(storage::Error::from)?;
        let bytes = response.compress().map_err(ApiError::bad_data)?;
        drop(response);
        held.resize(bytes.capacity() as u64).map_err(storage::Error::from)?;
        Ok(Whole { bytes, sent: 0, _held: held })
    }

    /// Sends frames until all are sent or nobody takes them; an error breaks the connection off, so that nobody takes what
    /// there is for all there is.
    fn stream(mut self, sets: &[Box<dyn SeriesSet>], frames: &mpsc::Sender<Result<Bytes, String>>) {
        let mut encoder = ChunkFrames::new();
        let mut samples = SeriesSamples::default();
        let mut out = Vec::new();
        for (query, set) in sets.iter().enumerate() {
            for at in 0..set.len() {
                let read = self.context.cancel.check().map_err(|_| "stopped".to_owned());
                let read = read.and_then(|()| set.read(at, &mut samples).map_err(|error| error.to_string()));
                if let Err(error) = read {
                    tracing::warn!(error, "remote read ends early");
                    // If the client has gone as well, nobody is left to tell.
                    drop(frames.blocking_send(Err(error)));
                    return;
                }
                let labels = self.labels(set.labels(at));
                let (floats, histograms) = (&samples.floats, &samples.histograms);
                let columns = (
                    (floats.timestamps_ms.as_slice(), floats.values.as_slice()),
                    (histograms.timestamps_ms.as_slice(), histograms.values.as_slice()),
                );
                encoder.series(query, &labels, columns.0, columns.1, &mut out);
                if out.len() >= BATCH_BYTES
                    && frames.blocking_send(Ok(Bytes::from(std::mem::take(&mut out)))).is_err()
                {
                    return;
                }
            }
        }
        if !out.is_empty() {
            drop(frames.blocking_send(Ok(Bytes::from(out))));
        }
    }
}
