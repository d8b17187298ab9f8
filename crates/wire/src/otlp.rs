//! OpenTelemetry metrics (OTLP): a request taken apart, and turned into series as Prometheus names them.
//!
//! Map: [`protobuf`] and [`json`] read an `ExportMetricsServiceRequest` and hand its data points to a [`Visitor`] · [`naming`]
//! names of metrics and labels · [`convert`] data points into samples: the visitor that matters · [`delta`] deltas into
//! totals · [`answer`] what the client is told.
//!
//! A request fails as a whole only if it is not what it claims to be; a data point that cannot be stored is refused alone. Values
//! are decoded into one [`Point`] that is used again and again, and texts are borrowed from the body. What a client may repeat in
//! a point is bounded ([`REPEATED_MAX`]), because a byte on the wire may be many in memory.
//!
//! Source: the OTLP specification 1.9, `opentelemetry/proto/metrics/v1/metrics.proto`, the metrics data model, and "OTLP metric
//! points to Prometheus" of the OpenTelemetry specification.

use std::borrow::Cow;

use crate::protobuf::ProtobufError;

pub mod answer;
pub mod convert;
pub mod delta;
pub mod json;
pub mod naming;
pub mod protobuf;
#[cfg(test)]
mod tests;
mod text;

/// The most attributes, exemplars and quantiles that a point may have.
pub const REPEATED_MAX: usize = 1_000;
/// The most buckets that a histogram may have on one side.
pub const BUCKETS_MAX: usize = 16_384;
/// The longest value of an attribute that is a list, a map or bytes, as encoded.
pub const NESTED_BYTES_MAX: usize = 64 << 10;
/// Lists in lists in lists.
const DEPTH_MAX: usize = 16;

/// Takes what a request holds, in its order.
pub trait Visitor {
    /// A resource begins.
    fn resource(&mut self, attributes: &Attributes<'_>);
    /// A scope of the resource begins.
    fn scope(&mut self, scope: &Scope<'_>);
    /// A metric of the scope begins; `point_count` data points follow.
    fn metric(&mut self, metric: &Metric<'_>);
    /// A data point of the metric.
    fn point(&mut self, point: &Point<'_>);
    /// The resource is complete.
    fn end_resource(&mut self);
}

/// Who measured: the instrumentation library.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its version.
    pub version: Cow<'a, str>,
    /// The schema of its metrics.
    pub schema_url: Cow<'a, str>,
    /// What else is known about it.
    pub attributes: Attributes<'a>,
}

/// What the points of a metric have in common.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metric<'a> {
    /// As the application calls it.
    pub name: Cow<'a, str>,
    /// One sentence for people.
    pub description: Cow<'a, str>,
    /// In UCUM's notation.
    pub unit: Cow<'a, str>,
    /// What kind of points it has.
    pub kind: Kind,
    /// What is wrong with it; then none of its points can be stored.
    pub fault: Option<Fault>,
}

/// Kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// None that is known; it has no points.
    #[default]
    Unknown,
    /// [`Point::number`].
    Gauge,
    /// [`Point::number`].
    Sum {
        /// What a value covers.
        temporality: Temporality,
        /// Whether it only goes up.
        monotonic: bool,
    },
    /// [`Point::bucket_counts`] and [`Point::bounds`].
    Histogram(Temporality),
    /// [`Point::positive`] and [`Point::negative`].
    Exponential(Temporality),
    /// [`Point::quantiles`].
    Summary,
}

/// What a value covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Temporality {
    /// Nobody said, which is not allowed.
    #[default]
    Unspecified,
    /// The time since the point before.
    Delta,
    /// All since the start.
    Cumulative,
}

impl Temporality {
    fn of_number(number: u64) -> Self {
        match number {
            1 => Self::Delta,
            2 => Self::Cumulative,
            _ => Self::Unspecified,
        }
    }
}

