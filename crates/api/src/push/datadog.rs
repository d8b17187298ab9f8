//! Datadog's intake: series of versions 1 and 2, sketches, and the endpoints that agents and libraries ask beside.
//!
//! A tag `name:value` becomes a label; one without a value is `true`. Hosts and devices become the labels `host` and `device`. Names get `_` where
//! Prometheus' have nothing else. Gauges and rates are kept as they are; counts are of an interval, and are kept so, too. A sketch is a native
//! histogram of its interval (a gauge histogram: `sum_over_time` adds intervals up).

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State as Extract};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use model::CounterResetHint;
use serde_json::{Value, json};
use wire::datadog::{self, Series, Sketch};

use super::labels::{SeriesLabels, extra_labels};
use super::{Arrival, Buckets, Filling, Protocol, receive, usual_name};
use crate::error::{ApiError, json_response};
use crate::params::Params;
use crate::state::State;
use crate::tenancy::Tenant;

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Json,
    SeriesProtobuf,
    SketchProtobuf,
}

/// `/api/v1/series` and `/api/v2/series`.
pub(crate) async fn series(
    state: Extract<Arc<State>>,
    tenant: Result<Tenant, ApiError>,
    uri: OriginalUri,
    request: Request,
) -> Response {
    let content_type =
        request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let is_protobuf = content_type.starts_with("application/x-protobuf");
    write(state, tenant, uri, request, if is_protobuf { Body::SeriesProtobuf } else { Body::Json }).await
}

/// `/api/beta/sketches`.
pub(crate) async fn sketches(
    state: Extract<Arc<State>>,
    tenant: Result<Tenant, ApiError>,
    uri: OriginalUri,
    request: Request,
) -> Response {
    write(state, tenant, uri, request, Body::SketchProtobuf).await
}

async fn write(
    Extract(state): Extract<Arc<State>>,
    tenant: Result<Tenant, ApiError>,
    OriginalUri(uri): OriginalUri,
    request: Request,
    body: Body,
) -> Response {
    let written = async {
        let extra = extra_labels(&Params::of_query(uri.query().unwrap_or(""))?)?;
        let arrival = Arrival::new(Protocol::Datadog, tenant?.0);
        receive(&state, arrival, request, move |filling| fill(filling, body, extra)).await
    };
    let is_second = uri.path().contains("/v2/");
    match written.await {
        Ok(received) if received.refusals.is_empty() => accepted(is_second),
        Ok(received) => refuse(StatusCode::BAD_REQUEST, received.refusals.into_text().lines()),
        Err(error) => refuse(error.status(), [error.message()].into_iter()),
    }
}

fn accepted(is_second: bool) -> Response {
    let body = if is_second { json!({"errors": []}) } else { json!({"status": "ok"}) };
    json_response(StatusCode::ACCEPTED, &body)
}

fn refuse<'a>(status: StatusCode, errors: impl Iterator<Item = &'a str>) -> Response {
    let errors: Vec<Value> = errors.map(Value::from).collect();
    let mut response = json_response(status, &json!({"errors": errors}));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// `/api/v1/validate`: any key will do.
pub(crate) async fn validate() -> Response {
    json_response(StatusCode::OK, &json!({"valid": true}))
}

/// Service checks, events, host metadata: read and thrown away, so that agents are content.
pub(crate) async fn ignore(
    Extract(state): Extract<Arc<State>>,
    tenant: Result<Tenant, ApiError>,
    request: Request,
) -> Response {
    let ignored = async {
        let arrival = Arrival::new(Protocol::Datadog, tenant?.0);
        let fill = |filling: &mut Filling<'_>| {
            filling.refusals().ignore("no_metric", 1);
            Ok(())
        };
        receive(&state, arrival, request, fill).await
    };
    match ignored.await {
        Ok(_) => accepted(false),
        Err(error) => refuse(error.status(), [error.message()].into_iter()),
    }
}

