//! Data points into samples: which series a point belongs to, and what it says.
//!
//! Map: this file labels, numbers and `target_info` · [`histogram`] histograms and summaries · [`settings`] how.
//!
//! As Prometheus does it: `service.namespace` and `service.name` become `job`, `service.instance.id` becomes `instance`, all other
//! attributes of the resource go into one series `target_info`, to be joined in queries, unless they are promoted.

mod histogram;
mod settings;

use std::fmt::Display;

use model::labels::{LEN_MAX, LabelsBuilder};
use model::{
    Exemplar, FloatHistogram, Labels, METRIC_NAME, Metadata, MetricType, STALE_NAN, UNKNOWN_START_MS,
};

use super::delta::{Accumulators, Span, Total};
use super::naming::{InvalidName, TypeSuffix};
use super::{Attributes, Example, Fault, Kind, Metric, Point, Scope, Temporality, Visitor};

pub use settings::{Promote, Settings};

/// Takes samples. Each series is followed by its samples and exemplars.
pub trait Sink {
    /// Whether the samples of another point may come. If not, it is refused.
    fn has_room(&mut self) -> bool;
    /// Series that follow are of the next data point; or of none that the client sent, which is `target_info`.
    fn begin_point(&mut self, is_clients: bool);
    /// A series begins.
    fn series(&mut self, labels: &LabelsBuilder);
    /// A float sample of it.
    fn float(&mut self, timestamp_ms: i64, value: f64, start_ms: i64);
    /// A native histogram of it, validated.
    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram, start_ms: i64);
    /// An exemplar of it.
    fn exemplar(&mut self, exemplar: Exemplar);
    /// What is known about a metric family.
    fn metadata(&mut self, family: &str, metadata: Metadata);
    /// A data point is left out.
    fn reject(&mut self, metric: &str, reason: &dyn Display);
    /// The totals of deltas, until the samples are stored; and the time it is.
    fn deltas(&mut self) -> (&mut Accumulators, i64);
    /// What stands for a stream of deltas, by its labels in packed form.
    fn stream_key(&mut self, packed: &str) -> u128;
}

const TARGET_INFO: &str = "target_info";
const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_INSTANCE: &str = "service.instance.id";
/// So many samples of `target_info` are made for a resource at most, the newest.
const TARGET_INFO_SAMPLES_MAX: i64 = 1_000;
/// Longest labels of an exemplar in characters, by OpenMetrics.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// A label's name and value.
type Pair = (String, String);

/// Makes samples of what a request holds.
pub struct Converter<'a, S> {
    settings: &'a Settings,
    sink: &'a mut S,
    resource: Resource,
    /// Labels of the scope, if it is promoted.
    scope: Vec<Pair>,
    scope_fault: Option<String>,
    family: Family,
    labels: LabelsBuilder,
    name: String,
    packed: String,
    order: Vec<usize>,
}

#[derive(Default)]
struct Resource {
    /// Promoted attributes: what a point has itself comes first.
    promoted: Vec<Pair>,
    /// `job` and `instance`: these come first.
    identity: Vec<Pair>,
    /// Labels of `target_info` besides those; empty if it would say nothing.
    target: Vec<Pair>,
    fault: Option<String>,
    /// First and last time of any point.
    times_ms: Option<(i64, i64)>,
}

/// The metric at hand.
#[derive(Default)]
struct Family {
    name: String,
    kind: Kind,
    fault: Option<String>,
    type_label: &'static str,
    unit_label: String,
}

impl<'a, S: Sink> Converter<'a, S> {
    /// Gives samples to `sink`.
    pub fn new(settings: &'a Settings, sink: &'a mut S) -> Self {
        Self {
            settings,
            sink,
            resource: Resource::default(),
            scope: Vec::new(),
            scope_fault: None,
            family: Family::default(),
            labels: LabelsBuilder::new(),
            name: String::new(),
            packed: String::new(),
            order: Vec::new(),
        }
    }

    fn promoted(&mut self, attributes: &Attributes<'_>) -> Result<Vec<Pair>, InvalidName> {
        let is_promoted = |key: &str| match &self.settings.promote {
            Promote::Only(keys) => keys.iter().any(|known| known == key),
            Promote::AllBut(keys) => !keys.iter().any(|known| known == key),
        };
        let mut found: Vec<_> = attributes.pairs().iter().filter(|(key, _)| is_promoted(key)).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let mut pairs: Vec<Pair> = Vec::with_capacity(found.len());
        for (key, value) in found {
            self.settings.naming.label_name(key, &mut self.name)?;
            if !pairs.iter().any(|(name, _)| *name == self.name) {
                pairs.push((self.name.clone(), value.to_string()));
            }
        }
        Ok(pairs)
    }

