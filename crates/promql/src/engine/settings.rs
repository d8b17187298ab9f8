//! Limits of queries: what one may cost, and how many run at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use model::TenantId;

use super::class::Class;

/// Limits and defaults of an engine. They can be changed while it runs ([`super::Engine::reload`]).
#[derive(Debug, Clone)]
pub struct Settings {
    /// How far an instant selector looks back for a sample. Default 5 min.
    pub lookback_ms: i64,
    /// Default step of subqueries (Prometheus: the global evaluation interval). Default 1 min.
    pub subquery_step_ms: i64,
    /// Queries that run at the same time, those for alerts not counted; others wait. Default 20.
    pub concurrent_max: usize,
    /// Threads that help queries with many series, all queries together. Default: the processors but one. Not changed by a
    /// reload.
    pub helper_threads_max: usize,
    /// Queries that may wait, those for alerts not counted. Default 200.
    pub waiting_max: usize,
    /// How many queries of each class run at the same time; `None` for the default ([`Self::slots`]).
    pub class_slots: BTreeMap<Class, usize>,
    /// What one query may cost.
    pub limits: Limits,
    /// What one query of certain tenants may cost instead.
    pub tenant_limits: BTreeMap<TenantId, Limits>,
    /// Prometheus' feature `promql-delayed-name-removal`: `label_join` and `by (__name__)` still see the name of a metric that
    /// a function is going to drop. Default off, as in Prometheus.
    pub delayed_name_removal: bool,
    /// Prometheus' feature `use-start-timestamps`: `rate`, `increase`, `irate` and `resets` look at when a counter began, where
    /// samples say so. Default off, as in Prometheus.
    pub use_start_timestamps: bool,
    /// Queries that take longer are logged. `None`: none is. Default 10 s.
    pub slow_log_after: Option<Duration>,
    /// Whether results of range queries are kept, where there is room for them ([`super::Engine::with_result_cache`]). Default on.
    pub results_cache: bool,
}

/// What one query may cost. Each error names the setting after which the field is documented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `max_memory`: bytes it may hold at a time. `None`: half of what all queries may.
    pub memory_bytes_max: Option<u64>,
    /// `max_samples`: samples it may hold at a time. Default 50 million, as Prometheus.
    pub samples_max: u64,
    /// `max_series`: series it may select, those of all its selectors together. Default: no limit.
    pub series_max: u64,
    /// `max_points`: steps of a range query. Default 11,000, as Prometheus.
    pub points_max: u64,
    /// `timeout`: longest run, waiting included. Default 2 min.
    pub timeout: Duration,
    /// `max_expression_length`: bytes of its text. Default 256 KiB.
    pub expression_bytes_max: usize,
    /// `max_nesting`: levels of its tree. Default 250, which is the most that the parser takes.
    pub nesting_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lookback_ms: 5 * 60_000,
            subquery_step_ms: 60_000,
            concurrent_max: 20,
            helper_threads_max: std::thread::available_parallelism().map_or(0, |count| count.get() - 1),
            waiting_max: 200,
            class_slots: BTreeMap::new(),
            limits: Limits::default(),
            tenant_limits: BTreeMap::new(),
            delayed_name_removal: false,
            use_start_timestamps: false,
            slow_log_after: Some(Duration::from_secs(10)),
            results_cache: true,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: None,
            samples_max: 50_000_000,
            series_max: u64::MAX,
            points_max: 11_000,
            timeout: Duration::from_secs(120),
            expression_bytes_max: 256 << 10,
            nesting_max: crate::parser::HEIGHT_MAX,
        }
    }
}

impl Settings {
    /// What one query of a tenant may cost.
    pub fn limits_of(&self, tenant: &TenantId) -> &Limits {
        self.tenant_limits.get(tenant).unwrap_or(&self.limits)
    }

    /// How many queries of a class run at the same time. Alerts have slots of their own: a quarter as many as all others
    /// share, and at least two. Of the shared ones dashboards may take all, ad hoc queries three quarters, batch jobs one.
    pub fn slots(&self, class: Class) -> usize {
        let shared = self.concurrent_max.max(1);
        let default = match class {
            Class::Alert => (shared / 4).max(2),
            Class::Dashboard => shared,
            Class::AdHoc => (shared * 3 / 4).max(1),
            Class::Batch => (shared / 4).max(1),
        };
        let slots = self.class_slots.get(&class).copied().unwrap_or(default).max(1);
        if class == Class::Alert { slots } else { slots.min(shared) }
    }
}
