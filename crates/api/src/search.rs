//! `/api/v1/search/{metric_names,label_names,label_values}`: names for completion, fuzzy and ranked, as lines of JSON.
//!
//! Answers as Prometheus' search API: batches of results, a line each, then a line that says whether there was more.
//! Map: `rank` how well a name fits.

mod rank;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use http::header;
use model::number::FloatFormat;
use model::{METRIC_NAME, Matcher, Metadata, TenantId};
use stdx::memory::Reservation;
use storage::{LabelRequest, QueryContext};

use crate::body::{Render, streamed};
use crate::error::ApiError;
use crate::json::{write_key, write_number, write_string_html};
use crate::params::{Params, quoted};
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::{blocking, cancel_after};

use rank::Ranking;

/// Prometheus' default of `limit` and of `batch_size`.
const DEFAULT_COUNT: usize = 100;
/// How far back names are looked for if `start` is left out.
const DEFAULT_RANGE_MS: i64 = 3_600_000;
/// Whatever is asked, an answer has no more results.
const RESULTS_MAX: usize = 100_000;
/// Terms of one request; each costs a comparison with every name.
const TERMS_MAX: usize = 32;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    MetricNames { with_metadata: bool },
    LabelNames,
    LabelValues { label: String },
}

impl What {
    fn endpoint(&self) -> &'static str {
        match self {
            Self::MetricNames { .. } => "metric_names",
            Self::LabelNames => "label_names",
            Self::LabelValues { .. } => "label_values",
        }
    }
}

/// In which order results come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Rising,
    Falling,
    Score,
}

/// What is asked, besides what kind of names.
struct Search {
    tenant: TenantId,
    matcher_sets: Vec<Vec<Matcher>>,
    start_ms: i64,
    end_ms: i64,
    ranking: Ranking,
    order: Order,
    include_score: bool,
    limit: usize,
    batch_size: usize,
}

pub(crate) async fn metric_names(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let with_metadata = flag(&params, "include_metadata", false)?;
    answer(&state, tenant, &params, What::MetricNames { with_metadata }).await
}

pub(crate) async fn label_names(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    answer(&state, tenant, &params, What::LabelNames).await
}

pub(crate) async fn label_values(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let label = params.get("label").to_owned();
    if label.is_empty() {
        return Err(ApiError::bad_data("missing required parameter \"label\""));
    }
    answer(&state, tenant, &params, What::LabelValues { label }).await
}

async fn answer(
    state: &Arc<State>,
    tenant: TenantId,
    params: &Params,
    what: What,
) -> Result<Response, ApiError> {
    let search = Search::new(state, tenant, params, &what)?;
    let cancel = cancel_after(state, params.timeout()?);
    let context = QueryContext { budget: Arc::clone(&state.deps.budget), cancel: cancel.clone() };
    let work = {
        let state = Arc::clone(state);
        move || search.run(&state, &what, &context)
    };
    let lines = blocking(state, cancel, work).await??;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson; charset=utf-8")], streamed(lines)).into_response())
}