    /// Labels of `target_info` but for `job` and `instance`. What cannot be a label is left out.
    fn target(&mut self, attributes: &Attributes<'_>) -> Vec<Pair> {
        let identifying = [SERVICE_NAME, SERVICE_NAMESPACE, SERVICE_INSTANCE];
        let says_more = attributes.pairs().iter().any(|(key, _)| !identifying.contains(&&**key));
        if !says_more {
            return Vec::new();
        }
        self.labels.clear();
        let keeps_all = self.settings.keep_identifying_resource_attributes;
        let mut found: Vec<_> = attributes
            .pairs()
            .iter()
            .filter(|(key, value)| (keeps_all || !identifying.contains(&&**key)) && value.len() <= LEN_MAX)
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, value) in found {
            if self.settings.naming.label_name(key, &mut self.name).is_ok() && self.name.len() <= LEN_MAX {
                set_or_join(&mut self.labels, &self.name, value);
            }
        }
        self.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The labels of a point's series but for the name.
    fn set_labels(&mut self, attributes: &Attributes<'_>) -> Result<(), String> {
        let told = |fault: &Fault| fault.to_string();
        if let Some(fault) = attributes.fault() {
            return Err(told(fault));
        }
        let pairs = attributes.pairs();
        let Self { settings, labels, name, order, .. } = self;
        labels.clear();
        order.clear();
        order.extend(0..pairs.len());
        if !pairs.is_sorted_by(|a, b| a.0 <= b.0) {
            order.sort_by(|a, b| pairs[*a].0.cmp(&pairs[*b].0));
        }
        for at in &*order {
            let (key, value) = &pairs[*at];
            settings.naming.label_name(key, name).map_err(|error| error.to_string())?;
            let longest = name.len().max(value.len());
            if longest > LEN_MAX {
                return Err(format!("a label name or value of {longest} bytes is too long"));
            }
            set_or_join(labels, name, value);
        }
        for (name, value) in &self.resource.promoted {
            if labels.get(name).is_none() {
                labels.set(name, value);
            }
        }
        for (name, value) in self.scope.iter().chain(&self.resource.identity) {
            labels.set(name, value);
        }
        if settings.type_and_unit_labels {
            labels.set("__type__", self.family.type_label).set("__unit__", &self.family.unit_label);
        }
        Ok(())
    }

    /// Begins a series of the family: `suffix` is `_bucket` or the like.
    fn series(&mut self, suffix: &str) {
        self.set_name(suffix);
        self.sink.series(&self.labels);
    }

    fn set_name(&mut self, suffix: &str) {
        self.name.clear();
        self.name.push_str(&self.family.name);
        self.name.push_str(suffix);
        self.labels.set(METRIC_NAME, &self.name);
    }

    fn try_point(&mut self, point: &Point<'_>) -> Result<(), String> {
        let family_fault = self.family.fault.as_ref().or(self.resource.fault.as_ref());
        if let Some(fault) = family_fault.or(self.scope_fault.as_ref()) {
            return Err(fault.clone());
        }
        if let Some(fault) = &point.fault {
            return Err(fault.to_string());
        }
        if !self.sink.has_room() {
            return Err("the request makes too many samples: send smaller batches".to_owned());
        }
        self.set_labels(&point.attributes)?;
        self.sink.begin_point(true);
        match self.family.kind {
            Kind::Unknown => Ok(()),
            Kind::Gauge => self.number(point, None),
            Kind::Sum { temporality, monotonic } => self.number(point, Some((temporality, monotonic))),
            Kind::Histogram(temporality) => self.explicit(point, temporality),
            Kind::Exponential(temporality) => self.exponential(point, temporality),
            Kind::Summary => {
                self.summary(point);
                Ok(())
            }
        }
    }

    fn number(&mut self, point: &Point<'_>, sum: Option<(Temporality, bool)>) -> Result<(), String> {
        let times = Times::of(point);
        let value = match point.number {
            _ if point.has_no_value() => STALE_NAN,
            Some(value) => value,
            None => return Err("the data point has no value".to_owned()),
        };
        match sum {
            Some((Temporality::Unspecified, _)) => return Err(NO_TEMPORALITY.to_owned()),
            Some((Temporality::Delta, monotonic)) if self.adds_up(point) => {
                let Some((start_ms, is_first, Total::Number(total))) =
                    self.add_delta(point, Total::Number(value))?
                else {
                    return Ok(());
                };
                self.series("");
                if let Some(zero_ms) = times.zero_ms(start_ms).filter(|_| is_first && monotonic) {
                    self.sink.float(zero_ms, 0.0, start_ms);
                }
                self.sink.float(times.end_ms, total, start_ms);
            }
            Some(_) => {
                self.series("");
                self.sink.float(times.end_ms, value, times.start_ms);
            }
            // A gauge does not count from anywhere.
            None => {
                self.series("");
                self.sink.float(times.end_ms, value, UNKNOWN_START_MS);
            }
        }
        point.exemplars.iter().for_each(|example| self.exemplar(example, times.end_ms));
        Ok(())
    }

