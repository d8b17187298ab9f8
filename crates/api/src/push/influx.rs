//! InfluxDB's write endpoints, versions 1 and 2, and what its clients ask beside: ping, health, `CREATE DATABASE`.
//!
//! `measurement,tag=x field=1` becomes `measurement_field{tag="x"}`, as with VictoriaMetrics; the parameter `db` (or `bucket`) becomes the label
//! `db`. Booleans are 1 and 0; strings cannot be stored and are counted.

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State as Extract};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use wire::influx::{FieldValue, Line, Lines, Precision};

use super::labels::{SeriesLabels, extra_labels};
use super::{Arrival, Filling, Protocol, Received, receive};
use crate::error::{ApiError, json_response};
use crate::params::Params;
use crate::state::State;
use crate::tenancy::Tenant;

/// What clients take for the version of InfluxDB.
const VERSION: &str = "1.8.10";

/// What a request says beside its lines.
#[derive(Debug)]
struct Meaning {
    precision: Precision,
    /// The value of the label `db`; empty for none.
    database: String,
    extra: Vec<(String, String)>,
}

impl Meaning {
    fn of(query: &str) -> Result<Self, ApiError> {
        let params = Params::of_query(query)?;
        let precision = params.get("precision");
        let precision = Precision::from_name(precision).ok_or_else(|| {
            ApiError::invalid_parameter(
                "precision",
                format_args!("{precision:?} is not ns, us, ms, s, m or h"),
            )
        })?;
        let database = [params.get("db"), params.get("bucket")].into_iter().find(|name| !name.is_empty());
        Ok(Self { precision, database: database.unwrap_or("").to_owned(), extra: extra_labels(&params)? })
    }
}

pub(crate) async fn write(
    Extract(state): Extract<Arc<State>>,
    tenant: Result<Tenant, ApiError>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Response {
    let is_second = uri.path().ends_with("/v2/write");
    let written = async {
        let meaning = Meaning::of(uri.query().unwrap_or(""))?;
        let arrival = Arrival::new(Protocol::Influx, tenant?.0);
        receive(&state, arrival, request, move |filling| fill(filling, meaning)).await
    };
    match written.await {
        Ok(received) => answer(received, is_second),
        Err(error) => refuse(&error, is_second),
    }
}

fn answer(received: Received<()>, is_second: bool) -> Response {
    if received.refusals.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    let text = received.refusals.into_text();
    refuse(&ApiError::bad_data(format!("partial write: {}", text.replace('\n', "; "))), is_second)
}

/// In the words of either version.
fn refuse(error: &ApiError, is_second: bool) -> Response {
    let status = error.status();
    let code = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "request too large",
        StatusCode::TOO_MANY_REQUESTS => "too many requests",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        status if status.is_server_error() => "internal error",
        _ => "invalid",
    };
    let message = error.message();
    let body = if is_second { json!({"code": code, "message": message}) } else { json!({"error": message}) };
    let mut response = json_response(status, &body);
    let headers = response.headers_mut();
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

fn fill(filling: &mut Filling<'_>, meaning: Meaning) -> Result<(), ApiError> {
    let body = std::mem::take(&mut filling.body);
    let mut labels = SeriesLabels::new(meaning.extra);
    let mut name = String::new();
    for line in Lines::new(&body) {
        match line {
            Err(error) => filling.refusals().add("malformed", 1, || error.to_string()),
            Ok(line) => {
                labels.begin();
                let added =
                    add_line(filling, &line, meaning.precision, &meaning.database, &mut labels, &mut name);
                if let Err(message) = added {
                    filling.refusals().add("invalid", 1, || format!("line {}: {message}", line.number));
                }
            }
        }
        filling.flush_if_large()?;
    }
    filling.body = body;
    Ok(())
}

/// What is wrong with one field does not spoil the others; what is wrong with the rest of a line does.
fn add_line(
    filling: &mut Filling<'_>,
    line: &Line<'_>,
    precision: Precision,
    database: &str,
    labels: &mut SeriesLabels,
    name: &mut String,
) -> Result<(), String> {
    for tag in line.tags() {
        let (name, value) = tag?;
        labels.add(&name, &value)?;
    }
    if !database.is_empty() {
        labels.add_default("db", database);
    }
    let timestamp_ms = match line.timestamp {
        None => filling.now_ms,
        Some(timestamp) => precision.to_ms(timestamp).ok_or("the timestamp is out of range")?,
    };
    let measurement = line.measurement();
    for field in line.fields() {
        let (field, value) = match field {
            Ok(field) => field,
            Err(message) => {
                filling.refusals().add("invalid", 1, || format!("line {}: {message}", line.number));
                continue;
            }
        };
        let value = match value {
            FieldValue::Number(number) => number,
            FieldValue::Boolean(yes) => f64::from(u8::from(yes)),
            FieldValue::Text => {
                filling.refusals().ignore("string", 1);
                continue;
            }
        };
        name.clear();
        name.push_str(&measurement);
        if !measurement.is_empty() {
            name.push('_');
        }
        name.push_str(&field);
        let series = labels.series(name, filling.batch);
        filling.batch.add_float(series, timestamp_ms, value);
    }
    Ok(())
}

/// `/ping`: who is there?
pub(crate) async fn ping(params: Params) -> Response {
    let mut response = match params.get("verbose") {
        "" | "0" | "false" => StatusCode::NO_CONTENT.into_response(),
        _ => json_response(StatusCode::OK, &json!({"version": VERSION})),
    };
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-influxdb-version"), HeaderValue::from_static(VERSION));
    headers.insert(HeaderName::from_static("x-influxdb-build"), HeaderValue::from_static("Kymo"));
    response
}

/// `/health`, as version 2 answers it.
pub(crate) async fn health(Extract(state): Extract<Arc<State>>) -> Response {
    let (status, word, message) = match state.is_ready() {
        true => (StatusCode::OK, "pass", "ready for writes"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "fail", "starting"),
    };
    let body = json!({"name": "kymo", "message": message, "status": word, "checks": [], "version": VERSION});
    json_response(status, &body)
}

/// `/query`: clients create a database before they write, or look whether it is there. Databases need no creating here.
pub(crate) async fn query(params: Params) -> Response {
    let query = params.get("q").trim().to_ascii_lowercase();
    let result: Value = if query.starts_with("create database")
        || query.starts_with("create retention policy")
    {
        json!({"statement_id": 0})
    } else if query.starts_with("show databases") {
        let database = params.get("db");
        let name = if database.is_empty() { "kymo" } else { database };
        json!({"statement_id": 0, "series": [{"name": "databases", "columns": ["name"], "values": [[name]]}]})
    } else {
        let message = "InfluxQL is not answered here; query with PromQL at /api/v1/query";
        return json_response(StatusCode::BAD_REQUEST, &json!({"error": message}));
    };
    json_response(StatusCode::OK, &json!({"results": [result]}))
}
