//! The words everybody shares: labels, matchers, samples, histograms, tenants, time. No I/O, no async.
//!
//! Map: [`labels`] sorted name/value pairs in one packed string, and how to build them · [`matcher`] label
//! matchers with anchored regular expressions (`go_regex`: Go's dialect of them) · [`relabel`] rules that rewrite label sets · [`histogram`] native histograms · [`sample`] staleness,
//! exemplars, metadata · [`number`] floats as Go writes and reads them · [`size`] sizes in bytes as text · [`tenant`] whose data it is ·
//! [`time`] durations and timestamps as text.
//!
//! Units: timestamps and durations are `i64` milliseconds named `_ms`; ranges say whether ends are included.

mod go_regex;
pub mod histogram;
pub mod labels;
pub mod matcher;
pub mod number;
pub mod relabel;
pub mod sample;
pub mod size;
pub mod tenant;
pub mod time;

pub use histogram::{BucketSpan, CounterResetHint, FloatHistogram};
pub use labels::{Labels, LabelsBuilder, LabelsRef};
pub use matcher::{MatchOp, Matcher};
pub use sample::{Exemplar, Metadata, MetricType, STALE_NAN, UNKNOWN_START_MS, is_stale};
pub use tenant::TenantId;

/// The label that holds a metric's name.
pub const METRIC_NAME: &str = "__name__";
