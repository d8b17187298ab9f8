//! The intake: what every protocol of pushed samples shares, so that a handler is a parser and an answer.
//!
//! Map: [`receive`] a request from its head to "durable" · [`store`] a batch that did not come by HTTP · `protocol` their names ·
//! `decoding` Content-Encoding, bounded · `filling` what a handler fills, and how it gets into storage · `refusals` what was not
//! written, each item named · `sources` who pushes, for people · `labels` of a series · here the lanes. Protocols over HTTP: `influx`, `import` (JSON, JSON lines, CSV, exposition
//! text, Graphite), `opentsdb`, `datadog`, `pushgateway`, `otlp` OpenTelemetry, `native` Kymo's own export; remote write is in `write`; sockets are in `listeners`.
//!
//! Each protocol has a lane: slots and a share of memory of its own, so that a flood on one does not starve another. What
//! finds no slot is answered 429 at once. Larger bodies are decoded on a blocking thread. Nothing is answered
//! "written" before it is durable, and one bad item never takes the good ones with it (handlers that must refuse a request
//! as a whole return an error from their `fill`).

mod buckets;
pub(crate) mod datadog;
mod decoding;
mod filling;
pub(crate) mod import;
pub(crate) mod influx;
mod labels;
pub(crate) mod native;
pub(crate) mod opentsdb;
pub(crate) mod otlp;
mod protocol;
pub(crate) mod pushgateway;
mod refusals;
pub(crate) mod settings;
mod sources;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use bytes::Bytes;
use model::TenantId;
use parking_lot::Mutex;
use stdx::memory::{Budget, MemoryExceeded, Reservation};
use storage::{Durability, ErrorKind, WriteBatch};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::remote_write::LabelHasher;

pub(crate) use buckets::Buckets;
pub(crate) use decoding::Encoding;
pub(crate) use filling::{Filling, Items, Written};
pub(crate) use labels::{SeriesLabels, usual_name};
pub(crate) use protocol::Protocol;
pub(crate) use refusals::Refusals;
pub(crate) use settings::{LineSettings, StatsdSettings, Timers};
pub(crate) use sources::{Seen, Source, Sources, push_sources};

use crate::Settings;
use crate::body::read_body_with;
use crate::error::{ApiError, ErrorType};
use crate::state::State;
use crate::work::{blocking, cancel_after};
use filling::Sink;

/// Buffers beyond this are not kept for the next request.
const KEPT_BYTES_MAX: usize = 16 << 20;
/// Of the memory for requests, so much may be taken by one protocol, in percent.
const LANE_PERCENT: u64 = 50;

/// What all pushes share. Part of the server's state.
pub(crate) struct Intake {
    lanes: [Lane; Protocol::ALL.len()],
    /// Batches of pushes that have ended, so that the next allocates nothing.
    batches: Mutex<Vec<WriteBatch>>,
    batches_max: usize,
    /// Who pushed lately.
    pub(crate) sources: Sources,
}

/// What one protocol has for itself.
struct Lane {
    /// Requests that may be read and decoded at one time.
    slots: Arc<Semaphore>,
    budget: Arc<Budget>,
    /// Makes the keys by which storage knows series of this protocol.
    label_hasher: LabelHasher,
}

impl Intake {
    pub(crate) fn new(settings: &Settings, budget: &Arc<Budget>) -> Self {
        let limit_bytes = (u128::from(budget.limit_bytes()) * u128::from(LANE_PERCENT) / 100) as u64;
        let lanes = Protocol::ALL.map(|protocol| Lane {
            slots: Arc::new(Semaphore::new(settings.writes_concurrent_max)),
            budget: budget.child(format!("pushes by {protocol}"), limit_bytes),
            label_hasher: LabelHasher::new(stdx::rand::os_seed),
        });
        let batches_max = settings.writes_concurrent_max;
        Self { lanes, batches: Mutex::default(), batches_max, sources: Sources::default() }
    }

