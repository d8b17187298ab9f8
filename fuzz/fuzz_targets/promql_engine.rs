//! The engine: no query that parses panics, runs for long or takes memory beyond its budget; and a range query gives at each of its
//! steps what an instant query gives at that time.
#![no_main]

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use model::{Labels, STALE_NAN, TenantId};
use promql::value::SampleValue;
use promql::{Engine, QueryError, QueryOptions, QueryResult, Settings, Value};
use stdx::memory::Budget;
use storage::memory::MemoryStorage;
use storage::{Appender, WriteBatch};

/// Steps of the range, in milliseconds.
const TIMES_MS: [i64; 4] = [60_000, 130_000, 200_000, 270_000];

struct World {
    storage: Arc<MemoryStorage>,
    engine: Engine,
}

/// Counters, gauges and buckets with gaps, staleness, infinities and NaN, under names that the fuzzer guesses at once.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let storage = MemoryStorage::new();
        let mut batch = WriteBatch::new();
        for (number, (name, x, le)) in [
            ("a", "1", ""),
            ("a", "2", ""),
            ("b", "1", ""),
            ("b", "3", ""),
            ("c", "1", "1"),
            ("c", "1", "2"),
            ("c", "1", "+Inf"),
        ]
        .into_iter()
        .enumerate()
        {
            let labels = Labels::from_pairs([("__name__", name), ("x", x), ("le", le)]);
            let series = batch.add_series(labels.as_ref());
            for at in 0..30i64 {
                let value = match (number, at % 11) {
                    (1, 3) => f64::NAN,
                    (1, 5) => f64::INFINITY,
                    (3, 7) => STALE_NAN,
                    (0, _) => ((at * 7) % 50) as f64,
                    (4.., _) => (at * (number as i64 + 1)) as f64,
                    _ => (at * at % 17) as f64 / 4.0 - 1.0,
                };
                if (at + number as i64) % 9 != 4 {
                    batch.add_float(series, at * 10_000 + number as i64, value);
                }
            }
        }
        storage.append(&TenantId::anonymous(), &batch).expect("the reference takes everything");
        let mut settings = Settings::default();
        settings.limits.samples_max = 200_000;
        settings.limits.timeout = Duration::from_secs(5);
        let engine = Engine::new(settings, Budget::root("queries", 64 << 20));
        World { storage, engine }
    })
}

/// Samples of a result at one time, by labels; `None` if it is not a vector or has histograms.
fn at(result: &QueryResult, time_ms: i64) -> Option<BTreeMap<Labels, u64>> {
    let bits = |value: f64| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
    match &result.value {
        Value::Vector(samples) => samples
            .iter()
            .map(|sample| match &sample.value {
                SampleValue::Float(value) => Some((sample.labels.clone(), bits(*value))),
                SampleValue::Histogram(_) => None,
            })
            .collect(),
        Value::Matrix(series) if series.iter().all(|one| one.histograms.is_empty()) => Some(
            series
                .iter()
                .filter_map(|one| {
                    let (_, value) = one.floats.iter().find(|(t, _)| *t == time_ms)?;
                    Some((one.labels.clone(), bits(*value)))
                })
                .collect(),
        ),
        _ => None,
    }
}

/// What depends on the range itself, or on the wall clock of a limit.
fn may_differ(query: &str) -> bool {
    const OF_THE_RANGE: &[&str] = &[
        "start",
        "end",
        "step",
        "range",
        "running",
        "limit",
        "topk",
        "bottomk",
        "outliers",
        "interpolate",
        "keep_last",
        "rand",
    ];
    let query = query.to_ascii_lowercase();
    OF_THE_RANGE.iter().any(|word| query.contains(word))
}

fn hit_a_limit(result: &Result<QueryResult, QueryError>) -> bool {
    matches!(result, Err(QueryError::TimedOut(_) | QueryError::Storage(_) | QueryError::Execution(_)))
}

fuzz_target!(|query: &str| {
    if query.len() > 300 {
        return;
    }
    let World { storage, engine } = world();
    let (tenant, options) = (TenantId::anonymous(), QueryOptions::default());
    let (start_ms, end_ms) = (TIMES_MS[0], TIMES_MS[3]);
    let range = engine.range(storage.as_ref(), &tenant, query, start_ms, end_ms, 70_000, &options);
    for time_ms in TIMES_MS {
        let instant = engine.instant(storage.as_ref(), &tenant, query, time_ms, &options);
        let Ok(range) = &range else { continue };
        if may_differ(query) || hit_a_limit(&instant) {
            continue;
        }
        let instant =
            instant.unwrap_or_else(|error| panic!("{query:?}: {error} at {time_ms}, not over the range"));
        let (Some(one), Some(many)) = (at(&instant, time_ms), at(range, time_ms)) else { continue };
        if matches!(instant.value, Value::Vector(_)) {
            assert_eq!(one, many, "{query:?} at {time_ms}");
        }
    }
});