    /// Whether a delta is to be added to its total.
    fn adds_up(&self, point: &Point<'_>) -> bool {
        !self.settings.native_delta_ingestion && !point.has_no_value()
    }

    /// Start and total after a delta, and whether counting began with it; `None` if it was counted already.
    fn add_delta(&mut self, point: &Point<'_>, delta: Total) -> Result<Option<(i64, bool, Total)>, String> {
        self.set_name("");
        self.packed.clear();
        self.labels.pack_into(&mut self.packed);
        let key = self.sink.stream_key(&self.packed);
        let span = Span { start_ns: point.start_ns, end_ns: point.time_ns };
        let (deltas, now_ms) = self.sink.deltas();
        let added = deltas.add(key, span, delta, now_ms).map_err(|fault| fault.to_string())?;
        Ok(added.map(|added| (ms_of(added.start_ns), added.is_first, added.total.clone())))
    }

    fn exemplar(&mut self, example: &Example<'_>, end_ms: i64) {
        // One without a value, or with broken attributes, is no example of anything.
        let (Some(value), None) = (example.value, example.attributes.fault()) else { return };
        let ids = [("trace_id", example.trace_id.as_str()), ("span_id", example.span_id.as_str())];
        let ids = || ids.into_iter().filter(|(_, id)| !id.is_empty());
        let attributes = || example.attributes.pairs().iter().map(|(key, value)| (&**key, &**value));
        let chars = |(key, value): (&str, &str)| key.chars().count() + value.chars().count();
        let count: usize = ids().chain(attributes()).map(chars).sum();
        // Too many attributes must not cost the ids.
        let fitting = attributes().filter(|(key, _)| count <= EXEMPLAR_CHARS_MAX && !key.is_empty());
        let labels = Labels::from_pairs(fitting.chain(ids()));
        let timestamp_ms = Some(if example.time_ns == 0 { end_ms } else { ms_of(example.time_ns) });
        self.sink.exemplar(Exemplar { labels, value, timestamp_ms });
    }

    fn target_info(&mut self) {
        let Some((first_ms, last_ms)) = self.resource.times_ms else { return };
        if self.resource.identity.is_empty() || self.resource.target.is_empty() || !self.sink.has_room() {
            return;
        }
        self.labels.clear();
        for (name, value) in self.resource.target.iter().chain(&self.resource.identity) {
            self.labels.set(name, value);
        }
        self.labels.set(METRIC_NAME, TARGET_INFO);
        self.sink.begin_point(false);
        self.sink.series(&self.labels);
        let step_ms = (self.settings.lookback_ms / 2).max(1);
        let mut at_ms = first_ms.max(last_ms.saturating_sub(step_ms.saturating_mul(TARGET_INFO_SAMPLES_MAX)));
        while at_ms < last_ms {
            self.sink.float(at_ms, 1.0, UNKNOWN_START_MS);
            at_ms += step_ms;
        }
        self.sink.float(last_ms, 1.0, UNKNOWN_START_MS);
    }
}

const NO_TEMPORALITY: &str = "the aggregation temporality is neither delta nor cumulative";

/// Two attributes that become the same label are both kept, in order of their names.
fn set_or_join(labels: &mut LabelsBuilder, name: &str, value: &str) {
    match labels.get(name) {
        Some(known) if known.len() + value.len() < LEN_MAX => {
            let joined = format!("{known};{value}");
            labels.set(name, &joined);
        }
        Some(_) => {}
        None => {
            labels.set(name, value);
        }
    }
}

fn ms_of(ns: u64) -> i64 {
    // 64 bits of nanoseconds are far fewer milliseconds.
    (ns / 1_000_000) as i64
}

/// Times of a point in milliseconds.
#[derive(Clone, Copy)]
struct Times {
    start_ms: i64,
    end_ms: i64,
}

impl Times {
    fn of(point: &Point<'_>) -> Self {
        let (start_ms, end_ms) = (ms_of(point.start_ns), ms_of(point.time_ns));
        // What began after it was measured did not begin then.
        Self { start_ms: if start_ms > end_ms { UNKNOWN_START_MS } else { start_ms }, end_ms }
    }

    /// Where a total that begins is zero: just behind its start, where the total before it may have ended. So whatever
    /// was counted before (until a restart, say), the first delta is seen as an increase.
    fn zero_ms(self, start_ms: i64) -> Option<i64> {
        (start_ms > 0 && start_ms + 1 < self.end_ms).then_some(start_ms + 1)
    }
}

