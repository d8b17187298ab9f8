//! `/api/v1/import/…`: samples as JSON, JSON lines, CSV, exposition text and Graphite lines, each in a request.
//!
//! Answered 204 when everything is written; 400 with counts, and the first refused items spelled out, when something was not. Items are read one by
//! one and large bodies are written as they are read, so that memory does not grow with them.

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State as Extract};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use model::histogram::{RESERVED_SCHEMA_MAX, SCHEMA_MAX};
use model::{LabelsBuilder, Metadata};
use serde_json::json;
use wire::csv::Format as CsvFormat;
use wire::exposition::{Entry, Format, HistogramSeries, Options, Parser, Place, Series};
use wire::graphite;
use wire::json_write::{self, Dialect, JsonSample};
use wire::{csv, json_lines};

use super::labels::{SeriesLabels, extra_labels};
use super::{Arrival, Filling, Items, Protocol, Received, Refusals, receive};
use crate::error::{ApiError, json_response};
use crate::params::{Params, parse_time_ms};
use crate::state::State;
use crate::tenancy::Tenant;

/// Lines that are no exposition text; beyond so many it is taken for something else.
const FAULTS_MAX: usize = 1_000;

pub(crate) async fn json(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<Response, ApiError> {
    let extra = extra_labels(&Params::of_query(uri.query().unwrap_or(""))?)?;
    let arrival = Arrival::new(Protocol::Json, tenant);
    let fill = move |filling: &mut Filling<'_>| fill_json(filling, Dialect::Kymo, extra);
    Ok(answer(receive(&state, arrival, request, fill).await?))
}

pub(crate) async fn json_lines(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<Response, ApiError> {
    let extra = extra_labels(&Params::of_query(uri.query().unwrap_or(""))?)?;
    let arrival = Arrival::new(Protocol::Json, tenant);
    Ok(answer(receive(&state, arrival, request, move |filling| fill_json_lines(filling, extra)).await?))
}

pub(crate) async fn csv(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of_query(uri.query().unwrap_or(""))?;
    let extra = extra_labels(&params)?;
    let format =
        CsvFormat::parse(params.get("format")).map_err(|e| ApiError::invalid_parameter("format", e))?;
    let arrival = Arrival::new(Protocol::Csv, tenant);
    Ok(answer(receive(&state, arrival, request, move |filling| fill_csv(filling, &format, extra)).await?))
}

pub(crate) async fn prometheus(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of_query(uri.query().unwrap_or(""))?;
    let extra = extra_labels(&params)?;
    let timestamp_ms =
        match params.get("timestamp") {
            "" => None,
            text => Some(text.parse::<i64>().map_err(|_| {
                ApiError::invalid_parameter("timestamp", "write a whole number of milliseconds")
            })?),
        };
    let content_type =
        request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let format = match content_type.trim_start() {
        text if text.starts_with("application/openmetrics-text") => Format::OpenMetricsText,
        text if text.starts_with("application/vnd.google.protobuf") => Format::Protobuf,
        _ => Format::PrometheusText,
    };
    let arrival = Arrival::new(Protocol::Prometheus, tenant);
    let fill = move |filling: &mut Filling<'_>| {
        let default_ms = timestamp_ms.unwrap_or(filling.now_ms);
        fill_exposition(filling, format, extra, default_ms)
    };
    Ok(answer(receive(&state, arrival, request, fill).await?))
}

pub(crate) async fn graphite(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<Response, ApiError> {
    let extra = extra_labels(&Params::of_query(uri.query().unwrap_or(""))?)?;
    let arrival = Arrival::new(Protocol::Graphite, tenant);
    Ok(answer(receive(&state, arrival, request, move |filling| fill_graphite(filling, extra)).await?))
}

fn answer(received: Received<()>) -> Response {
    answer_of(received.accepted_count, &received.refusals)
}

/// 204, or 400 with what was refused.
pub(super) fn answer_of(accepted_count: usize, refusals: &Refusals) -> Response {
    if refusals.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    let body = json!({
        "status": "error",
        "errorType": "bad_data",
        "error": format!("{} samples were refused, all others are written", refusals.count()),
        "data": {"written": accepted_count, "refused": refusals.count(), "refusals": refusals.shown()},
    });
    json_response(StatusCode::BAD_REQUEST, &body)
}

/// Items of JSON; OpenTSDB's come here, too.
pub(super) fn fill_json(
    filling: &mut Filling<'_>,
    dialect: Dialect,
    extra: Vec<(String, String)>,
) -> Result<(), ApiError> {
    let body = std::mem::take(&mut filling.body);
    let mut labels = SeriesLabels::new(extra);
    let mut items = Items::default();
    let read = json_write::read(&body, dialect, |number, item| {
        let added = item.and_then(|sample| add_sample(filling, sample, &mut labels));
        items.note(filling, number, added)
    });
    items.end(filling, read)?;
    filling.body = body;
    Ok(())
}

fn add_sample(
    filling: &mut Filling<'_>,
    sample: &JsonSample<'_>,
    labels: &mut SeriesLabels,
) -> Result<(), String> {
    labels.begin();
    for (name, value) in &sample.labels {
        labels.add(name, value)?;
    }
    let series = labels.series(&sample.metric, filling.batch);
    filling.batch.add_float(series, sample.timestamp_ms.unwrap_or(filling.now_ms), sample.value);
    Ok(())
}

fn fill_json_lines(filling: &mut Filling<'_>, extra: Vec<(String, String)>) -> Result<(), ApiError> {
    let body = std::mem::take(&mut filling.body);
    let mut labels = SeriesLabels::new(extra);
    let mut failed = None;
    json_lines::read(&body, |number, line| {
        let added = line.and_then(|line| {
            labels.begin();
            let mut metric = "";
            for (name, value) in line.labels() {
                if name == model::METRIC_NAME && metric.is_empty() {
                    metric = value;
                } else {
                    labels.add(name, value)?;
                }
            }
            let series = labels.series(metric, filling.batch);
            for (timestamp_ms, value, start_ms) in line.samples() {
                filling.batch.add_float_since(series, timestamp_ms, value, start_ms);
            }
            for (timestamp_ms, histogram, start_ms) in line.histograms() {
                filling.batch.add_histogram_since(series, timestamp_ms, histogram.clone(), start_ms);
            }
            Ok(())
        });
        if let Err(message) = added {
            filling.refusals().add("invalid", 1, || format!("line {number}: {message}"));
        }
        failed = filling.flush_if_large().err();
        failed.is_none()
    });
    filling.body = body;
    failed.map_or(Ok(()), Err)
}

fn fill_csv(
    filling: &mut Filling<'_>,
    format: &CsvFormat,
    extra: Vec<(String, String)>,
) -> Result<(), ApiError> {
    let body = std::mem::take(&mut filling.body);
    let mut labels = SeriesLabels::new(extra);
    let mut failed = None;
    let rfc3339 = |text: &str| text.contains('T').then(|| parse_time_ms(text).ok()).flatten();
    csv::read(&body, format, rfc3339, |number, row| {
        let added = row.and_then(|row| {
            labels.begin();
            row.labels.iter().try_for_each(|(name, value)| labels.add(name, value))?;
            for (metric, value) in &row.values {
                let series = labels.series(metric, filling.batch);
                filling.batch.add_float(series, row.timestamp_ms.unwrap_or(filling.now_ms), *value);
            }
            Ok(())
        });
        if let Err(message) = added {
            filling.refusals().add("invalid", 1, || format!("line {number}: {message}"));
        }
        failed = filling.flush_if_large().err();
        failed.is_none()
    });
    filling.body = body;
    failed.map_or(Ok(()), Err)
}

fn fill_graphite(filling: &mut Filling<'_>, extra: Vec<(String, String)>) -> Result<(), ApiError> {
    let body = std::mem::take(&mut filling.body);
    let mut labels = SeriesLabels::new(extra);
    for (at, line) in body.split(|byte| *byte == b'\n').enumerate() {
        let now_ms = filling.now_ms;
        let (batch, refusals) = filling.parts();
        add_graphite(line, now_ms, &mut labels, batch, refusals, || format!("line {}", at + 1));
        filling.flush_if_large()?;
    }
    filling.body = body;
    Ok(())
}

/// Adds the sample of a line of Graphite's, or says why not. `place` names the line.
pub(crate) fn add_graphite(
    line: &[u8],
    now_ms: i64,
    labels: &mut SeriesLabels,
    batch: &mut storage::WriteBatch,
    refusals: &mut Refusals,
    place: impl FnOnce() -> String,
) {
    let added = graphite::Line::parse(line).map_err(str::to_owned).and_then(|line| {
        let Some(line) = line else { return Ok(()) };
        labels.begin();
        for tag in line.tags() {
            let (name, value) = tag?;
            labels.add(name, value)?;
        }
        let series = labels.series(line.path, batch);
        batch.add_float(series, line.timestamp_ms.unwrap_or(now_ms), line.value);
        Ok(())
    });
    if let Err(message) = added {
        refusals.add("invalid", 1, || format!("{}: {message}", place()));
    }
}

/// Text or OpenMetrics. A line that breaks the rules of text is named and left out; OpenMetrics ends there.
fn fill_exposition(
    filling: &mut Filling<'_>,
    format: Format,
    extra: Vec<(String, String)>,
    default_ms: i64,
) -> Result<(), ApiError> {
    let options = Options { native_histograms: true, suppress_created: true, ..Options::default() };
    let body = std::mem::take(&mut filling.body);
    let mut exposition = Exposition { extra, default_ms, ..Exposition::default() };
    let (mut rest, mut lines_before, mut faults) = (body.as_slice(), 0, 0);
    loop {
        let mut parser = Parser::with_options(rest, format, options);
        let fault = loop {
            match parser.next_entry() {
                Ok(Some(entry)) => exposition.add(filling, entry),
                Ok(None) => break None,
                Err(fault) => break Some(fault),
            }
            filling.flush_if_large()?;
        };
        let Some(fault) = fault else { break };
        faults += 1;
        let (line_here, place) = match &fault.place {
            Place::Text { line, column } => {
                (Some(*line), format!("line {}, column {column}", lines_before + line))
            }
            other @ Place::Family { .. } => (None, other.to_string()),
        };
        let text = || format!("{place}: {}", fault.message);
        if faults > FAULTS_MAX {
            return Err(ApiError::bad_data(format!("this is not exposition text: {}", text())));
        }
        filling.refusals().add("malformed", 1, text);
        // What is behind the faulty line is read on its own; OpenMetrics has an end that must be there.
        let line_here = line_here.filter(|_| format == Format::PrometheusText);
        let Some((line, end)) = line_here.and_then(|line| Some((line, memchr_nth(rest, line)?))) else {
            break;
        };
        rest = &rest[end + 1..];
        lines_before += line;
    }
    exposition.finish_family(filling);
    filling.body = body;
    Ok(())
}

/// Where the line of this number ends.
fn memchr_nth(text: &[u8], line: usize) -> Option<usize> {
    text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).nth(line.checked_sub(1)?)
}

/// What is kept from line to line.
#[derive(Default)]
struct Exposition {
    builder: LabelsBuilder,
    scratch: LabelsBuilder,
    extra: Vec<(String, String)>,
    default_ms: i64,
    /// The family that the last comments spoke of.
    family: String,
    metadata: Metadata,
}

impl Exposition {
    fn add(&mut self, filling: &mut Filling<'_>, entry: Entry<'_>) {
        match entry {
            Entry::Series(series) => self.add_series(filling, &series),
            Entry::Histogram(series) => self.add_histogram(filling, *series),
            Entry::Type { name, metric_type } => self.family(filling, &name).metric_type = metric_type,
            Entry::Help { name, text } => self.family(filling, &name).help = text.into_owned(),
            Entry::Unit { name, unit } => self.family(filling, &name).unit = unit.to_owned(),
            Entry::Comment(_) => {}
        }
    }

    fn family(&mut self, filling: &mut Filling<'_>, name: &str) -> &mut Metadata {
        if self.family != name {
            self.finish_family(filling);
            self.family.push_str(name);
        }
        &mut self.metadata
    }

    fn finish_family(&mut self, filling: &mut Filling<'_>) {
        let metadata = std::mem::take(&mut self.metadata);
        if !self.family.is_empty() {
            filling.batch.add_metadata(&self.family, metadata);
        }
        self.family.clear();
    }

    /// Protobuf only.
    fn add_histogram(&mut self, filling: &mut Filling<'_>, mut series: HistogramSeries<'_>) {
        let mut histogram = std::mem::take(&mut series.histogram);
        if histogram.schema <= RESERVED_SCHEMA_MAX {
            histogram.reduce_resolution(SCHEMA_MAX);
        }
        let packed = series.pack_labels(&mut self.builder).map_err(|error| error.to_string());
        let sound = packed.and_then(|()| histogram.validate().map_err(|error| error.to_string()));
        if let Err(error) = sound {
            filling.refusals().add("invalid", 1, || format!("{}: {error}", series.id));
            return;
        }
        for (name, value) in &self.extra {
            self.builder.set(name, value);
        }
        let builder = &self.builder;
        let timestamp_ms = series.timestamp_ms.unwrap_or(self.default_ms);
        let added = filling.batch.add_series_with(|packed| builder.pack_into(packed));
        filling.batch.add_histogram(added, timestamp_ms, histogram);
    }

    fn add_series(&mut self, filling: &mut Filling<'_>, series: &Series<'_>) {
        if let Err(error) = series.pack_labels(&mut self.builder) {
            filling.refusals().add("invalid", 1, || format!("{}: {error}", series.id));
            return;
        }
        for (name, value) in &self.extra {
            self.builder.set(name, value);
        }
        let builder = &self.builder;
        let timestamp_ms = series.timestamp_ms.unwrap_or(self.default_ms);
        let added = filling.batch.add_series_with(|packed| builder.pack_into(packed));
        filling.batch.add_float(added, timestamp_ms, series.value);
        if let Some(exemplar) = series.exemplar {
            match exemplar.to_exemplar(&mut self.scratch) {
                Ok(exemplar) => filling.batch.add_exemplar(added, exemplar, timestamp_ms),
                Err(error) => {
                    filling.refusals().add("invalid", 1, || format!("an exemplar of {}: {error}", series.id));
                }
            }
        }
    }
}