/// A data point. Which fields mean something depends on the [`Kind`] of its metric.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Point<'a> {
    /// What makes it a series of its own.
    pub attributes: Attributes<'a>,
    /// Begin of what it covers, in nanoseconds; 0 if unknown.
    pub start_ns: u64,
    /// When it was measured, in nanoseconds.
    pub time_ns: u64,
    /// See [`Point::has_no_value`].
    pub flags: u32,
    /// The value of a gauge or sum.
    pub number: Option<f64>,
    /// Observations.
    pub count: u64,
    /// Their sum, if it was recorded.
    pub sum: Option<f64>,
    /// Observations in each bucket; one more than bounds, or none.
    pub bucket_counts: Vec<u64>,
    /// Upper bounds of the buckets but the last.
    pub bounds: Vec<f64>,
    /// Exponential buckets: the base is `2^(2^-scale)`.
    pub scale: i32,
    /// Observations that are nearly zero.
    pub zero_count: u64,
    /// What "nearly" means; 0 if the client does not say.
    pub zero_threshold: f64,
    /// Buckets above zero.
    pub positive: Buckets,
    /// Buckets below zero.
    pub negative: Buckets,
    /// Quantiles and their values.
    pub quantiles: Vec<(f64, f64)>,
    /// Single measurements behind the value.
    pub exemplars: Vec<Example<'a>>,
    /// What is wrong with the point; then it cannot be stored.
    pub fault: Option<Fault>,
}

impl Point<'_> {
    /// Whether it only says that nothing was recorded.
    pub fn has_no_value(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Forgets everything but its allocations.
    fn clear(&mut self) {
        let Self { attributes, bucket_counts, bounds, positive, negative, quantiles, exemplars, .. } =
            std::mem::take(self);
        *self = Self {
            attributes: attributes.cleared(),
            bucket_counts: cleared(bucket_counts),
            bounds: cleared(bounds),
            positive: Buckets { offset: 0, counts: cleared(positive.counts) },
            negative: Buckets { offset: 0, counts: cleared(negative.counts) },
            quantiles: cleared(quantiles),
            exemplars: cleared(exemplars),
            ..Self::default()
        };
    }

    fn blame(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }
}

fn cleared<T>(mut list: Vec<T>) -> Vec<T> {
    list.clear();
    list
}

/// Appends to a list that has a bound.
fn push_bounded<T>(list: &mut Vec<T>, item: T, max: usize) -> Result<(), Fault> {
    if list.len() == max {
        return Err(Fault::TooMany(max));
    }
    list.push(item);
    Ok(())
}

/// Consecutive exponential buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Buckets {
    /// Index of the first: bucket `i` ends at `base^(i+1)`.
    pub offset: i32,
    /// Observations in each.
    pub counts: Vec<u64>,
}

/// A single measurement.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Example<'a> {
    /// Attributes that the point does not have.
    pub attributes: Attributes<'a>,
    /// When, in nanoseconds.
    pub time_ns: u64,
    /// The value; `None` if there is none.
    pub value: Option<f64>,
    /// In hexadecimal digits; empty if there is none.
    pub trace_id: String,
    /// In hexadecimal digits; empty if there is none.
    pub span_id: String,
}

/// Attributes with their values as text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    fault: Option<Fault>,
}

impl<'a> Attributes<'a> {
    /// Attributes in the order they came; a key may come twice.
    pub fn pairs(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        &self.pairs
    }

    /// The value of the first attribute of this key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == key).map(|(_, value)| &**value)
    }

    /// What is wrong with them.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    fn push(&mut self, pair: Result<(Cow<'a, str>, Cow<'a, str>), Fault>) {
        let pushed = pair.and_then(|pair| push_bounded(&mut self.pairs, pair, REPEATED_MAX));
        if let Err(fault) = pushed {
            self.fault.get_or_insert(fault);
        }
    }

    fn cleared(self) -> Self {
        Self { pairs: cleared(self.pairs), fault: None }
    }
}

/// What is wrong with a part of a request that is otherwise sound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not text.
    #[error("a name or value is not valid UTF-8")]
    NotUtf8,
    /// More items than [`REPEATED_MAX`] or [`BUCKETS_MAX`].
    #[error("more than {0} items in one list")]
    TooMany(usize),
    /// A list or map as a value.
    #[error("a nested attribute value is longer than {NESTED_BYTES_MAX} bytes or too deep")]
    Nested,
    /// Base64 or hexadecimal digits that are none.
    #[error("{0} are not encoded as they should be")]
    Encoding(&'static str),
}

/// A body that is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtlpError {
    /// Not an `ExportMetricsServiceRequest` in protobuf.
    #[error("{what}: {error}")]
    Protobuf {
        /// Which part of it.
        what: &'static str,
        /// What is wrong.
        error: ProtobufError,
    },
    /// Not one in JSON.
    #[error("not an OTLP request in JSON: {0}")]
    Json(String),
}
