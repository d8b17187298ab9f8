//! When series end, and when they do not.

use super::virtual_time::{Bench, Exposed, pass_s};
use super::{fixed, job, rule, series, shared, values};
use crate::settings::Job;

/// A job in which exactly one scrape happens every ten seconds.
fn every_ten_s(change: impl FnOnce(&mut Job)) -> Job {
    job("h:1", |job| {
        job.interval_ms = 10_000;
        job.timeout_ms = 5_000;
        change(job);
    })
}

#[tokio::test(start_paused = true)]
async fn a_vanished_series_is_ended_once_at_the_time_of_the_scrape_that_lacks_it() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    let _pool = bench.pool(every_ten_s(|_| {}), &exposed);
    exposed.set("stays 1\ngoes 2\n");
    pass_s(10).await;
    exposed.set("stays 1\n");
    pass_s(20).await;
    exposed.set("stays 1\ngoes 3\n");
    pass_s(10).await;
    let storage = bench.storage();
    assert_eq!(values(storage, "stays"), [Some(1.0); 4]);
    assert_eq!(values(storage, "goes"), [Some(2.0), None, Some(3.0)]);
    let (stays, goes) = (series(storage, "stays").remove(0).1, series(storage, "goes").remove(0).1);
    assert_eq!(goes[1].0, stays[1].0, "the marker has the time of the scrape");
    assert!(stays.windows(2).all(|pair| pair[1].0 - pair[0].0 == 10_000), "{stays:?}");
    assert_eq!(values(storage, "scrape_series_added"), [Some(2.0), Some(0.0), Some(0.0), Some(1.0)]);
    assert_eq!(values(storage, "up"), [Some(1.0); 4]);
    assert_eq!(bench.counter("kymo_scrape_stale_markers_total"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_scrape_ends_all_series_and_stores_none_of_its_samples() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    let _pool = bench.pool(every_ten_s(|_| {}), &exposed);
    exposed.set("a 1\nb 2\n");
    pass_s(10).await;
    exposed.set("a 1\nb 2\nthis is {no line\n");
    pass_s(20).await;
    exposed.set("a 1\nb 2\n");
    pass_s(10).await;
    let storage = bench.storage();
    assert_eq!(values(storage, "a"), [Some(1.0), None, Some(1.0)]);
    assert_eq!(values(storage, "b"), [Some(2.0), None, Some(2.0)]);
    assert_eq!(values(storage, "up"), [Some(1.0), Some(0.0), Some(0.0), Some(1.0)]);
    assert_eq!(values(storage, "scrape_series_added"), [Some(2.0), Some(0.0), Some(0.0), Some(0.0)]);
    assert_eq!(bench.counter("kymo_scrape_parse_errors_total"), 2.0);
}

#[tokio::test(start_paused = true)]
async fn the_series_of_a_vanished_target_end_two_intervals_later() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("a 1\n");
    let pool = bench.pool(every_ten_s(|_| {}), &exposed);
    pass_s(10).await;
    pool.remove().await;
    pass_s(10).await;
    assert_eq!(values(bench.storage(), "a"), [Some(1.0)], "it might come back");
    pass_s(12).await;
    for metric in ["a", "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added"] {
        let samples = series(bench.storage(), metric).remove(0).1;
        assert_eq!(samples.len(), 2, "{metric}: {samples:?}");
        assert_eq!((samples[1].0 - samples[0].0, samples[1].1), (10_000, None), "{metric}");
    }
    pass_s(60).await;
    assert_eq!(values(bench.storage(), "a"), [Some(1.0), None], "once");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_comes_back_in_time_goes_on_without_a_gap() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("a 1\n");
    let mut pool = bench.pool(every_ten_s(|_| {}), &exposed);
    pass_s(10).await;
    let gone = every_ten_s(|job| job.discovery.static_configs = vec![fixed(&["other:1"])]);
    pool.reload(crate::recipe::Recipe::built_in(gone, exposed.clone(), false)).await;
    pass_s(10).await;
    pool.reload(crate::recipe::Recipe::built_in(every_ten_s(|_| {}), exposed.clone(), false)).await;
    pass_s(60).await;
    let found = series(bench.storage(), "a");
    let of = |instance: &str| {
        let samples = found.iter().find(|(labels, _)| labels.get("instance") == Some(instance));
        samples.expect("scraped").1.iter().map(|(_, value)| *value).collect::<Vec<_>>()
    };
    assert_eq!(of("h:1"), [Some(1.0); 7]);
    assert_eq!(of("other:1"), [Some(1.0), None]);
}