fn fill(filling: &mut Filling<'_>, kind: Body, extra: Vec<(String, String)>) -> Result<(), ApiError> {
    let body = std::mem::take(&mut filling.body);
    let mut adding =
        Adding { labels: SeriesLabels::new(extra), name: String::new(), failed: None, sound_count: 0 };
    let read = match kind {
        Body::Json => datadog::read_json(&body, &mut |number, series| adding.take(filling, number, series))
            .map_err(|error| error.to_string()),
        Body::SeriesProtobuf => {
            datadog::read_protobuf(&body, &mut |number, series| adding.take(filling, number, series))
                .map_err(|error| format!("the body is not a MetricPayload: {error}"))
        }
        Body::SketchProtobuf => {
            datadog::read_sketches(&body, |number, sketch| adding.take_sketch(filling, number, sketch))
                .map_err(|error| format!("the body is not a SketchPayload: {error}"))
        }
    };
    if let Some(error) = adding.failed {
        return Err(error);
    }
    match read {
        // What stands before the fault is sound and goes in.
        Err(error) if adding.sound_count > 0 => filling.refusals().add("malformed", 1, || error),
        read => read.map_err(ApiError::bad_data)?,
    }
    filling.body = body;
    Ok(())
}

struct Adding {
    labels: SeriesLabels,
    name: String,
    failed: Option<ApiError>,
    sound_count: usize,
}

impl Adding {
    fn take(
        &mut self,
        filling: &mut Filling<'_>,
        number: usize,
        series: Result<&Series<'_>, String>,
    ) -> bool {
        let points = series.as_ref().map_or(1, |series| series.points.len().max(1));
        let added = series.and_then(|series| {
            self.begin(series.tags.iter().map(|tag| &**tag), &series.host, &series.device)?;
            usual_name(&series.metric, true, &mut self.name);
            let added = self.labels.series(&self.name, filling.batch);
            for (seconds, value) in &series.points {
                filling.batch.add_float(added, time_ms(*seconds)?, *value);
            }
            Ok(())
        });
        self.goes_on(filling, number, points, added)
    }

    fn take_sketch(
        &mut self,
        filling: &mut Filling<'_>,
        number: usize,
        sketch: Result<&Sketch<'_>, String>,
    ) -> bool {
        let points = sketch.as_ref().map_or(1, |sketch| sketch.points.len().max(1));
        let added = sketch.and_then(|sketch| {
            self.begin(sketch.tags.iter().copied(), sketch.host, "")?;
            usual_name(sketch.metric, true, &mut self.name);
            let added = self.labels.series(&self.name, filling.batch);
            for point in &sketch.points {
                let mut buckets = Buckets::default();
                point.bins.iter().for_each(|(value, count)| buckets.add(*value, *count));
                let mut histogram = buckets.to_histogram();
                // Bins give the sum only roughly.
                histogram.sum = point.sum;
                histogram.counter_reset_hint = CounterResetHint::Gauge;
                filling.batch.add_histogram(added, time_ms(point.seconds as f64)?, histogram);
            }
            Ok(())
        });
        self.goes_on(filling, number, points, added)
    }

    fn begin<'a>(
        &mut self,
        tags: impl Iterator<Item = &'a str>,
        host: &str,
        device: &str,
    ) -> Result<(), String> {
        self.labels.begin();
        for tag in tags {
            let (name, value) = tag.split_once(':').unwrap_or((tag, "true"));
            usual_name(name, false, &mut self.name);
            if self.name.is_empty() {
                return Err(format!("the tag {tag:?} has no name"));
            }
            // Agents send a tag twice where a host's and a metric's meet; the first counts.
            if self.name == model::METRIC_NAME {
                return Err(format!("a tag must not be called {}", self.name));
            }
            self.labels.add_default(&self.name, value);
        }
        self.labels.add_default("host", host);
        self.labels.add_default("device", device);
        Ok(())
    }

    fn goes_on(
        &mut self,
        filling: &mut Filling<'_>,
        number: usize,
        points: usize,
        added: Result<(), String>,
    ) -> bool {
        match added {
            Ok(()) => self.sound_count += 1,
            Err(message) => {
                filling.refusals().add("invalid", points, || format!("series {number}: {message}"));
            }
        }
        self.failed = filling.flush_if_large().err();
        self.failed.is_none()
    }
}

fn time_ms(seconds: f64) -> Result<i64, String> {
    let ms = (seconds * 1_000.0).round();
    if ms.abs() < 9e18 { Ok(ms as i64) } else { Err("a time is out of range".to_owned()) }
}
