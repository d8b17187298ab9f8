//! `global.query_log_file`: each query that was evaluated, as a line of JSON, in the words of Prometheus' query log.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge, Registry};
use promql::{AskedBy, FinishedQuery, QueryLog};
use serde_json::{Map, Value, json};
use stdx::clock::Clock;

/// Says whether queries are logged, and which could not be.
#[derive(Debug, Clone)]
pub(super) struct QueryLogMetrics {
    enabled: IntGauge,
    failures: IntCounter,
}

impl QueryLogMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let enabled = IntGauge::new("kymo_query_log_enabled", "1 if queries are logged to a file.")?;
        let failures = IntCounter::new(
            "kymo_query_log_failures_total",
            "Queries that could not be logged to the file.",
        )?;
        registry.register(Box::new(enabled.clone()))?;
        registry.register(Box::new(failures.clone()))?;
        Ok(Self { enabled, failures })
    }

    pub(super) fn set_enabled(&self, enabled: bool) {
        self.enabled.set(i64::from(enabled));
    }
}

/// A file to which queries are appended. Lines are not synced: the last ones may be lost with the machine.
#[derive(Debug)]
pub(super) struct QueryLogFile {
    path: PathBuf,
    file: Mutex<File>,
    /// Whether the last line could not be written; said once, not for each query.
    has_failed: AtomicBool,
    clock: Arc<dyn Clock>,
    metrics: QueryLogMetrics,
}

impl QueryLogFile {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// As the operating system says, with the path.
    pub(super) fn open(path: &Path, clock: Arc<dyn Clock>, metrics: QueryLogMetrics) -> Result<Self, String> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.map_err(|error| {
            format!("global.query_log_file: cannot open {} for appending: {error}", path.display())
        })?;
        let has_failed = AtomicBool::new(false);
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), has_failed, clock, metrics })
    }
}

impl QueryLog for QueryLogFile {
    fn log(&self, query: &FinishedQuery<'_>) {
        let mut line = line(query, self.clock.now_ms()).to_string();
        line.push('\n');
        // One call for a line, so that lines of two processes do not mix.
        let result = self.file.lock().write_all(line.as_bytes());
        let had_failed = self.has_failed.swap(result.is_err(), Ordering::Relaxed);
        if let Err(error) = result {
            self.metrics.failures.inc();
            if !had_failed {
                tracing::error!(path = %self.path.display(), %error, "queries cannot be logged to the file");
            }
        }
    }
}

/// Like Go's `2006-01-02T15:04:05.000Z`.
fn text_of_time(time_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(time_ms)
        .map_or_else(|_| time_ms.to_string(), |time| time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

fn line(query: &FinishedQuery<'_>, now_ms: i64) -> Value {
    let now = text_of_time(now_ms);
    let stats = query.stats;
    let timings: Map<String, Value> =
        stats.timings.named().into_iter().map(|(name, seconds)| (name.to_owned(), json!(seconds))).collect();
    let mut line = json!({
        // Prometheus 3 has `time`, `level` and `msg`, those before it `ts`; readers of either find theirs.
        "time": now,
        "ts": now,
        "level": "INFO",
        "msg": "promql query logged",
        "params": {
            "query": query.query,
            "start": text_of_time(query.start_ms),
            "end": text_of_time(query.end_ms),
            "step": query.step_ms / 1_000,
        },
        "stats": {
            "timings": timings,
            "samples": {
                "totalQueryableSamples": stats.total_queryable_samples,
                "peakSamples": stats.peak_samples,
            },
        },
        "spanID": "0000000000000000",
        "tenant": query.tenant.as_str(),
        "class": query.class.as_str(),
    });
    if let Some(error) = query.error {
        line["error"] = json!(error.to_string());
    }
    match &query.origin.asked_by {
        AskedBy::Unknown => {}
        AskedBy::Http { client_ip, method, path } => {
            line["httpRequest"] = json!({"clientIP": client_ip, "method": method, "path": path});
        }
        AskedBy::RuleGroup { file, name } => line["ruleGroup"] = json!({"file": file, "name": name}),
    }
    line
}

#[cfg(test)]
mod tests {
    use model::TenantId;
    use promql::{Class, Origin, QueryError, QueryStats};

    use super::*;

    fn check(asked_by: AskedBy, error: Option<&QueryError>, key: &str, want: &Value) {
        let mut stats = QueryStats { total_queryable_samples: 7, peak_samples: 3, ..QueryStats::default() };
        stats.timings.exec_total_s = 0.5;
        let query = FinishedQuery {
            query: "up",
            tenant: &TenantId::anonymous(),
            class: Class::Alert,
            origin: &Origin { asked_by, ..Origin::default() },
            start_ms: 1_500,
            end_ms: 11_500,
            step_ms: 5_000,
            stats: &stats,
            error,
        };
        let mut line = line(&query, 1_786_000_000_042);
        assert_eq!(line[key].take(), *want);
        assert_eq!(line["ts"], "2026-08-06T07:06:40.042Z");
        let params = json!({
            "query": "up", "start": "1970-01-01T00:00:01.500Z", "end": "1970-01-01T00:00:11.500Z", "step": 5
        });
        assert_eq!(line["params"], params);
        assert_eq!(line["stats"]["samples"], json!({"totalQueryableSamples": 7, "peakSamples": 3}));
        assert_eq!(line["stats"]["timings"]["execTotalTime"], 0.5);
    }

    #[test]
    fn a_line_says_what_was_asked_by_whom_and_what_it_cost() {
        let http = AskedBy::Http {
            client_ip: "10.0.0.7".to_owned(),
            method: "GET".to_owned(),
            path: "/api/v1/query".to_owned(),
        };
        let want = json!({"clientIP": "10.0.0.7", "method": "GET", "path": "/api/v1/query"});
        check(http, None, "httpRequest", &want);
        let group = AskedBy::RuleGroup { file: "rules.yml".to_owned(), name: "partners".to_owned() };
        check(group, None, "ruleGroup", &json!({"file": "rules.yml", "name": "partners"}));
        let error = QueryError::Execution("no luck".to_owned());
        check(AskedBy::Unknown, Some(&error), "error", &json!("no luck"));
        check(AskedBy::Unknown, None, "httpRequest", &Value::Null);
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let metrics = QueryLogMetrics::register(&Registry::new()).unwrap();
        let clock: Arc<dyn Clock> = stdx::clock::SystemClock::shared();
        let error = QueryLogFile::open(Path::new("/"), Arc::clone(&clock), metrics.clone()).unwrap_err();
        assert!(error.contains("global.query_log_file: cannot open / for appending"), "{error}");
        let log = QueryLogFile::open(Path::new("/dev/full"), clock, metrics.clone()).unwrap();
        let query = FinishedQuery {
            query: "up",
            tenant: &TenantId::anonymous(),
            class: Class::AdHoc,
            origin: &Origin::default(),
            start_ms: 0,
            end_ms: 0,
            step_ms: 0,
            stats: &QueryStats::default(),
            error: None,
        };
        log.log(&query);
        log.log(&query);
        assert_eq!(metrics.failures.get(), 2);
    }
}
