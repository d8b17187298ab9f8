//! What Alertmanager cannot answer: what happened to an alert, and why it was not told to anybody. Kymo's own, in the API's envelope.
//!
//! Map: here paths and the timeline · `acks` who takes care of alerts · `silences` silences and groups beforehand · `why` "why was I not paged?".

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State as Extract};
use axum::response::Response;
use axum::routing::{delete, get, post};
use model::Labels;
use notifier::timeline::{At, PastEvent};
use notifier::{Fingerprint, StoreError};
use serde_json::{Value, json};

use crate::error::{ApiError, ErrorType};
use crate::params::{MAX_TIME_MS, MIN_TIME_MS, Params};
use crate::respond::{Annotations, success_with};
use crate::state::State;

mod acks;
mod silences;
mod why;

/// Events of one answer, unless the request says.
const EVENTS_DEFAULT: usize = 1_000;
/// More are not answered at once.
const EVENTS_MAX: usize = 10_000;

/// The paths below `/api/v1`.
pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/alerts/why", get(why::why))
        .route("/alerts/acks", get(acks::list))
        .route("/silences", get(silences::list).post(silences::set))
        .route("/silences/preview", post(silences::preview))
        .route("/silences/{id}", delete(silences::expire))
        .route("/notifications/groups", post(silences::groups))
        .route("/alerts/{fingerprint}/ack", post(acks::set).delete(acks::take_back))
        .route("/alerts/{fingerprint}/timeline", get(timeline))
}

/// The notifier; agents have none.
fn notifier(state: &State) -> Result<&notifier::Handle, ApiError> {
    let none =
        || ApiError::new(ErrorType::NotFound, "an agent takes no alerts; ask the server that it sends to");
    state.deps.notifier.as_ref().ok_or_else(none)
}

fn unreadable(error: StoreError) -> ApiError {
    ApiError::new(ErrorType::Internal, format!("the timeline cannot be read: {error}"))
}

fn fingerprint(text: &str) -> Result<Fingerprint, ApiError> {
    let fault = |_| {
        ApiError::bad_data(format!(
            "{text:?} is no fingerprint: 16 hexadecimal digits, as /api/v2/alerts shows them"
        ))
    };
    text.parse().map_err(fault)
}

fn labels_json(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
}

fn event_json(event: &PastEvent) -> Value {
    json!({
        "at": At(event.at_ms),
        "kind": event.kind,
        "text": event.text(),
        "details": event.details,
    })
}

fn answer(data: &Value, is_truncated: bool) -> Response {
    let text = data.to_string();
    success_with(&Annotations::truncated(is_truncated), |out| out.extend_from_slice(text.as_bytes()))
}

/// `GET /api/v1/alerts/{fingerprint}/timeline`: the newest events of a range, the oldest of them first.
async fn timeline(
    Extract(state): Extract<Arc<State>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let notifier = notifier(&state)?;
    let fingerprint = fingerprint(&name)?;
    let (start_ms, end_ms) = (params.time_or("start", MIN_TIME_MS)?, params.time_or("end", MAX_TIME_MS)?);
    let limit = match params.limit()? {
        0 => EVENTS_DEFAULT,
        limit => limit.min(EVENTS_MAX),
    };
    let labels = notifier.labels_of(fingerprint).await.map_err(unreadable)?;
    let missing =
        || ApiError::new(ErrorType::NotFound, format!("nothing is known of an alert {fingerprint}"));
    let labels = labels.ok_or_else(missing)?;
    // One more, to know whether there are more.
    let wanted = u32::try_from(limit + 1).unwrap_or(u32::MAX);
    let events = notifier.events(fingerprint, start_ms, end_ms, wanted).await.map_err(unreadable)?;
    let left_out = events.len().saturating_sub(limit);
    let shown: Vec<Value> = events[left_out..].iter().map(event_json).collect();
    let data = json!({
        "fingerprint": fingerprint.to_string(),
        "labels": labels_json(&labels),
        "events": shown,
    });
    Ok(answer(&data, left_out > 0))
}
