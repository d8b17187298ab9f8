//! Limits, repeated series, metadata, exemplars: what a scrape stores and what it refuses.

use super::virtual_time::{Bench, Exposed, pass_s};
use super::{fixed, job, rule, series, shared, values};
use crate::settings::{Job, ScrapeProtocol};
use model::{MetricType, TenantId};
use storage::Querier;

/// Scrapes `text` once; the bench, and the target's last error.
async fn scrape_once(text: &str, change: impl FnOnce(&mut Job)) -> (Bench, String) {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set(text);
    let change_all = |job: &mut Job| {
        job.interval_ms = 10_000;
        job.timeout_ms = 10_000;
        change(job);
    };
    let _pool = bench.pool(job("h:1", change_all), &exposed);
    pass_s(10).await;
    let error = bench.env.views.read().values().next().expect("a pool").active("here").remove(0).last_error;
    (bench, error)
}

/// Scrapes once, and expects the whole scrape to fail.
async fn check_fails(text: &str, change: impl FnOnce(&mut Job), want_error: &str, want_kept: f64) -> Bench {
    let (bench, error) = scrape_once(text, change).await;
    assert_eq!(error, want_error);
    let storage = bench.storage();
    assert_eq!(values(storage, "up"), [Some(0.0)]);
    assert_eq!(values(storage, "a"), []);
    assert_eq!(values(storage, "scrape_samples_post_metric_relabeling"), [Some(want_kept)]);
    bench
}

