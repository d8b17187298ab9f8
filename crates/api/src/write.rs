//! `/api/v1/write`: remote write 1.0 and 2.0.
//!
//! Answers as the specifications want them: 204 once everything is durable; 400 for what retrying cannot help,
//! after the sound part is written; 429 and 503 for what it can; and headers that tell how much was written, by which a sender
//! of 2.0 knows that it was understood.
//!
//! Map: here negotiation and answers · `fill` requests into batches.
//!
//! vmagent may ask whether its own compression is understood (`?get_vm_proto_version=1`): zstd instead of snappy
//! around the same message, which takes less of the network.

pub(crate) mod fill;

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State as Extract};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use model::TenantId;

use crate::error::{self, ApiError, ErrorType};
use crate::push::{self, Arrival, Encoding, Protocol, Received, Written};
use crate::state::State;
use crate::tenancy::Tenant;

pub(crate) async fn write(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Response {
    let content = match Content::of(request.headers()) {
        Ok(content) => content,
        Err(fault) => return error::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, &fault),
    };
    let (written, mut response) = match receive(&state, tenant, content, request).await {
        Ok(received) => {
            let written = received.written;
            let response = if received.refusals.is_empty() {
                StatusCode::NO_CONTENT.into_response()
            } else {
                error::text(StatusCode::BAD_REQUEST, &received.refusals.into_text())
            };
            (written, response)
        }
        Err(error) => (Written::default(), error.into_text()),
    };
    tell_written(written, response.headers_mut());
    response
}

/// vmagent asks before it sends: version 1 of its compression is what [`Encoding::Zstd`] is.
pub(crate) async fn handshake(OriginalUri(uri): OriginalUri) -> Response {
    let asks = uri.query().is_some_and(|query| query.split('&').any(|part| part == "get_vm_proto_version=1"));
    if asks {
        return "1".into_response();
    }
    let message = "/api/v1/write does not take GET: samples are sent by POST";
    ApiError::new(ErrorType::MethodNotAllowed, message).into_response()
}

async fn receive(
    state: &Arc<State>,
    tenant: TenantId,
    content: Content,
    request: Request,
) -> Result<Received<()>, ApiError> {
    let Content { protocol, encoding } = content;
    let fill = if protocol == Protocol::RemoteWrite { fill::fill } else { fill::fill2 };
    push::receive(state, Arrival { protocol, tenant, encoding: Some(encoding) }, request, fill).await
}

/// How much of each kind was written: required by 2.0, harmless for others.
fn tell_written(written: Written, headers: &mut HeaderMap) {
    for (name, count) in [
        ("x-prometheus-remote-write-samples-written", written.floats),
        ("x-prometheus-remote-write-histograms-written", written.histograms),
        ("x-prometheus-remote-write-exemplars-written", written.exemplars),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(count));
    }
}

/// What the body says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Content {
    protocol: Protocol,
    encoding: Encoding,
}

impl Content {
    fn of(headers: &HeaderMap) -> Result<Self, String> {
        const MEDIA_TYPE: &str = "application/x-protobuf";
        const MESSAGES: [(&str, Protocol); 2] = [
            ("prometheus.WriteRequest", Protocol::RemoteWrite),
            ("io.prometheus.write.v2.Request", Protocol::RemoteWrite2),
        ];
        let get = |name| headers.get(name).and_then(|v| v.to_str().ok()).map_or("", str::trim);
        let content_type = get(header::CONTENT_TYPE);
        let mut parts = content_type.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or("");
        if !media_type.is_empty() && !media_type.eq_ignore_ascii_case(MEDIA_TYPE) {
            return Err(format!(
                "expected {MEDIA_TYPE} as the first (media) part, got {content_type} content-type"
            ));
        }
        let parameter =
            parts.find_map(|part| part.split_once('=').filter(|(name, _)| name.trim() == "proto"));
        let message = parameter.map_or(MESSAGES[0].0, |(_, message)| message.trim().trim_matches('"'));
        let Some((_, protocol)) = MESSAGES.iter().find(|(known, _)| *known == message) else {
            let accepted = MESSAGES.map(|(known, _)| known).join(", ");
            return Err(format!(
                "{message} protobuf message is not accepted by this server; accepted {accepted}"
            ));
        };
        let name = get(header::CONTENT_ENCODING);
        let encoding = match name.to_ascii_lowercase().as_str() {
            "" | "snappy" => Encoding::Snappy,
            "zstd" => Encoding::Zstd,
            _ => {
                return Err(format!(
                    "{name} encoding (compression) is not accepted by this server; only snappy and zstd are acceptable"
                ));
            }
        };
        Ok(Self { protocol: *protocol, encoding })
    }
}
