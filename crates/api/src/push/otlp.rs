//! OpenTelemetry metrics: `/api/v1/otlp/v1/metrics` as Prometheus has it, `/v1/metrics` as exporters expect it, and gRPC.
//!
//! Answers as the OTLP specification wants them: 200 with how many data points were refused and why; errors as
//! `google.rpc.Status` in the encoding of the request; 429 and 503 (gRPC: `UNAVAILABLE`) where sending again may help.
//!
//! Map: here HTTP · [`grpc`] gRPC's messages · [`listener`] gRPC's connections · [`fill`] requests into batches.

mod fill;
mod grpc;
pub(crate) mod listener;

use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use model::TenantId;
use wire::otlp::answer::{self, Encoding};

use super::{Arrival, Protocol, Received};
use crate::error::{ApiError, ErrorType};
use crate::state::State;
use crate::tenancy::Tenant;

pub(crate) use fill::Totals;

/// gRPC's codes of what can go wrong here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Code {
    InvalidArgument = 3,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    /// Send again later.
    Unavailable = 14,
}

impl Code {
    fn of(error: &ApiError) -> Self {
        match error.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => {
                Self::Unavailable
            }
            // Without a time after which to try again it means: do not.
            StatusCode::PAYLOAD_TOO_LARGE => Self::ResourceExhausted,
            status if status.is_client_error() => Self::InvalidArgument,
            _ => Self::Internal,
        }
    }
}

pub(crate) async fn metrics(
    Extract(state): Extract<Arc<State>>,
    tenant: Result<Tenant, ApiError>,
    request: Request,
) -> Response {
    let (encoding, result) = match content(request.headers()) {
        Ok(encoding) => {
            let result = match tenant {
                Ok(Tenant(tenant)) => {
                    receive(&state, Arrival::new(Protocol::Otlp, tenant), encoding, request).await
                }
                Err(error) => Err(error),
            };
            (encoding, result)
        }
        Err(error) => (Encoding::Json, Err(error)),
    };
    match result {
        Ok(received) => {
            let body = answer::success(encoding, received.filled, &told(&received));
            response(StatusCode::OK, encoding, body)
        }
        Err(error) => {
            let status = error.status();
            let body = answer::failure(encoding, Code::of(&error) as u32, error.message());
            let mut response = response(status, encoding, body);
            if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            response
        }
    }
}

fn response(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response {
    let content_type = HeaderValue::from_static(encoding.content_type());
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// Takes a request in; yields how many data points were refused.
async fn receive(
    state: &Arc<State>,
    arrival: Arrival,
    encoding: Encoding,
    request: Request,
) -> Result<Received<u64>, ApiError> {
    state.backends()?;
    let settings = state.deps.status.otlp();
    let (shared, tenant): (_, TenantId) = (Arc::clone(state), arrival.tenant.clone());
    super::receive(state, arrival, request, move |filling| {
        fill::fill(&shared.totals, &tenant, &settings, encoding, filling)
    })
    .await
}

/// What a client is told of refused data points.
fn told(received: &Received<u64>) -> String {
    if received.filled == 0 {
        return String::new();
    }
    let mut text = format!("{} data points were refused: ", received.filled);
    text.push_str(&received.refusals.shown().join("; "));
    if received.refusals.count() > received.refusals.shown().len() {
        text.push_str("; …");
    }
    text
}

fn content(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim();
    match media_type.to_ascii_lowercase().as_str() {
        "application/x-protobuf" => Ok(Encoding::Protobuf),
        "application/json" => Ok(Encoding::Json),
        _ => {
            let message = format!(
                "Content-Type {content_type:?} is not known: send application/x-protobuf or application/json"
            );
            Err(ApiError::new(ErrorType::UnsupportedMediaType, message))
        }
    }
}
