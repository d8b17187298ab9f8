//! `/api/v1/export`, `/export/csv` and `/export/native`: all samples of some series, in forms that `/api/v1/import…` takes; the first two in VictoriaMetrics, too.
//!
//! The answer is made while it is sent, series by series, so that neither its length nor a slow client takes memory. If something fails on the way,
//! the connection breaks off, so that nobody takes what there is for all there is.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use jiff::Timestamp;
use model::number::FloatFormat;
use model::{Labels, METRIC_NAME, Matcher, TenantId, UNKNOWN_START_MS, is_stale};
use stdx::cancel::Cancel;
use storage::{QueryContext, SelectHints, SelectRequest, SeriesSamples, StartColumn};
use tokio::sync::mpsc;
use wire::json_lines::histogram;

use crate::body::received;
use crate::error::{ApiError, ErrorType};
use crate::json::{write_int, write_labels, write_number};
use crate::native_export::Everything;
use crate::params::{MAX_TIME_MS, MIN_TIME_MS, Params};
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::blocking;

/// Samples of a line, so that whoever reads it needs little memory.
const LINE_SAMPLES_MAX: usize = 10_000;
/// Pieces that wait for the client to take them.
const PIECES_WAITING_MAX: usize = 2;
/// A piece is handed on when it is this large.
const PIECE_BYTES: usize = 256 << 10;
/// Memory of an answer: pieces that wait, the one in hand, and one series of 100,000 samples.
const ANSWER_BYTES: u64 = (PIECES_WAITING_MAX as u64 + 2) * (2 << 20);
/// An export may be all there is.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

pub(crate) async fn json_lines(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let line_samples = match params.get("max_rows_per_line") {
        "" | "0" => LINE_SAMPLES_MAX,
        text => {
            text.parse().map_err(|_| ApiError::invalid_parameter("max_rows_per_line", "write a number"))?
        }
    };
    let line_samples = line_samples.clamp(1, LINE_SAMPLES_MAX);
    answer(&state, tenant, &params, Form::Lines { line_samples }, "application/stream+json; charset=utf-8")
        .await
}

pub(crate) async fn csv(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let columns = params.get("format").split(',').filter(|text| !text.is_empty()).map(Column::parse);
    let columns: Vec<Column> =
        columns.collect::<Result<_, String>>().map_err(|e| ApiError::invalid_parameter("format", e))?;
    if columns.is_empty() {
        let example = "name the columns, such as format=__name__,job,__value__,__timestamp__:unix_ms";
        return Err(ApiError::invalid_parameter("format", example));
    }
    answer(&state, tenant, &params, Form::Csv(columns), "text/csv; charset=utf-8").await
}

pub(crate) async fn native(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    answer(&state, tenant, &params, Form::Native, wire::native::CONTENT_TYPE).await
}

/// How samples are written.
enum Form {
    Native,
    Lines { line_samples: usize },
    Csv(Vec<Column>),
}

/// A column of a table.
#[derive(Debug, PartialEq)]
enum Column {
    Value,
    Time(TimeUnit),
    Label(String),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum TimeUnit {
    Seconds,
    Milliseconds,
    Nanoseconds,
    Rfc3339,
}

impl Column {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "__value__" {
            return Ok(Self::Value);
        }
        let Some(unit) = text.strip_prefix("__timestamp__") else { return Ok(Self::Label(text.to_owned())) };
        match unit {
            "" | ":unix_ms" => Ok(Self::Time(TimeUnit::Milliseconds)),
            ":unix_s" => Ok(Self::Time(TimeUnit::Seconds)),
            ":unix_ns" => Ok(Self::Time(TimeUnit::Nanoseconds)),
            ":rfc3339" => Ok(Self::Time(TimeUnit::Rfc3339)),
            other => Err(format!("{other:?} is not :unix_s, :unix_ms, :unix_ns or :rfc3339")),
        }
    }
}

