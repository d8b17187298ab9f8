//! `/api/v1/import/native`: what `/api/v1/export/native` answers, taken in while it comes, frame by frame, so that its length does
//! not matter. Each frame is durable before the next is read; a frame that storage has no room for at the moment is tried again.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State as Extract};
use axum::response::Response;
use bytes::Bytes;
use http::header;
use http_body_util::BodyExt;
use model::TenantId;
use stdx::memory::Reservation;
use tokio::time::{sleep, timeout};
use wire::native::{Damage, Frame, Kind, Reader};

use super::import::answer_of;
use super::{
    Arrival, Encoding, Protocol, Refusals, Seen, Source, decode_and_fill, no_memory, record, settle, slot,
};
use crate::body::discard;
use crate::error::{ApiError, ErrorType};
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::{blocking, cancel_after};
use crate::write::fill;

/// A frame that storage cannot take now is tried so often.
const ATTEMPTS_MAX: usize = 60;
/// The pause before each.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) async fn import(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Result<Response, ApiError> {
    let started = state.deps.clock.monotonic();
    let arrival = Arrival::new(Protocol::Native, tenant);
    let source = Source::of_request(&arrival, &request);
    let mut import = Import { state: &state, tenant: arrival.tenant, done: Done::default() };
    let result = import.run(request).await;
    let Done { bytes, accepted_count, refusals } = import.done;
    record(&state, source, &Seen::of(bytes, accepted_count, &refusals, result.as_ref().err()), started);
    result.map_err(|error| {
        let text = format!("{}; {accepted_count} samples before that are written", error.message());
        error.with_message(text)
    })?;
    Ok(answer_of(accepted_count, &refusals))
}

struct Import<'a> {
    state: &'a Arc<State>,
    tenant: TenantId,
    done: Done,
}

/// What became of the frames so far.
#[derive(Default)]
struct Done {
    bytes: usize,
    accepted_count: usize,
    refusals: Refusals,
}

fn damaged(damage: &Damage) -> ApiError {
    ApiError::bad_data(damage.to_string())
}

impl Import<'_> {
    async fn run(&mut self, request: Request) -> Result<(), ApiError> {
        self.state.backends()?;
        if request.headers().get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity") {
            let text = "a native export is compressed already: send it as it is, without Content-Encoding";
            return Err(ApiError::new(ErrorType::UnsupportedMediaType, text));
        }
        let lane = self.state.intake.lane(Protocol::Native);
        let _slot = slot(lane)?;
        let mut held = lane.budget.reserve_none();
        let mut body = request.into_body();
        let result = self.read(&mut body, &mut held).await;
        if result.is_err() {
            discard(body, &self.state.settings).await;
        }
        result
    }

    async fn read(&mut self, body: &mut Body, held: &mut Reservation) -> Result<(), ApiError> {
        let mut reader = Reader::new();
        while let Some(piece) = self.next_piece(body).await? {
            self.done.bytes += piece.len();
            reader.feed(&piece);
            self.hold(held, &reader)?;
            while let Some(frame) = reader.next_frame().map_err(|damage| damaged(&damage))? {
                self.take(frame).await?;
            }
        }
        reader.finish().map_err(|damage| damaged(&damage))
    }

    fn hold(&self, held: &mut Reservation, reader: &Reader) -> Result<(), ApiError> {
        // The buffer, and a frame that is taken out of it.
        held.resize(2 * reader.held_bytes() as u64).map_err(no_memory)
    }

    async fn next_piece(&self, body: &mut Body) -> Result<Option<Bytes>, ApiError> {
        loop {
            let Ok(frame) = timeout(self.state.settings.stall_timeout, body.frame()).await else {
                return Err(ApiError::new(ErrorType::RequestTimeout, "the body did not arrive in time"));
            };
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|e| ApiError::bad_data(format!("cannot read the body: {e}")))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }

    /// Writes a frame; durable when this returns.
    async fn take(&mut self, frame: Frame) -> Result<(), ApiError> {
        let place = format!("frame {}, at byte {} of the native export", frame.number, frame.offset);
        let payload = Bytes::from(frame.payload);
        for attempt in 1.. {
            let result = self.write(frame.kind, payload.clone()).await;
            let error = match result {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let may_pass = matches!(error.status().as_u16(), 429 | 503);
            if !may_pass || attempt == ATTEMPTS_MAX {
                let text = format!("{place}: {}", error.message());
                return Err(error.with_message(text));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn write(&mut self, kind: Kind, payload: Bytes) -> Result<(), ApiError> {
        let (state, tenant) = (Arc::clone(self.state), self.tenant.clone());
        let held = state.intake.lane(Protocol::Native).budget.reserve_none();
        let fill = if kind == Kind::Metadata { fill::fill } else { fill::fill2 };
        let work =
            move || decode_and_fill(&state, Protocol::Native, &tenant, Encoding::Zstd, payload, held, fill);
        let done = blocking(self.state, cancel_after(self.state, None), work).await?;
        match settle(done).await {
            Ok(received) => {
                self.done.accepted_count += received.accepted_count;
                self.done.refusals.append(received.refusals);
                Ok(())
            }
            // Tried again, it is written again, and what is in already is known.
            Err((error, ..)) => Err(error),
        }
    }
}