    fn lane(&self, protocol: Protocol) -> &Lane {
        &self.lanes[protocol as usize]
    }

    /// The memory of a protocol.
    pub(crate) fn budget(&self, protocol: Protocol) -> &Arc<Budget> {
        &self.lane(protocol).budget
    }

    pub(crate) fn take_batch(&self) -> WriteBatch {
        self.batches.lock().pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&self, mut batch: WriteBatch) {
        let size_bytes = batch.size_bytes();
        batch.clear();
        let mut kept = self.batches.lock();
        if size_bytes <= KEPT_BYTES_MAX && kept.len() < self.batches_max {
            kept.push(batch);
        }
    }
}

/// What a handler knows of a request before its body is read.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) protocol: Protocol,
    pub(crate) tenant: TenantId,
    /// How the body is compressed; `None`: as the header `Content-Encoding` says.
    pub(crate) encoding: Option<Encoding>,
}

impl Arrival {
    /// A request whose header tells the compression.
    pub(crate) fn new(protocol: Protocol, tenant: TenantId) -> Self {
        Self { protocol, tenant, encoding: None }
    }
}

/// A request that was taken in; what it holds is durable.
#[derive(Debug)]
pub(crate) struct Received<T> {
    /// Samples written, duplicates included.
    pub(crate) accepted_count: usize,
    /// The same by kind, and exemplars.
    pub(crate) written: Written,
    /// What was not.
    pub(crate) refusals: Refusals,
    /// What the handler's `fill` returned.
    pub(crate) filled: T,
}

/// Takes a request in: a slot, its body within the limits, decompressed, filled into batches by `fill`, appended, made durable.
/// Counts it, and remembers who sent it.
///
/// # Errors
/// 429 if there is no slot or no memory, 503 if storage cannot take it now, 408, 413, 415 and 400 for what the client
/// does wrong, and what `fill` returns; then the batch that was being filled is not written.
pub(crate) async fn receive<T: Send + 'static>(
    state: &Arc<State>,
    arrival: Arrival,
    request: Request,
    fill: impl FnOnce(&mut Filling<'_>) -> Result<T, ApiError> + Send + 'static,
) -> Result<Received<T>, ApiError> {
    let started = state.deps.clock.monotonic();
    let source = Source::of_request(&arrival, &request);
    let mut bytes = 0;
    let taken = take_in(state, arrival, request, fill, &mut bytes).await;
    finish(state, source, bytes, started, taken).await
}

/// A body that did not come as a request.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) source: Source,
    pub(crate) encoding: Encoding,
    pub(crate) body: Bytes,
    /// The memory that the body takes.
    pub(crate) held: Reservation,
}

/// As [`receive`], of a body that came by a socket.
///
/// # Errors
/// As [`receive`].
pub(crate) async fn receive_message<T: Send + 'static>(
    state: &Arc<State>,
    message: Message,
    fill: impl FnOnce(&mut Filling<'_>) -> Result<T, ApiError> + Send + 'static,
) -> Result<Received<T>, ApiError> {
    let started = state.deps.clock.monotonic();
    let Message { source, encoding, body, held } = message;
    let bytes = body.len();
    let (protocol, tenant) = (source.protocol, source.tenant.clone());
    let taken = async {
        state.backends()?;
        let slot = slot(state.intake.lane(protocol))?;
        work_off(state, protocol, tenant, encoding, body, held, slot, fill).await
    };
    let taken = taken.await;
    finish(state, source, bytes, started, taken).await
}

/// Waits until all is durable, counts it, and remembers who sent it.
async fn finish<T>(
    state: &State,
    source: Source,
    bytes: usize,
    started: Duration,
    taken: Result<Done<T>, ApiError>,
) -> Result<Received<T>, ApiError> {
    let result = match taken {
        Ok(done) => settle(done).await,
        Err(error) => Err((error, 0, Refusals::default())),
    };
    let seen = match &result {
        Ok(received) => Seen::of(bytes, received.accepted_count, &received.refusals, None),
        Err((error, accepted_count, refusals)) => Seen::of(bytes, *accepted_count, refusals, Some(error)),
    };
    record(state, source, &seen, started);
    result.map_err(|(error, ..)| error)
}

