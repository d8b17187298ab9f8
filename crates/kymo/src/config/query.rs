//! `query`: what one query may cost, how many run at a time, and which of them are logged.
//!
//! Prometheus has flags for some of this; their names are read here, too (`query.max-samples` without its `query.`).

use std::collections::BTreeMap;
use std::time::Duration;

use http_client::InvalidSettings;
use model::TenantId;
use model::size::parse_size_bytes;
use model::time::DurationMs;
use promql::{Class, Limits};
use serde::{Deserialize, Deserializer};

/// What the file says about queries; `None` where it says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueryConfig {
    lookback_ms: Option<i64>,
    concurrent_max: Option<usize>,
    waiting_max: Option<usize>,
    slow_log_after_ms: Option<i64>,
    results_cache: Option<bool>,
    class_slots: BTreeMap<Class, usize>,
    limits: LimitsConfig,
    tenants: BTreeMap<TenantId, LimitsConfig>,
}

impl QueryConfig {
    /// What is in force: the file, else `settings`, which come from flags.
    pub fn apply(&self, settings: promql::Settings) -> promql::Settings {
        let limits = self.limits.apply(&settings.limits);
        promql::Settings {
            lookback_ms: self.lookback_ms.unwrap_or(settings.lookback_ms),
            concurrent_max: self.concurrent_max.unwrap_or(settings.concurrent_max),
            waiting_max: self.waiting_max.unwrap_or(settings.waiting_max),
            slow_log_after: match self.slow_log_after_ms {
                Some(0) => None,
                Some(ms) => Some(milliseconds(ms)),
                None => settings.slow_log_after,
            },
            results_cache: self.results_cache.unwrap_or(settings.results_cache),
            class_slots: self.class_slots.clone(),
            tenant_limits: self.tenants.iter().map(|(id, own)| (id.clone(), own.apply(&limits))).collect(),
            limits,
            ..settings
        }
    }
}

fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

/// The `query` section.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Query {
    #[serde(alias = "lookback-delta")]
    lookback_delta: Option<DurationMs>,
    #[serde(alias = "max-concurrency")]
    max_concurrency: Option<u32>,
    max_waiting: Option<u32>,
    slow_log_after: Option<DurationMs>,
    results_cache: Option<bool>,
    slots: Slots,
    #[serde(rename = "*")]
    limits: QueryLimits,
    tenants: BTreeMap<String, QueryLimits>,
}

/// How many queries of each class run at a time.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Slots {
    alert: Option<u32>,
    dashboard: Option<u32>,
    adhoc: Option<u32>,
    batch: Option<u32>,
}

/// Limits of one query: of all tenants, or of one; what is missing there is as for all.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct QueryLimits {
    timeout: Option<DurationMs>,
    #[serde(alias = "max-samples")]
    max_samples: Option<u64>,
    max_series: Option<u64>,
    max_points: Option<u64>,
    max_memory: Option<Size>,
    max_expression_length: Option<Size>,
    max_nesting: Option<u32>,
}

/// `512MiB`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Size(u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_size_bytes(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Limits of one query, where the file says so.
#[derive(Debug, Clone, Default, PartialEq)]
struct LimitsConfig {
    timeout_ms: Option<i64>,
    samples_max: Option<u64>,
    series_max: Option<u64>,
    points_max: Option<u64>,
    memory_bytes_max: Option<u64>,
    expression_bytes_max: Option<u64>,
    nesting_max: Option<u32>,
}

impl LimitsConfig {
    fn apply(&self, otherwise: &Limits) -> Limits {
        let bytes = self.expression_bytes_max.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        Limits {
            memory_bytes_max: self.memory_bytes_max.or(otherwise.memory_bytes_max),
            samples_max: self.samples_max.unwrap_or(otherwise.samples_max),
            series_max: self.series_max.unwrap_or(otherwise.series_max),
            points_max: self.points_max.unwrap_or(otherwise.points_max),
            timeout: self.timeout_ms.map_or(otherwise.timeout, milliseconds),
            expression_bytes_max: bytes.unwrap_or(otherwise.expression_bytes_max),
            nesting_max: self.nesting_max.map_or(otherwise.nesting_max, |max| max as usize),
        }
    }

    /// No limit may be 0: nothing could be asked.
    fn check(&self) -> Result<(), InvalidSettings> {
        let numbers = [
            ("timeout", self.timeout_ms.map(i64::unsigned_abs)),
            ("max_samples", self.samples_max),
            ("max_series", self.series_max),
            ("max_points", self.points_max),
            ("max_memory", self.memory_bytes_max),
            ("max_expression_length", self.expression_bytes_max),
            ("max_nesting", self.nesting_max.map(u64::from)),
        ];
        check_positive(&numbers)
    }
}

fn check_positive(numbers: &[(&str, Option<u64>)]) -> Result<(), InvalidSettings> {
    match numbers.iter().find(|(_, number)| *number == Some(0)) {
        Some((key, _)) => {
            Err(InvalidSettings::at([*key], "must be more than 0; leave it out for the default"))
        }
        None => Ok(()),
    }
}

impl Query {
    pub(super) fn check(&self) -> Result<(), InvalidSettings> {
        check_positive(&[
            ("lookback_delta", self.lookback_delta.map(|lookback| lookback.0.unsigned_abs())),
            ("max_concurrency", self.max_concurrency.map(u64::from)),
        ])?;
        let slots = self.slots.named().map(|(class, slots)| (class.as_str(), slots.map(u64::from)));
        check_positive(&slots).map_err(|e| e.within("slots"))?;
        self.limits.config().check()?;
        for (name, tenant) in &self.tenants {
            let within = |e: InvalidSettings| e.within(name).within("tenants");
            tenant.config().check().map_err(within)?;
            TenantId::new(name).map_err(|e| InvalidSettings::at(["tenants", name], e.to_string()))?;
        }
        Ok(())
    }

    pub(super) fn config(&self) -> QueryConfig {
        let tenants = self.tenants.iter().filter_map(|(name, tenant)| {
            let id = TenantId::new(name).ok()?;
            Some((id, tenant.config()))
        });
        let slots = self.slots.named().into_iter();
        QueryConfig {
            lookback_ms: self.lookback_delta.map(|lookback| lookback.0),
            concurrent_max: self.max_concurrency.map(|max| max as usize),
            waiting_max: self.max_waiting.map(|max| max as usize),
            slow_log_after_ms: self.slow_log_after.map(|after| after.0),
            results_cache: self.results_cache,
            class_slots: slots.filter_map(|(class, slots)| Some((class, slots? as usize))).collect(),
            limits: self.limits.config(),
            tenants: tenants.collect(),
        }
    }
}

impl Slots {
    fn named(&self) -> [(Class, Option<u32>); 4] {
        [
            (Class::Alert, self.alert),
            (Class::Dashboard, self.dashboard),
            (Class::AdHoc, self.adhoc),
            (Class::Batch, self.batch),
        ]
    }
}

impl QueryLimits {
    fn config(&self) -> LimitsConfig {
        LimitsConfig {
            timeout_ms: self.timeout.map(|timeout| timeout.0),
            samples_max: self.max_samples,
            series_max: self.max_series,
            points_max: self.max_points,
            memory_bytes_max: self.max_memory.map(|size| size.0),
            expression_bytes_max: self.max_expression_length.map(|size| size.0),
            nesting_max: self.max_nesting,
        }
    }
}