impl Search {
    fn new(state: &State, tenant: TenantId, params: &Params, what: &What) -> Result<Self, ApiError> {
        let now_ms = state.deps.clock.now_ms();
        let end_ms = params.time_or("end", now_ms)?;
        let start_ms = params.time_or("start", now_ms - DEFAULT_RANGE_MS)?;
        let matcher_sets = params.matcher_sets().map_err(ApiError::bad_data)?;
        let terms: Vec<&str> = params.all("search[]").collect();
        if terms.len() > TERMS_MAX {
            return Err(ApiError::bad_data(format!("more than {TERMS_MAX} search[] parameters")));
        }
        let threshold = match params.get("fuzz_threshold") {
            "" => 0,
            text => text.parse::<u8>().ok().filter(|percent| *percent <= 100).ok_or_else(|| {
                ApiError::bad_data(format!("invalid fuzz_threshold {}: must be 0-100", quoted(text)))
            })?,
        };
        let case_sensitive = flag(params, "case_sensitive", true)?;
        let threshold = f64::from(threshold) / 100.0;
        let ranking = match params.get("fuzz_alg") {
            "" | "subsequence" => Ranking::subsequence(&terms, threshold, case_sensitive),
            "jarowinkler" => Ranking::jaro_winkler(&terms, threshold, case_sensitive),
            other => {
                let fault = "must be one of [subsequence jarowinkler]";
                return Err(ApiError::bad_data(format!("unsupported fuzz_alg {}: {fault}", quoted(other))));
            }
        };
        let include_score = flag(params, "include_score", false)?;
        let order = order(params, what, !terms.is_empty())?;
        let limit = count(params, "limit")?.min(RESULTS_MAX);
        let batch_size = count(params, "batch_size")?;
        Ok(Self { tenant, matcher_sets, start_ms, end_ms, ranking, order, include_score, limit, batch_size })
    }

    fn run(&self, state: &State, what: &What, context: &QueryContext) -> Result<Lines, ApiError> {
        let querier = &state.backends()?.querier;
        let (start_ms, end_ms) = (self.start_ms, self.end_ms);
        // All names: only their rank says which are wanted, unless it is that of the alphabet.
        let first = self.order == Order::Rising && self.ranking.takes_all();
        let limit = if first { self.limit.saturating_add(1) } else { 0 };
        let request = LabelRequest { matcher_sets: &self.matcher_sets, start_ms, end_ms, limit };
        let names = match what {
            What::MetricNames { .. } => querier.label_values(&self.tenant, METRIC_NAME, &request, context)?,
            What::LabelNames => querier.label_names(&self.tenant, &request, context)?,
            What::LabelValues { label } => querier.label_values(&self.tenant, label, &request, context)?,
        };
        let bytes: usize = names.iter().map(|name| name.capacity() + size_of::<Found>()).sum();
        let held = context.budget.reserve(bytes as u64).map_err(storage::Error::from)?;
        let mut found = Vec::new();
        for (at, name) in names.into_iter().enumerate() {
            if at.is_multiple_of(1_024) {
                context.cancel.check().map_err(storage::Error::from)?;
            }
            if let Some(score) = self.ranking.score(&name) {
                found.push(Found { name, score });
            }
        }
        let has_more = self.sort(&mut found);
        let metadata = match what {
            What::MetricNames { with_metadata: true } => querier.metadata(&self.tenant, None)?,
            _ => BTreeMap::new(),
        };
        Ok(Lines {
            found: found.into_iter(),
            metadata,
            include_score: self.include_score,
            batch_size: self.batch_size,
            has_more,
            state: Progress::Nothing,
            _held: held,
        })
    }

    /// Brings results into their order and cuts them; says whether some were cut.
    fn sort(&self, found: &mut Vec<Found>) -> bool {
        match self.order {
            // Storage answers in this order.
            Order::Rising => {}
            Order::Falling => found.reverse(),
            Order::Score => found.sort_by(|a, b| {
                b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal).then_with(|| a.name.cmp(&b.name))
            }),
        }
        let has_more = found.len() > self.limit;
        found.truncate(self.limit);
        has_more
    }
}

fn order(params: &Params, what: &What, has_terms: bool) -> Result<Order, ApiError> {
    let (by, direction) = (params.get("sort_by"), params.get("sort_dir"));
    if !direction.is_empty() && by.is_empty() {
        return Err(ApiError::bad_data("sort_dir is only valid when sort_by is set"));
    }
    if !direction.is_empty() && by == "score" {
        return Err(ApiError::bad_data("sort_dir is not supported for sort_by=score"));
    }
    if !["", "asc", "dsc"].contains(&direction) {
        let fault = "must be \"asc\" or \"dsc\"";
        return Err(ApiError::bad_data(format!("invalid sort_dir {}: {fault}", quoted(direction))));
    }
    match by {
        "score" if !has_terms => Err(ApiError::bad_data("sort_by=score requires search[] to be set")),
        "score" => Ok(Order::Score),
        "" | "alpha" if direction == "dsc" => Ok(Order::Falling),
        "" | "alpha" => Ok(Order::Rising),
        other => Err(ApiError::bad_data(format!(
            "invalid sort_by {} for {}: must be \"alpha\" or \"score\"",
            quoted(other),
            what.endpoint()
        ))),
    }
}

