//! `/federate`: the newest sample of each selected series, as exposition text for another Prometheus.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use model::labels::{is_legacy_label_name, is_legacy_metric_name};
use model::{FloatHistogram, Labels, METRIC_NAME, Matcher, MetricType, TenantId, is_stale};
use stdx::memory::Reservation;
use storage::{QueryContext, SelectHints, SelectRequest, SeriesSamples};
use wire::text_writer::{Family, TextFormat, TextWriter};

use crate::body::{Render, streamed};
use crate::error::ApiError;
use crate::params::{Params, parse_matcher_sets};
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::{blocking, cancel_after};

const INSTANCE: &str = "instance";

enum Value {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

struct Sample {
    labels: Labels,
    timestamp_ms: i64,
    value: Value,
}

/// As plain text even where it fails: the client is a scraper.
pub(crate) async fn federate(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    params: Params,
) -> Response {
    answer(&state, tenant, &headers, &params).await.unwrap_or_else(ApiError::into_text)
}

async fn answer(
    state: &Arc<State>,
    tenant: TenantId,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Response, ApiError> {
    state.backends()?;
    let mut matcher_sets = Vec::new();
    for text in params.all("match[]") {
        matcher_sets.extend(parse_matcher_sets(text).map_err(ApiError::bad_data)?);
    }
    let cancel = cancel_after(state, None);
    let context = QueryContext { budget: Arc::clone(&state.deps.budget), cancel: cancel.clone() };
    let work = {
        let state = Arc::clone(state);
        move || {
            let found = newest_samples(&state, &tenant, &matcher_sets, &context)?;
            Ok::<_, ApiError>((found, state.deps.status.external_labels()))
        }
    };
    let ((samples, held), external) = blocking(state, cancel, work).await??;
    let dialect = Dialect::negotiate(headers);
    let text = Text {
        samples: samples.into_iter(),
        external: with_instance(&external),
        keeps_utf8: dialect.keeps_utf8,
        family: None,
        text: String::new(),
        _held: held,
    };
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(dialect.content_type()))], streamed(text))
        .into_response())
}

/// What the client understands.
struct Dialect {
    keeps_utf8: bool,
    is_version_1: bool,
}

impl Dialect {
    fn negotiate(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
        let accept: String = accept.chars().filter(|c| *c != ' ').collect();
        let mut clauses = accept.split(',').filter(|clause| clause.starts_with("text/plain"));
        Self {
            keeps_utf8: accept.contains("escaping=allow-utf-8"),
            is_version_1: clauses.next().is_some_and(|clause| clause.contains("version=1.0.0")),
        }
    }

    fn content_type(&self) -> &'static str {
        match (self.is_version_1, self.keeps_utf8) {
            (false, false) => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            (false, true) => "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8",
            (true, false) => "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
            (true, true) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        }
    }
}

/// By metric name, then labels. Series whose newest sample is a staleness marker are left out: the text formats
/// cannot say it.
fn newest_samples(
    state: &State,
    tenant: &TenantId,
    matcher_sets: &[Vec<Matcher>],
    context: &QueryContext,
) -> Result<(Vec<Sample>, Reservation), ApiError> {
    let querier = &state.backends()?.querier;
    let now_ms = state.deps.clock.now_ms();
    let start_ms = now_ms.saturating_sub(state.settings.lookback_ms);
    let mut held = context.budget.reserve_none();
    let mut found = Vec::new();
    let mut samples = SeriesSamples::default();
    for matchers in matcher_sets {
        let hints = SelectHints { latest_only: true, ..SelectHints::default() };
        let request = SelectRequest { matchers, start_ms, end_ms: now_ms, hints };
        let set = querier.select(tenant, &request, context)?;
        held.grow((set.len() * size_of::<Sample>()) as u64).map_err(storage::Error::from)?;
        for at in 0..set.len() {
            context.cancel.check().map_err(storage::Error::from)?;
            set.read(at, &mut samples)?;
            if let Some((timestamp_ms, value)) = newest(&samples) {
                found.push(Sample { labels: set.labels(at).clone(), timestamp_ms, value });
            }
        }
    }
    found.retain(|sample| sample.labels.get(METRIC_NAME).is_some());
    found.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
    found.dedup_by(|a, b| a.labels == b.labels);
    found.sort_by(|a, b| a.labels.metric_name().cmp(b.labels.metric_name()));
    Ok((found, held))
}

