//! `/api/v1/write`: remote write 1.0.
//!
//! Answers as the specification wants them: 204 once everything is durable; 400 for what retrying cannot help,
//! after the sound part is written; 429 and 503 for what it can.

use std::ops::Range;
use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use model::{Exemplar, FloatHistogram, LabelsRef, Metadata, TenantId};
use storage::{BatchSeries, InvalidLabels, SeriesKey, WriteBatch};
use wire::remote_write::{RawVisitor, RejectedSeries, Visitor, decode_raw, pack_raw_labels, refuse_raw};

use crate::error::{self, ApiError};
use crate::push::{self, Arrival, Encoding, Filling, Protocol, Refusals};
use crate::state::State;
use crate::tenancy::Tenant;

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
    let encoding = Some(Encoding::Snappy);
    let arrival = Arrival { protocol: Protocol::RemoteWrite, tenant, encoding };
    let received = push::receive(state, arrival, request, fill).await?;
    if received.refusals.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(error::text(StatusCode::BAD_REQUEST, &received.refusals.into_text()))
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

fn fill(filling: &mut Filling<'_>) -> Result<(), ApiError> {
    let request = std::mem::take(&mut filling.body);
    let hasher = filling.label_hasher;
    filling.explain_raw(refuse_raw);
    let (batch, refusals) = filling.parts();
    let mut fill = Fill { batch, series: 0, refusals };
    decode_raw(&request, hasher, &mut fill).map_err(|error| ApiError::bad_data(error.to_string()))?;
    batch.set_raw(request, |raw, packed| pack_raw_labels(raw, packed).map_err(|_| InvalidLabels));
    Ok(())
}

/// Fills a batch with what a request holds.
struct Fill<'a> {
    batch: &'a mut WriteBatch,
    series: BatchSeries,
    refusals: &'a mut Refusals,
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