#[tokio::test(start_paused = true)]
async fn the_sample_limit_counts_what_relabelling_left() {
    let limit_two = |job: &mut Job| job.sample_limit = 2;
    let bench = check_fails("a 1\nb 1\nc 1\nd 1\n", limit_two, "sample limit exceeded (limit: 2)", 4.0).await;
    assert_eq!(bench.counter("kymo_scrape_limits_exceeded_total{limit=\"sample_limit\"}"), 1.0);
    let (bench, error) = scrape_once("a 1\nb 1\nc 1\n", |job| {
        job.sample_limit = 2;
        job.metric_relabel.push(rule(r#"{"source_labels":["__name__"],"regex":"c","action":"drop"}"#));
    })
    .await;
    assert_eq!((error.as_str(), values(bench.storage(), "a")), ("", vec![Some(1.0)]));
}

#[tokio::test(start_paused = true)]
async fn label_limits_fail_the_scrape() {
    let error = "label_limit exceeded (metric: a, number of labels: 4, limit: 3)";
    check_fails("a{x=\"1\"} 1\n", |job| job.label_limit = 3, error, 0.0).await;
    let error = "label_name_length_limit exceeded (metric: a, label name: __name__, length: 8, limit: 7)";
    check_fails("a 1\n", |job| job.label_name_length_limit = 7, error, 0.0).await;
    let error =
        "label_value_length_limit exceeded (metric: a, label name: x, value: \"12345\", length: 5, limit: 4)";
    check_fails("a{x=\"12345\"} 1\n", |job| job.label_value_length_limit = 4, error, 0.0).await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_line_is_named_by_its_number() {
    let (_, error) = scrape_once("# HELP a x\na 1\na{x=} 1\n", |_| {}).await;
    assert!(error.starts_with("line 3, column 5:"), "{error}");
    let (_, error) = scrape_once("a 1\nb{x=\"1\",x=\"2\"} 1\n", |_| {}).await;
    assert_eq!(error, "line 2: label name \"x\" is not unique");
    let drop_name =
        |job: &mut Job| job.metric_relabel.push(rule(r#"{"regex":"__name__","action":"labeldrop"}"#));
    let (_, error) = scrape_once("\na 1\n", drop_name).await;
    assert_eq!(error, "line 2: missing metric name (__name__ label)");
}

#[tokio::test(start_paused = true)]
async fn a_series_of_absurdly_many_labels_fails_the_scrape_at_once() {
    let labels: String = (0..300_000).rev().map(|i| format!("l{i}=\"\",")).collect();
    let (_, error) = scrape_once(&format!("b 1\na{{{labels}}} 1\n"), |_| {}).await;
    assert_eq!(error, "line 2: the series has thousands of labels");
}

#[tokio::test(start_paused = true)]
async fn of_a_series_that_comes_twice_the_first_sample_counts() {
    let (bench, error) = scrape_once("a 1\na 2\nb 3 1000000000001\nb 4 1000000000002\n", |_| {}).await;
    assert_eq!((error.as_str(), values(bench.storage(), "a")), ("", vec![Some(1.0)]));
    assert_eq!(values(bench.storage(), "b"), [Some(3.0), Some(4.0)], "own timestamps tell them apart");
    assert_eq!(values(bench.storage(), "scrape_samples_post_metric_relabeling"), [Some(4.0)]);
    assert_eq!(bench.counter("kymo_scrape_samples_dropped_total{reason=\"duplicate\"}"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn samples_from_the_future_are_dropped_alone() {
    let (bench, error) = scrape_once("a 1\nb 1 1000000700000\nc 1 1000000500000\n", |_| {}).await;
    assert_eq!(error, "");
    assert_eq!((values(bench.storage(), "b"), values(bench.storage(), "c")), (vec![], vec![Some(1.0)]));
    assert_eq!(bench.counter("kymo_scrape_samples_dropped_total{reason=\"too_far_in_future\"}"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn too_many_targets_fail_every_scrape_of_the_pool() {
    let three = |job: &mut Job| {
        job.target_limit = 2;
        job.discovery.static_configs = vec![fixed(&["h:1", "h:2", "h:3"])];
    };
    let (bench, error) = scrape_once("a 1\n", three).await;
    assert_eq!(error, "target_limit exceeded (number of targets: 3, limit: 2)");
    assert_eq!(series(bench.storage(), "a").len(), 0);
    let up = series(bench.storage(), "up");
    assert!(
        up.len() == 3 && up.iter().all(|(_, samples)| samples.iter().all(|s| s.1 == Some(0.0))),
        "{up:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn dropped_targets_are_counted_and_some_are_kept() {
    let (bench, _) = scrape_once("a 1\n", |job| {
        job.keep_dropped_targets = 2;
        job.discovery.static_configs = vec![fixed(&["h:1", "x:1", "x:2", "x:3", "h:1"])];
        job.relabel.push(rule(r#"{"source_labels":["__address__"],"regex":"x.*","action":"drop"}"#));
    })
    .await;
    let views = bench.env.views.read();
    let view = views.values().next().expect("a pool");
    assert_eq!((view.active("here").len(), view.dropped().len(), view.dropped_count()), (1, 2, 3));
    let first = &view.dropped()[0];
    assert_eq!((first.discovered_labels.get("__address__"), first.dropped_by), (Some("x:1"), 0));
    assert_eq!(first.rule.regex, "x.*");
}

#[tokio::test(start_paused = true)]
async fn extra_metrics_are_reported_if_asked_for() {
    let (bench, _) = scrape_once("a 1\n", |job| {
        job.extra_metrics = true;
        job.sample_limit = 50;
    })
    .await;
    let storage = bench.storage();
    assert_eq!(values(storage, "scrape_timeout_seconds"), [Some(10.0)]);
    assert_eq!(values(storage, "scrape_sample_limit"), [Some(50.0)]);
    assert_eq!(values(storage, "scrape_body_size_bytes"), [Some(4.0)]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_is_a_scrape_that_worked() {
    let (bench, error) = scrape_once("", |_| {}).await;
    assert_eq!((error.as_str(), values(bench.storage(), "up")), ("", vec![Some(1.0)]));
}

#[tokio::test(start_paused = true)]
async fn metadata_reaches_storage() {
    let text = "# HELP a All of it.\n# TYPE a counter\na 1\n# TYPE b gauge\nb 1\n";
    let (bench, error) = scrape_once(text, |_| {}).await;
    assert_eq!(error, "");
    let known = bench.storage().metadata(&TenantId::anonymous(), None).expect("known");
    let a = &known["a"][0];
    assert_eq!((a.metric_type, a.help.as_str()), (MetricType::Counter, "All of it."));
    assert_eq!(known["b"][0].metric_type, MetricType::Gauge);
}

#[test]
fn what_is_asked_for_is_what_the_job_lists() {
    let recipe = crate::recipe::Recipe::http(job("h:1", |job| {
        job.protocols = vec![ScrapeProtocol::PrometheusProto, ScrapeProtocol::PrometheusText0_0_4];
    }));
    let recipe = recipe.expect("a client");
    assert_eq!(
        recipe.headers["accept"],
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
         text/plain;version=0.0.4;q=0.5,*/*;q=0.4"
    );
    assert_eq!(recipe.headers["accept-encoding"], "zstd, gzip;q=0.9");
}

/// Two targets that expose the same, one after the other; the series limit is `limit`.
fn limited(limit: u64) -> Job {
    job("h:1", |job| {
        (job.interval_ms, job.timeout_ms) = (10_000, 10_000);
        job.series_limit = limit;
    })
}

#[tokio::test(start_paused = true)]
async fn the_series_limit_leaves_out_only_what_is_new_and_too_much() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("a 1\nb 1\n");
    let pool = bench.pool(limited(3), &exposed);
    pass_s(10).await;
    exposed.set("a 2\nb 2\nc 2\nd 2\ne 2\n");
    pass_s(10).await;
    let target = || bench.env.views.read().values().next().expect("a pool").active("here").remove(0);
    assert_eq!((target().last_error.as_str(), target().last_excess_count), ("", 2));
    let storage = bench.storage();
    assert_eq!(values(storage, "up"), [Some(1.0), Some(1.0)]);
    assert_eq!(values(storage, "a"), [Some(1.0), Some(2.0)]);
    assert_eq!((values(storage, "c").len(), values(storage, "d").len()), (1, 0));
    assert_eq!(values(storage, "scrape_samples_post_metric_relabeling"), [Some(2.0), Some(5.0)]);
    assert_eq!(values(storage, "scrape_series_added"), [Some(2.0), Some(1.0)]);
    assert_eq!(bench.counter("kymo_scrape_samples_dropped_total{reason=\"series_limit\"}"), 2.0);
    assert_eq!(bench.counter("kymo_scrape_series{scrape_job=\"j\"}"), 3.0);
    // One that ends makes room for one that waits; whichever it was, the next scrape has it.
    exposed.set("a 3\nb 3\nd 3\ne 3\n");
    pass_s(20).await;
    assert_eq!(values(storage, "c").last(), Some(&None), "it has ended");
    assert_eq!(values(storage, "d").len() + values(storage, "e").len(), 1);
    assert_eq!((target().last_excess_count, values(storage, "a").len()), (1, 4));
    exposed.set("a 4\nb 4\n");
    pass_s(10).await;
    assert_eq!(target().last_excess_count, 0);
    drop(pool);
}

#[tokio::test(start_paused = true)]
async fn the_series_limit_is_of_all_targets_together_and_can_be_raised() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("a 1\nb 1\nc 1\n");
    let two = |limit: u64| {
        let mut job = limited(limit);
        job.discovery.static_configs = vec![fixed(&["h:1", "h:2"])];
        job
    };
    let mut pool = bench.pool(two(4), &exposed);
    pass_s(30).await;
    let stored = || ["a", "b", "c"].iter().map(|name| series(bench.storage(), name).len()).sum::<usize>();
    assert_eq!(stored(), 4);
    pool.reload(crate::recipe::Recipe::built_in(two(0), exposed.clone(), false)).await;
    pass_s(20).await;
    assert_eq!(stored(), 6);
    pool.reload(crate::recipe::Recipe::built_in(two(1), exposed.clone(), false)).await;
    pass_s(20).await;
    let goes_on =
        series(bench.storage(), "a").iter().all(|(_, samples)| samples.last().is_some_and(|s| s.1.is_some()));
    assert!(goes_on, "what is there stays");
    pool.remove().await;
    pass_s(60).await;
    assert_eq!(bench.counter("kymo_scrape_series{scrape_job=\"j\"}"), 0.0);
}