#[tokio::test(start_paused = true)]
async fn a_target_with_another_url_and_the_same_labels_keeps_its_series_alive() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("a 1\nb 1\n");
    let named = |job: &mut Job| job.relabel.push(rule(r#"{"target_label":"instance","replacement":"db"}"#));
    let mut pool = bench.pool(every_ten_s(named), &exposed);
    pass_s(10).await;
    exposed.set("a 1\n");
    let moved = every_ten_s(|job| {
        named(job);
        job.name = "renamed".into();
        job.discovery.static_configs = vec![discovery::settings::StaticGroup {
            labels: std::collections::BTreeMap::from([("job".to_owned(), "j".to_owned())]),
            ..fixed(&["elsewhere:2"])
        }];
    });
    let successor = bench.pool(moved, &exposed);
    pass_s(10).await;
    let emptied = every_ten_s(|job| job.discovery.static_configs.clear());
    pool.reload(crate::recipe::Recipe::built_in(emptied, exposed.clone(), false)).await;
    pass_s(60).await;
    drop(successor);
    let storage = bench.storage();
    assert!(values(storage, "a").iter().all(Option::is_some), "{:?}", series(storage, "a"));
    assert!(values(storage, "up").iter().all(Option::is_some));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_server_ends_nothing() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("a 1\n");
    let _pool = bench.pool(every_ten_s(|_| {}), &exposed);
    pass_s(10).await;
    bench.env.stop.cancel();
    bench.env.tasks.close();
    bench.env.tasks.wait().await;
    pass_s(60).await;
    assert_eq!(values(bench.storage(), "a"), [Some(1.0)]);
}

#[tokio::test(start_paused = true)]
async fn new_rules_end_the_series_they_no_longer_yield() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("a 1\nb 1\n");
    let mut pool = bench.pool(every_ten_s(|_| {}), &exposed);
    pass_s(10).await;
    let drops = every_ten_s(|job| {
        job.metric_relabel.push(rule(r#"{"source_labels":["__name__"],"regex":"b","action":"drop"}"#));
    });
    pool.reload(crate::recipe::Recipe::built_in(drops, exposed.clone(), false)).await;
    pass_s(20).await;
    let storage = bench.storage();
    assert_eq!(values(storage, "a"), [Some(1.0); 3]);
    assert_eq!(values(storage, "b"), [Some(1.0), None]);
    assert_eq!(values(storage, "scrape_samples_scraped"), [Some(2.0); 3]);
    assert_eq!(values(storage, "scrape_samples_post_metric_relabeling"), [Some(2.0), Some(1.0), Some(1.0)]);
}

#[tokio::test(start_paused = true)]
async fn series_with_own_timestamps_end_only_if_that_is_tracked() {
    for (track, want_marker) in [(false, false), (true, true)] {
        let (bench, exposed) = (Bench::new(), shared::<Exposed>());
        let _pool = bench.pool(every_ten_s(|job| job.track_timestamps_staleness = track), &exposed);
        exposed.set("a 1 999999999000\n");
        pass_s(10).await;
        exposed.set("b 1\n");
        pass_s(10).await;
        let samples = series(bench.storage(), "a").remove(0).1;
        assert_eq!(samples[0], (999_999_999_000, Some(1.0)));
        assert_eq!(samples.get(1).is_some_and(|(_, value)| value.is_none()), want_marker, "{samples:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn timestamps_that_are_not_honoured_are_those_of_the_scrape() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    let _pool = bench.pool(every_ten_s(|job| job.honor_timestamps = false), &exposed);
    exposed.set("a 1 5\n");
    pass_s(10).await;
    let (a, up) = (series(bench.storage(), "a").remove(0).1, series(bench.storage(), "up").remove(0).1);
    assert_eq!(a[0].0, up[0].0);
}

#[tokio::test(start_paused = true)]
async fn series_that_storage_refuses_are_not_ended() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("a 1\nb 1\n");
    *bench.fickle.rejects.lock() = Some("b");
    let _pool = bench.pool(every_ten_s(|_| {}), &exposed);
    pass_s(10).await;
    *bench.fickle.rejects.lock() = None;
    exposed.set("a 1\n");
    pass_s(10).await;
    assert_eq!(values(bench.storage(), "a"), [Some(1.0); 2]);
    assert_eq!(values(bench.storage(), "b"), []);
    assert_eq!(values(bench.storage(), "up"), [Some(1.0); 2]);
    assert_eq!(bench.counter("kymo_scrape_samples_dropped_total{reason=\"series_limit\"}"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn storage_that_cannot_make_samples_safe_fails_the_scrape_and_does_not_stop_scraping() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("a 1\n");
    let group = storage::CommitGroup::new();
    *bench.fickle.commit.lock() = Some(group.clone());
    let _pool = bench.pool(every_ten_s(|_| {}), &exposed);
    let last_error =
        || bench.env.views.read().values().next().expect("a pool").active("here").remove(0).last_error;
    pass_s(40).await;
    assert_eq!(last_error(), "storage took the samples and has not made them safe yet");
    let scraped = values(bench.storage(), "a").len();
    assert!((2..4).contains(&scraped), "{scraped} scrapes");
    group.complete(Err(storage::Error::new(storage::ErrorKind::Unavailable, "the disk is gone")));
    pass_s(10).await;
    assert_eq!(last_error(), "storage refused the samples: the disk is gone");
}

#[tokio::test(start_paused = true)]
async fn storage_that_refuses_fails_the_scrape_and_ends_nothing() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("a 1\nb 1\n");
    let _pool = bench.pool(every_ten_s(|_| {}), &exposed);
    pass_s(10).await;
    *bench.fickle.refuses.lock() = true;
    exposed.set("a 1\n");
    pass_s(10).await;
    let view = bench.env.views.read().values().next().expect("a pool").active("here").remove(0);
    assert_eq!(view.last_error, "storage refused the samples: the disk is full");
    assert_eq!(view.health, crate::status::Health::Down);
    *bench.fickle.refuses.lock() = false;
    pass_s(10).await;
    let storage = bench.storage();
    assert_eq!(values(storage, "a"), [Some(1.0), Some(1.0)]);
    assert_eq!(values(storage, "b"), [Some(1.0), None], "ended as soon as it can be");
    assert_eq!(values(storage, "up"), [Some(1.0), Some(1.0)]);
}