async fn answer(
    state: &Arc<State>,
    tenant: TenantId,
    params: &Params,
    form: Form,
    content_type: &'static str,
) -> Result<Response, ApiError> {
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let matcher_sets = params.matcher_sets().map_err(|e| ApiError::invalid_parameter("match[]", e))?;
    let (start_ms, end_ms) = (params.time_or("start", MIN_TIME_MS)?, params.time_or("end", MAX_TIME_MS)?);
    let slots = Arc::clone(&state.read_slots);
    let slot = slots.acquire_owned().await.map_err(|_| ApiError::new(ErrorType::Unavailable, "stopping"))?;
    let cancel = Cancel::after(TIMEOUT);
    let context = QueryContext { budget: Arc::clone(&state.deps.budget), cancel: cancel.clone() };
    let export = Export { state: Arc::clone(state), tenant, context, matcher_sets, start_ms, end_ms, form };
    // What is wrong with the first selection is told with a status of its own.
    let checking = move || {
        export.select(0)?;
        let held = export.context.budget.reserve(ANSWER_BYTES).map_err(storage::Error::from)?;
        Ok::<_, ApiError>((export, held))
    };
    let (export, held) = blocking(state, Cancel::never(), checking).await??;
    let (pieces, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    // Not awaited: it ends with the last piece, or when nobody takes them any more.
    drop(tokio::task::spawn_blocking(move || {
        if let Err(error) = export.stream(&pieces) {
            tracing::warn!(error, "an export ends early");
            // If the client has gone as well, nobody is left to tell.
            drop(pieces.blocking_send(Err(error)));
        }
        drop((held, slot));
    }));
    Ok(([(header::CONTENT_TYPE, content_type)], received(receiver, cancel)).into_response())
}

struct Export {
    state: Arc<State>,
    tenant: TenantId,
    context: QueryContext,
    matcher_sets: Vec<Vec<Matcher>>,
    start_ms: i64,
    end_ms: i64,
    form: Form,
}

impl Export {
    fn select(&self, number: usize) -> Result<Box<dyn storage::SeriesSet>, ApiError> {
        let request = SelectRequest {
            matchers: &self.matcher_sets[number],
            start_ms: self.start_ms,
            end_ms: self.end_ms,
            hints: SelectHints::default(),
        };
        Ok(self.state.backends()?.querier.select(&self.tenant, &request, &self.context)?)
    }

    /// Sends everything, or until nobody takes it any more.
    fn stream(&self, pieces: &mpsc::Sender<Result<Bytes, String>>) -> Result<(), String> {
        let (mut samples, mut out) = (SeriesSamples::default(), Vec::new());
        let mut everything = matches!(self.form, Form::Native).then(Everything::new);
        for number in 0..self.matcher_sets.len() {
            let set = self.select(number).map_err(|error| error.message().to_owned())?;
            for at in 0..set.len() {
                self.context.cancel.check().map_err(|_| "stopped".to_owned())?;
                let labels = set.labels(at);
                let earlier = &self.matcher_sets[..number];
                if earlier.iter().any(|matchers| model::matcher::matches_all(matchers, labels)) {
                    continue;
                }
                set.read(at, &mut samples).map_err(|error| error.to_string())?;
                match &self.form {
                    Form::Native => {
                        let everything = everything.get_or_insert_with(Everything::new);
                        everything.add(labels, &samples);
                        if everything.ready_bytes() >= PIECE_BYTES {
                            out = everything.take();
                        }
                    }
                    Form::Lines { line_samples } => write_lines(&mut out, labels, &samples, *line_samples),
                    Form::Csv(columns) => write_rows(&mut out, labels, &samples, columns),
                }
                if out.len() >= PIECE_BYTES && !send(pieces, &mut out) {
                    return Ok(());
                }
            }
        }
        if let Some(everything) = everything {
            let backends = self.state.backends().map_err(|error| error.message().to_owned())?;
            let range_ms = (self.start_ms, self.end_ms);
            out = everything
                .finish(&*backends.querier, &self.tenant, &self.matcher_sets, range_ms)
                .map_err(|error| error.to_string())?;
        }
        send(pieces, &mut out);
        Ok(())
    }
}

/// Whether somebody took it.
fn send(pieces: &mpsc::Sender<Result<Bytes, String>>, out: &mut Vec<u8>) -> bool {
    out.is_empty() || pieces.blocking_send(Ok(Bytes::from(std::mem::take(out)))).is_ok()
}

fn write_list<T>(out: &mut Vec<u8>, key: &str, items: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":[");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn begin_line(out: &mut Vec<u8>, labels: &Labels) {
    out.extend_from_slice(b"{\"metric\":");
    write_labels(out, labels);
}

fn write_lines(out: &mut Vec<u8>, labels: &Labels, samples: &SeriesSamples, line_samples: usize) {
    let floats = &samples.floats;
    let pairs = floats.timestamps_ms.chunks(line_samples).zip(floats.values.chunks(line_samples));
    for (number, (times, values)) in pairs.enumerate() {
        begin_line(out, labels);
        write_list(out, "values", values, |out, value| write_json_value(out, *value));
        write_list(out, "timestamps", times, |out, time| write_int(out, *time));
        write_starts(out, "startTimestamps", &floats.starts, number * line_samples, times.len());
        out.extend_from_slice(b"}\n");
    }
    let histograms = &samples.histograms;
    let pairs = histograms.timestamps_ms.chunks(line_samples).zip(histograms.values.chunks(line_samples));
    for (number, (times, values)) in pairs.enumerate() {
        begin_line(out, labels);
        write_list(out, "histogramTimestamps", times, |out, time| write_int(out, *time));
        write_list(out, "histograms", values, |out, value| {
            out.extend_from_slice(histogram::write(value).to_string().as_bytes());
        });
        let from = number * line_samples;
        write_starts(out, "histogramStartTimestamps", &histograms.starts, from, times.len());
        out.extend_from_slice(b"}\n");
    }
}

/// When the samples from a place on began to count, 0 for those of which nobody knows; nothing where nobody knows of any.
fn write_starts(out: &mut Vec<u8>, key: &str, starts: &StartColumn, from: usize, count: usize) {
    let known = starts.slice(from, from + count);
    if known.iter().all(|start_ms| *start_ms == UNKNOWN_START_MS) {
        return;
    }
    let all: Vec<i64> = (from..from + count).map(|at| starts.get(at)).collect();
    write_list(out, key, &all, |out, start_ms| write_int(out, *start_ms));
}

/// A number where JSON has one that every reader takes for the same; a text for the others.
fn write_json_value(out: &mut Vec<u8>, value: f64) {
    if is_stale(value) {
        out.extend_from_slice(b"\"stale\"");
    } else if value.is_nan() {
        out.extend_from_slice(b"null");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    } else {
        let start = out.len();
        write_number(out, value, FloatFormat::Json);
        // Readers that take the digits for one number and the exponent for another round twice; not so with few digits.
        let is_read_alike =
            serde_json::from_slice::<f64>(&out[start..]).is_ok_and(|read| read.to_bits() == value.to_bits());
        if !is_read_alike {
            out.insert(start, b'"');
            out.push(b'"');
        }
    }
}

/// Floats only: a table has no room for histograms. Staleness markers are left out.
fn write_rows(out: &mut Vec<u8>, labels: &Labels, samples: &SeriesSamples, columns: &[Column]) {
    let floats = &samples.floats;
    for (timestamp_ms, value) in floats.timestamps_ms.iter().zip(&floats.values) {
        if is_stale(*value) {
            continue;
        }
        for (at, column) in columns.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            match column {
                Column::Value => write_number(out, *value, FloatFormat::Json),
                Column::Label(name) if name == METRIC_NAME => write_field(out, labels.metric_name()),
                Column::Label(name) => write_field(out, labels.get(name).unwrap_or("")),
                Column::Time(unit) => write_time(out, *timestamp_ms, *unit),
            }
        }
        out.push(b'\n');
    }
}

