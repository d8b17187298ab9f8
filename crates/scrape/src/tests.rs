//! Whole loops against the reference storage.
//!
//! What depends on time runs in virtual time against targets within the process ([`virtual_time`]); what depends
//! on HTTP runs in real time against servers on local ports ([`exporter`]), and waits for what should happen.

mod described;
mod exporter;
mod garbage;
mod http;
mod limits;
mod native;
mod pools;
mod staleness;
mod virtual_time;

use std::sync::Arc;
use std::time::Duration;

use model::{FloatHistogram, Labels, Matcher, STALE_NAN, TenantId};
use storage::memory::MemoryStorage;
use storage::{Querier, QueryContext, SelectHints, SelectRequest, SeriesSamples};

use crate::settings::{Global, Job, ScrapeConfig};

/// More than anything here takes, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A job named `j` with one fixed target and everything else at its default, then changed.
fn job(address: &str, change: impl FnOnce(&mut Job)) -> Job {
    let config = ScrapeConfig { job_name: "j".into(), ..ScrapeConfig::default() };
    let mut job = config.resolve(&Global::default()).expect("valid");
    job.discovery.static_configs = vec![fixed(&[address])];
    change(&mut job);
    job
}

fn fixed(addresses: &[&str]) -> discovery::settings::StaticGroup {
    discovery::settings::StaticGroup {
        targets: addresses.iter().map(|address| (*address).to_owned()).collect(),
        ..Default::default()
    }
}

fn rule(json: &str) -> model::relabel::Rule {
    serde_json::from_str(json).expect("a rule")
}

/// A timestamp and what was stored; `None` for a staleness marker.
type Stored = (i64, Option<f64>);

/// The series of a metric with all samples.
fn series(storage: &MemoryStorage, metric: &str) -> Vec<(Labels, Vec<Stored>)> {
    let matchers = [Matcher::equal("__name__", metric)];
    let request = SelectRequest {
        matchers: &matchers,
        start_ms: i64::MIN,
        end_ms: i64::MAX,
        hints: SelectHints::default(),
    };
    let selected = storage
        .select(&TenantId::anonymous(), &request, &QueryContext::unlimited())
        .expect("the reference never fails");
    let mut samples = SeriesSamples::default();
    (0..selected.len())
        .map(|at| {
            selected.read(at, &mut samples).expect("the reference never fails");
            let stored = samples.floats.timestamps_ms.iter().zip(&samples.floats.values);
            let stored =
                stored.map(|(t, v)| (*t, (v.to_bits() != STALE_NAN.to_bits()).then_some(*v))).collect();
            (selected.labels(at).clone(), stored)
        })
        .collect()
}

/// The native histograms of the only series of a metric, staleness markers among them; empty if there is none.
#[track_caller]
fn histograms(storage: &MemoryStorage, metric: &str) -> Vec<(i64, FloatHistogram)> {
    let matchers = [Matcher::equal("__name__", metric)];
    let request = SelectRequest {
        matchers: &matchers,
        start_ms: i64::MIN,
        end_ms: i64::MAX,
        hints: SelectHints::default(),
    };
    let selected = storage
        .select(&TenantId::anonymous(), &request, &QueryContext::unlimited())
        .expect("the reference never fails");
    assert!(selected.len() <= 1, "{metric} has several series");
    let mut samples = SeriesSamples::default();
    if selected.len() == 1 {
        selected.read(0, &mut samples).expect("the reference never fails");
    }
    let histograms = samples.histograms;
    let values = histograms.values.iter().map(|histogram| (**histogram).clone());
    histograms.timestamps_ms.into_iter().zip(values).collect()
}

/// The values of the only series of a metric; empty if there is none.
#[track_caller]
fn values(storage: &MemoryStorage, metric: &str) -> Vec<Option<f64>> {
    let found = series(storage, metric);
    assert!(found.len() <= 1, "{metric} has several series: {found:?}");
    found.into_iter().flat_map(|(_, samples)| samples).map(|(_, value)| value).collect()
}

/// Waits until `check` is true, in real time.
async fn eventually(what: &str, check: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !check() {
        assert!(std::time::Instant::now() < deadline, "in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn shared<T: Default>() -> Arc<T> {
    Arc::default()
}