/// An error, and what had been done before it.
type Failed = (ApiError, usize, Refusals);

/// Waits until all is durable.
async fn settle<T>(done: Done<T>) -> Result<Received<T>, Failed> {
    let Done { result, accepted_count, written, refusals, durable } = done;
    let filled = match result {
        Ok(filled) => filled,
        Err(error) => return Err((error, accepted_count, refusals)),
    };
    for durable in durable {
        if let Err(error) = durable.await {
            return Err((write_error(error), accepted_count, refusals));
        }
    }
    Ok(Received { accepted_count, written, refusals, filled })
}

/// What became of a body: in storage, not yet durable.
struct Done<T> {
    result: Result<T, ApiError>,
    accepted_count: usize,
    written: Written,
    refusals: Refusals,
    durable: Vec<Durability>,
}

async fn take_in<T: Send + 'static>(
    state: &Arc<State>,
    arrival: Arrival,
    request: Request,
    fill: impl FnOnce(&mut Filling<'_>) -> Result<T, ApiError> + Send + 'static,
    bytes: &mut usize,
) -> Result<Done<T>, ApiError> {
    state.backends()?;
    let lane = state.intake.lane(arrival.protocol);
    let slot = slot(lane)?;
    let encoding = arrival.encoding.map_or_else(|| Encoding::of(request.headers()), Ok)?;
    let mut held = lane.budget.reserve_none();
    let grow = |more: usize| held.grow(more as u64).map_err(no_memory);
    let body =
        read_body_with(request.into_body(), state.settings.write_bytes_max, &state.settings, grow).await?;
    *bytes = body.len();
    let Arrival { protocol, tenant, .. } = arrival;
    work_off(state, protocol, tenant, encoding, body, held, slot, fill).await
}

/// Decodes and fills, on a blocking thread if that may take long.
async fn work_off<T: Send + 'static>(
    state: &Arc<State>,
    protocol: Protocol,
    tenant: TenantId,
    encoding: Encoding,
    body: Bytes,
    held: Reservation,
    slot: OwnedSemaphorePermit,
    fill: impl FnOnce(&mut Filling<'_>) -> Result<T, ApiError> + Send + 'static,
) -> Result<Done<T>, ApiError> {
    let inline = body.len() <= encoding.inline_bytes_max();
    let work = {
        let state = Arc::clone(state);
        move || {
            let done = decode_and_fill(&state, protocol, &tenant, encoding, body, held, fill);
            drop(slot);
            done
        }
    };
    // Not stopped when the client goes away: what is begun is short, and half a batch helps nobody.
    if inline { Ok(work()) } else { blocking(state, cancel_after(state, None), work).await }
}

fn slot(lane: &Lane) -> Result<OwnedSemaphorePermit, ApiError> {
    let slot = Arc::clone(&lane.slots).try_acquire_owned();
    slot.map_err(|_| ApiError::new(ErrorType::TooManyRequests, "too many writes at a time; send again later"))
}

