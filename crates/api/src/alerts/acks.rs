//! Acknowledgements: made, listed, taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Request, State as Extract};
use axum::response::Response;
use model::time::parse_duration_ms;
use notifier::timeline::At;
use notifier::{Ack, AckError, SetAckError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{answer, fingerprint, notifier};
use crate::body::read_body;
use crate::error::{ApiError, ErrorType};
use crate::params::parse_time_ms;
use crate::state::State;

const BODY_BYTES_MAX: usize = 64 << 10;

/// An acknowledgement of a body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    owner: String,
    #[serde(default)]
    comment: String,
    #[serde(default, alias = "expiresAt")]
    expires_at: Option<String>,
    #[serde(default)]
    duration: Option<String>,
}

impl Posted {
    fn expires_at_ms(&self, now_ms: i64) -> Result<i64, ApiError> {
        match (&self.expires_at, &self.duration) {
            (Some(text), None) => {
                parse_time_ms(text).map_err(|fault| ApiError::bad_data(format!("expires_at: {fault}")))
            }
            (None, Some(text)) => {
                let ms = parse_duration_ms(text)
                    .map_err(|fault| ApiError::bad_data(format!("duration: {fault}")))?;
                Ok(now_ms.saturating_add(ms))
            }
            _ => Err(ApiError::bad_data(
                "say when it ends: write either expires_at or duration, such as \"2h\"",
            )),
        }
    }
}

fn failed(error: SetAckError) -> ApiError {
    let error_type = match &error {
        SetAckError::Ack(AckError::NotFound(_)) => ErrorType::NotFound,
        SetAckError::Ack(AckError::Invalid(_)) => ErrorType::BadData,
        SetAckError::Store(_) => ErrorType::Internal,
    };
    ApiError::new(error_type, error.to_string())
}

fn ack_json(ack: &Ack) -> Value {
    let labels: &BTreeMap<String, String> = &ack.labels;
    json!({
        "fingerprint": ack.fingerprint,
        "labels": labels,
        "owner": ack.owner,
        "comment": ack.comment,
        "createdAt": At(ack.created_at_ms),
        "expiresAt": At(ack.expires_at_ms),
    })
}

/// `GET /api/v1/alerts/acks`
pub(super) async fn list(Extract(state): Extract<Arc<State>>) -> Result<Response, ApiError> {
    let shown: Vec<Value> = notifier(&state)?.acks().iter().map(ack_json).collect();
    Ok(answer(&json!({ "acks": shown }), false))
}

/// `POST /api/v1/alerts/{fingerprint}/ack`
pub(super) async fn set(
    Extract(state): Extract<Arc<State>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let notifier = notifier(&state)?;
    let fingerprint = fingerprint(&name)?;
    let body = read_body(request.into_body(), BODY_BYTES_MAX, &state.settings).await?;
    let posted: Posted = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad_data(format!("the body is no acknowledgement: {error}")))?;
    let expires_at_ms = posted.expires_at_ms(notifier.now_ms())?;
    let made = notifier.acknowledge(fingerprint, posted.owner, posted.comment, expires_at_ms).await;
    Ok(answer(&ack_json(&made.map_err(failed)?), false))
}

/// `DELETE /api/v1/alerts/{fingerprint}/ack`
pub(super) async fn take_back(
    Extract(state): Extract<Arc<State>>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let fingerprint = fingerprint(&name)?;
    notifier(&state)?.take_back_ack(fingerprint).await.map_err(failed)?;
    Ok(answer(&json!({ "fingerprint": fingerprint }), false))
}