fn newest(samples: &SeriesSamples) -> Option<(i64, Value)> {
    let float = samples.floats.timestamps_ms.last().zip(samples.floats.values.last());
    let histogram = samples.histograms.timestamps_ms.last().zip(samples.histograms.values.last());
    match (float, histogram) {
        (Some((float_ms, value)), other) if other.is_none_or(|(ms, _)| ms < float_ms) => {
            (!is_stale(*value)).then_some((*float_ms, Value::Float(*value)))
        }
        (_, Some((ms, histogram))) => {
            (!is_stale(histogram.sum)).then(|| (*ms, Value::Histogram(Arc::clone(histogram))))
        }
        _ => None,
    }
}

/// External labels as federation adds them: an empty `instance` keeps the scraping Prometheus from putting its
/// own in its place.
fn with_instance(external: &Labels) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> =
        external.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if external.get(INSTANCE).is_none() {
        pairs.push((INSTANCE.to_owned(), String::new()));
        pairs.sort_unstable();
    }
    pairs
}

/// The text, written while it is sent.
struct Text {
    samples: std::vec::IntoIter<Sample>,
    external: Vec<(String, String)>,
    keeps_utf8: bool,
    /// Name of the family that is open, and whether it is one of histograms.
    family: Option<(String, bool)>,
    text: String,
    /// Given back with the samples.
    _held: Reservation,
}

impl Render for Text {
    fn render(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(sample) = self.samples.next() else { return false };
        self.text.clear();
        self.write(&sample);
        out.extend_from_slice(self.text.as_bytes());
        true
    }
}

impl Text {
    fn write(&mut self, sample: &Sample) {
        let name = self.metric_name(sample.labels.metric_name());
        let is_histogram = matches!(sample.value, Value::Histogram(_));
        let mut writer = TextWriter::new(&mut self.text, TextFormat::Prometheus);
        if self.family.as_ref().is_none_or(|(open, kind)| *open != name || *kind != is_histogram) {
            let metric_type = if is_histogram { MetricType::Histogram } else { MetricType::Unknown };
            writer.family(Family { name: &name, metric_type, ..Family::default() });
            self.family = Some((name.clone(), is_histogram));
        }
        let own = sample.labels.iter().filter(|(name, _)| *name != METRIC_NAME);
        let added = self.external.iter().filter(|(name, _)| sample.labels.get(name).is_none());
        let labels: Vec<(String, &str)> = own
            .chain(added.map(|(name, value)| (name.as_str(), value.as_str())))
            .map(|(name, value)| (label_name(self.keeps_utf8, name), value))
            .collect();
        let labels = || labels.iter().map(|(name, value)| (name.as_str(), *value));
        let at = Some(sample.timestamp_ms);
        match &sample.value {
            Value::Float(value) => writer.sample(&name, labels(), *value, at),
            // The text formats have no native histograms; what they can say is the sum and the count.
            Value::Histogram(histogram) => {
                writer.sample(
                    &format!("{name}_bucket"),
                    labels().chain([("le", "+Inf")]),
                    histogram.count,
                    at,
                );
                writer.sample(&format!("{name}_sum"), labels(), histogram.sum, at);
                writer.sample(&format!("{name}_count"), labels(), histogram.count, at);
            }
        }
    }

    fn metric_name(&self, name: &str) -> String {
        if self.keeps_utf8 || is_legacy_metric_name(name) { name.to_owned() } else { underscored(name, true) }
    }
}

fn label_name(keeps_utf8: bool, name: &str) -> String {
    if keeps_utf8 || is_legacy_label_name(name) { name.to_owned() } else { underscored(name, false) }
}

/// Every character that old clients do not know becomes `_`.
fn underscored(name: &str, colons: bool) -> String {
    let allowed = |at: usize, c: char| {
        c.is_ascii_alphabetic() || c == '_' || (colons && c == ':') || (at > 0 && c.is_ascii_digit())
    };
    name.chars().enumerate().map(|(at, c)| if allowed(at, c) { c } else { '_' }).collect()
}