fn write_time(out: &mut Vec<u8>, timestamp_ms: i64, unit: TimeUnit) {
    match unit {
        TimeUnit::Seconds => write_int(out, timestamp_ms.div_euclid(1_000)),
        TimeUnit::Milliseconds => write_int(out, timestamp_ms),
        TimeUnit::Nanoseconds => {
            out.extend_from_slice((i128::from(timestamp_ms) * 1_000_000).to_string().as_bytes());
        }
        TimeUnit::Rfc3339 => match Timestamp::from_millisecond(timestamp_ms) {
            Ok(time) => out.extend_from_slice(time.to_string().as_bytes()),
            // Years beyond 9999 have no such text.
            Err(_) => write_int(out, timestamp_ms),
        },
    }
}

/// In quotes if it must be.
fn write_field(out: &mut Vec<u8>, text: &str) {
    if !text.contains([',', '"', '\n', '\r']) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_written_so_that_it_is_read_as_the_same() {
        let values = [
            0.1 + 0.2,
            1e21,
            -0.0,
            5e-324,
            1.797e308,
            f64::INFINITY,
            f64::NEG_INFINITY,
            model::STALE_NAN,
            12.0,
        ];
        let mut samples = SeriesSamples::default();
        for (at, value) in (0..).zip(values) {
            samples.floats.push_since(at, value, model::UNKNOWN_START_MS);
        }
        let labels = Labels::from_pairs([("__name__", "a"), ("x", "ü\"\n")]);
        let mut out = Vec::new();
        write_lines(&mut out, &labels, &samples, 4);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 3);
        let (mut bits, mut seen) = (Vec::new(), Vec::new());
        wire::json_lines::read(&out, |_, line| {
            let line = line.expect("sound");
            bits.extend(line.samples().map(|(_, value, _)| value.to_bits()));
            seen = line.labels().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            true
        });
        assert_eq!(bits, values.map(f64::to_bits));
        assert_eq!(Labels::from_pairs(seen), labels);
    }

    #[test]
    fn rows_are_what_the_format_says() {
        let mut samples = SeriesSamples::default();
        samples.floats.push_since(1_700_000_000_500, 1.5, model::UNKNOWN_START_MS);
        samples.floats.push_since(1_700_000_001_500, model::STALE_NAN, model::UNKNOWN_START_MS);
        let labels = Labels::from_pairs([("__name__", "a"), ("x", "1,\"2\"")]);
        let format =
            "__name__,x,none,__value__,__timestamp__:unix_s,__timestamp__:rfc3339,__timestamp__:unix_ns";
        let columns: Vec<Column> =
            format.split(',').map(|text| Column::parse(text).expect("sound")).collect();
        let mut out = Vec::new();
        write_rows(&mut out, &labels, &samples, &columns);
        let want = "a,\"1,\"\"2\"\"\",,1.5,1700000000,2023-11-14T22:13:20.5Z,1700000000500000000\n";
        assert_eq!(String::from_utf8_lossy(&out), want);
        assert!(Column::parse("__timestamp__:x").is_err());
    }
}