impl<S: Sink> Visitor for Converter<'_, S> {
    fn resource(&mut self, attributes: &Attributes<'_>) {
        let get = |key| attributes.get(key).filter(|value| value.len() <= LEN_MAX / 2);
        let job = get(SERVICE_NAME).map(|name| match get(SERVICE_NAMESPACE) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        });
        let instance = get(SERVICE_INSTANCE).map(str::to_owned);
        let identity = [("job", job), ("instance", instance)];
        let target = self.target(attributes);
        let (promoted, fault) = match self.promoted(attributes) {
            Ok(promoted) => (promoted, attributes.fault().map(ToString::to_string)),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        self.resource = Resource {
            identity: identity
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
            promoted,
            target,
            fault: fault.map(|fault| format!("resource: {fault}")),
            times_ms: None,
        };
        self.scope.clear();
        self.scope_fault = None;
    }

    fn scope(&mut self, scope: &Scope<'_>) {
        self.scope.clear();
        self.scope_fault = None;
        if !self.settings.promote_scope_metadata || scope.name.is_empty() {
            return;
        }
        self.scope_fault = scope.attributes.fault().map(|fault| format!("scope: {fault}"));
        for (name, value) in
            [("name", &scope.name), ("version", &scope.version), ("schema_url", &scope.schema_url)]
        {
            self.scope.push((format!("otel_scope_{name}"), value.to_string()));
        }
        for (key, value) in scope.attributes.pairs() {
            match self.settings.naming.label_name(&format!("otel_scope_{key}"), &mut self.name) {
                Ok(()) => self.scope.push((self.name.clone(), value.to_string())),
                Err(error) => self.scope_fault = Some(format!("scope: {error}")),
            }
        }
        if self.scope.iter().any(|(name, value)| name.len().max(value.len()) > LEN_MAX) {
            self.scope_fault = Some("scope: a name or value is too long".to_owned());
        }
    }

    fn metric(&mut self, metric: &Metric<'_>) {
        let (suffix, metric_type) = type_of(metric.kind, self.settings.native_delta_ingestion);
        let naming = &self.settings.naming;
        let name = naming.metric_name(&metric.name, &metric.unit, suffix);
        // Room for `_bucket`.
        let name = name.map_err(|error| error.to_string()).and_then(|name| {
            if name.len() + 16 > LEN_MAX { Err("the metric name is too long".to_owned()) } else { Ok(name) }
        });
        let fault = metric.fault.as_ref().map(ToString::to_string);
        self.family = Family {
            fault: fault.or(name.as_ref().err().cloned()),
            name: name.unwrap_or_else(|_| metric.name.chars().take(200).collect()),
            kind: metric.kind,
            type_label: metric_type.as_str(),
            unit_label: naming.unit(&metric.unit).chars().take(200).collect(),
        };
        if self.family.fault.is_none() {
            let (unit, help) = (self.family.unit_label.clone(), metric.description.to_string());
            self.sink.metadata(&self.family.name, Metadata { metric_type, unit, help });
        }
    }

    fn point(&mut self, point: &Point<'_>) {
        if let Err(reason) = self.try_point(point) {
            return self.sink.reject(&self.family.name, &reason);
        }
        let at_ms = ms_of(point.time_ns);
        let (first_ms, last_ms) = self.resource.times_ms.unwrap_or((at_ms, at_ms));
        self.resource.times_ms = Some((first_ms.min(at_ms), last_ms.max(at_ms)));
    }

    fn end_resource(&mut self) {
        self.target_info();
    }
}

/// The suffix of the name and the type that Prometheus gives to a kind.
fn type_of(kind: Kind, native_delta: bool) -> (TypeSuffix, MetricType) {
    let unless_delta = |temporality, metric_type| {
        // There is no word yet for what is counted by the piece.
        if temporality == Temporality::Delta && native_delta { MetricType::Unknown } else { metric_type }
    };
    match kind {
        Kind::Unknown => (TypeSuffix::Other, MetricType::Unknown),
        Kind::Gauge => (TypeSuffix::Gauge, MetricType::Gauge),
        Kind::Sum { temporality, monotonic: true } => {
            (TypeSuffix::Counter, unless_delta(temporality, MetricType::Counter))
        }
        Kind::Sum { temporality, monotonic: false } => {
            (TypeSuffix::Other, unless_delta(temporality, MetricType::Gauge))
        }
        Kind::Histogram(temporality) | Kind::Exponential(temporality) => {
            (TypeSuffix::Other, unless_delta(temporality, MetricType::Histogram))
        }
        Kind::Summary => (TypeSuffix::Other, MetricType::Summary),
    }
}