fn decode_and_fill<T>(
    state: &State,
    protocol: Protocol,
    tenant: &TenantId,
    encoding: Encoding,
    body: Bytes,
    mut held: Reservation,
    fill: impl FnOnce(&mut Filling<'_>) -> Result<T, ApiError>,
) -> Done<T> {
    let mut batch = state.intake.take_batch();
    let mut decoded = batch.take_raw_buffer();
    let bytes_max = state.settings.write_decompressed_bytes_max;
    let result = encoding.decode(&body, bytes_max, &mut decoded, |more| held.grow(more).map_err(no_memory));
    drop(body);
    let result = result.and_then(|()| {
        // The request and, a few times as large, the batch.
        held.resize(3 * decoded.len() as u64).map_err(no_memory)
    });
    let sink = Sink::new(state, tenant);
    let mut filling = Filling {
        body: decoded,
        batch: &mut batch,
        now_ms: state.deps.clock.now_ms(),
        label_hasher: &state.intake.lane(protocol).label_hasher,
        sink,
    };
    let result = result.and_then(|()| {
        let filled = fill(&mut filling)?;
        filling.flush()?;
        Ok(filled)
    });
    let Filling { body, sink, .. } = filling;
    let Sink { accepted_count, written, refusals, durable, .. } = sink;
    if body.capacity() > 0 {
        // Only so that the next request finds the buffer.
        batch.set_raw(body, |_, _| Err(storage::InvalidLabels));
    }
    state.intake.give_back(batch);
    Done { result, accepted_count, written, refusals, durable }
}

/// Writes a batch that did not come as a request (a listener's, an aggregator's), waits until it is durable, and counts it. Empties the
/// batch. For blocking threads.
///
/// # Errors
/// 429 or 503 as for requests; the batch is not written then.
pub(crate) fn store(
    state: &State,
    tenant: &TenantId,
    source: Source,
    batch: &mut WriteBatch,
    noticed: Noticed,
) -> Result<(), ApiError> {
    begin_store(state, tenant, source, batch, noticed).finish(state)
}

/// As [`store`], without waiting: many batches can be begun and then wait for one sync of the disk together.
pub(crate) fn begin_store(
    state: &State,
    tenant: &TenantId,
    source: Source,
    batch: &mut WriteBatch,
    noticed: Noticed,
) -> Storing {
    let started = state.deps.clock.monotonic();
    let mut sink = Sink::new(state, tenant);
    sink.refusals = noticed.refusals;
    let result = sink.append(batch).map(drop);
    batch.clear();
    let Sink { accepted_count, written, refusals, durable, .. } = sink;
    Storing {
        source,
        bytes: noticed.bytes,
        done: Done { result, accepted_count, written, refusals, durable },
        started,
    }
}

/// A batch that is in storage, but not yet durable.
#[must_use = "it counts only once it is finished"]
pub(crate) struct Storing {
    source: Source,
    bytes: usize,
    done: Done<()>,
    started: Duration,
}

impl Storing {
    /// Waits until it is durable, and counts it.
    ///
    /// # Errors
    /// As [`store`].
    pub(crate) fn finish(self, state: &State) -> Result<(), ApiError> {
        let Done { result, accepted_count, refusals, durable, .. } = self.done;
        let result = result
            .and_then(|()| durable.into_iter().try_for_each(|durable| durable.wait().map_err(write_error)));
        let seen = Seen::of(self.bytes, accepted_count, &refusals, result.as_ref().err());
        record(state, self.source, &seen, self.started);
        result
    }
}

/// What a listener noticed while it filled a batch.
#[derive(Debug, Default)]
pub(crate) struct Noticed {
    /// Bytes that came over the network.
    pub(crate) bytes: usize,
    /// What it could not make samples of.
    pub(crate) refusals: Refusals,
}

fn record(state: &State, source: Source, seen: &Seen<'_>, started: Duration) {
    let elapsed = state.deps.clock.monotonic().saturating_sub(started);
    state.metrics.push.count(source.protocol, seen, elapsed);
    state.intake.sources.record(source, seen, state.deps.clock.now_ms());
}

fn no_memory(error: MemoryExceeded) -> ApiError {
    write_error(error.into())
}

/// Storage refuses the whole batch: said so that the client knows whether to send it again.
pub(crate) fn write_error(error: storage::Error) -> ApiError {
    let error_type = match error.kind() {
        ErrorKind::Limit => ErrorType::TooManyRequests,
        ErrorKind::Unavailable | ErrorKind::Cancelled | ErrorKind::TimedOut => ErrorType::Unavailable,
        ErrorKind::Corrupt => ErrorType::Internal,
        ErrorKind::Rejected => ErrorType::BadData,
    };
    ApiError::new(error_type, error.to_string())
}