/// A number of results; 0 and none mean Prometheus' default.
fn count(params: &Params, name: &str) -> Result<usize, ApiError> {
    match params.get(name) {
        "" => Ok(DEFAULT_COUNT),
        text => match text.parse::<usize>() {
            Ok(0) => Ok(DEFAULT_COUNT),
            Ok(count) => Ok(count),
            Err(_) => Err(ApiError::bad_data(format!(
                "invalid {name} {}: must be non-negative integer",
                quoted(text)
            ))),
        },
    }
}

/// As Go's `strconv.ParseBool` reads it.
fn flag(params: &Params, name: &str, default: bool) -> Result<bool, ApiError> {
    match params.get(name) {
        "" => Ok(default),
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        text => Err(ApiError::bad_data(format!("invalid {name} {}: must be boolean", quoted(text)))),
    }
}

/// A name that fits.
struct Found {
    name: String,
    score: f64,
}

/// The answer, line by line.
struct Lines {
    found: std::vec::IntoIter<Found>,
    metadata: BTreeMap<String, Vec<Metadata>>,
    include_score: bool,
    batch_size: usize,
    has_more: bool,
    state: Progress,
    _held: Reservation,
}

/// What has been written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Nothing,
    /// So many results of a batch that is not ended.
    Batch(usize),
    /// Batches, ended.
    Batches,
}

impl Render for Lines {
    fn render(&mut self, out: &mut Vec<u8>) -> bool {
        let written = match self.state {
            Progress::Batch(written) => written,
            _ => 0,
        };
        if let Some(found) = self.found.next() {
            out.extend_from_slice(if written == 0 { b"{\"results\":[" } else { b"," });
            self.write(out, &found);
            self.state = Progress::Batch(written + 1);
            if written + 1 == self.batch_size {
                out.extend_from_slice(b"]}\n");
                self.state = Progress::Batches;
            }
            return true;
        }
        match self.state {
            Progress::Nothing => out.extend_from_slice(b"{\"results\":[]}\n"),
            Progress::Batch(_) => out.extend_from_slice(b"]}\n"),
            Progress::Batches => {}
        }
        out.extend_from_slice(b"{\"status\":\"success\",\"has_more\":");
        out.extend_from_slice(if self.has_more { b"true}\n" } else { b"false}\n" });
        false
    }
}

impl Lines {
    fn write(&self, out: &mut Vec<u8>, found: &Found) {
        out.push(b'{');
        write_key(out, "name");
        write_string_html(out, &found.name);
        if self.include_score {
            write_key(out, "score");
            write_number(out, found.score, FloatFormat::Json);
        }
        for (key, value) in self.metadata_of(&found.name) {
            if !value.is_empty() {
                write_key(out, key);
                write_string_html(out, value);
            }
        }
        out.push(b'}');
    }

    /// What is known of the family that a metric belongs to.
    fn metadata_of(&self, metric: &str) -> impl Iterator<Item = (&'static str, &str)> {
        const SUFFIXES: [&str; 6] = ["", "_total", "_count", "_sum", "_bucket", "_info"];
        let family = SUFFIXES.iter().filter_map(|suffix| metric.strip_suffix(suffix));
        let known = family.filter_map(|family| self.metadata.get(family)?.first()).next();
        known.into_iter().flat_map(|known| {
            [
                ("type", known.metric_type.as_str()),
                ("help", known.help.as_str()),
                ("unit", known.unit.as_str()),
            ]
        })
    }
}

#[cfg(test)]
mod tests;
