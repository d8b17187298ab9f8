//! Protobuf, native histograms, histograms made of classic ones, and names beyond ASCII.

use std::sync::Arc;

use model::histogram::CUSTOM_BUCKETS_SCHEMA;
use model::{Matcher, TenantId};
use storage::Querier;
use storage::memory::MemoryStorage;
use wire::protobuf::{Writer, zigzag_encode};

use super::exporter::{Exporter, Reply};
use super::pools::{Server, active};
use super::virtual_time::{Bench, Exposed, pass_s};
use super::{eventually, histograms, job, rule, series, shared, values};
use crate::settings::{EscapingScheme, Job, ScrapeProtocol, ValidationScheme};
use crate::status::Health;

const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

fn message(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    fill(&mut writer);
    writer.as_bytes().to_vec()
}

/// A family of one metric, behind its length.
fn family(name: &str, kind: u64, field: u32, value: &[u8]) -> Vec<u8> {
    let body = message(|family| {
        family.string(1, name);
        family.string(2, "Help.");
        family.varint(3, kind);
        let metric = message(|metric| {
            let pair = message(|pair| {
                pair.string(1, "x");
                pair.string(2, "y");
            });
            metric.bytes(1, &pair);
            metric.bytes(field, value);
        });
        family.bytes(4, &metric);
    });
    message(|delimited| delimited.bytes(1, &body))[1..].to_vec()
}

/// One classic bucket up to 1, native ones of schema 3 from 1 on, an exemplar and a start.
fn histogram(bucket_count: u64) -> Vec<u8> {
    message(|histogram| {
        histogram.varint(1, bucket_count);
        histogram.double(2, 4.5);
        let time = message(|time| time.int64(1, 1_000));
        let classic = message(|bucket| {
            bucket.varint(1, bucket_count);
            bucket.double(2, 1.0);
        });
        histogram.bytes(3, &classic);
        histogram.varint(5, zigzag_encode(3));
        let span = message(|span| {
            span.varint(1, zigzag_encode(1));
            span.varint(2, bucket_count);
        });
        histogram.bytes(12, &span);
        for at in 0..bucket_count {
            histogram.varint_always(13, zigzag_encode(i64::from(at == 0)));
        }
        histogram.bytes(15, &time);
        let exemplar = message(|exemplar| {
            let pair = message(|pair| {
                pair.string(1, "trace_id");
                pair.string(2, "abc");
            });
            exemplar.bytes(1, &pair);
            exemplar.double(2, 0.5);
            exemplar.bytes(3, &time);
        });
        histogram.bytes(16, &exemplar);
    })
}

fn native(job: &mut Job) {
    job.native_histograms = true;
    job.protocols = ScrapeProtocol::DEFAULT_NATIVE.to_vec();
}

/// Scrapes until the scrape has a health of `want`; the storage, the target's error and what was asked.
async fn scrape(
    body: Vec<u8>,
    want: Health,
    change: impl FnOnce(&mut Job),
) -> (Arc<MemoryStorage>, String, String) {
    let exporter = Exporter::start(Reply::text(PROTOBUF, body)).await;
    let server = Server::start(vec![job(&exporter.address, |job| {
        (job.interval_ms, job.timeout_ms) = (1_000, 1_000);
        change(job);
    })])
    .await;
    eventually("a scrape", || active(&server).health == want).await;
    let error = active(&server).last_error;
    server.handle.stop().await;
    (server.storage, error, exporter.requests().remove(0))
}

#[tokio::test]
async fn protobuf_is_asked_for_first_and_brings_native_histograms() {
    let counter = message(|counter| counter.double(1, 7.0));
    let body = [family("a_total", 0, 3, &counter), family("h", 4, 7, &histogram(3))].concat();
    let (storage, error, request) = scrape(body, Health::Up, |job| {
        native(job);
        job.start_timestamps = true;
    })
    .await;
    assert_eq!(error, "");
    let accept = "accept: application/vnd.google.protobuf;proto=io.prometheus.client.metricfamily;encoding=delimited;q=0.6,\
         application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,";
    assert!(request.contains(accept), "{request}");
    assert_eq!(values(&storage, "a_total")[0], Some(7.0));
    let (_, stored) = histograms(&storage, "h").remove(0);
    assert_eq!((stored.schema, stored.count, stored.sum), (3, 3.0, 4.5));
    assert_eq!(stored.positive_buckets, [1.0; 3]);
    assert_eq!(values(&storage, "scrape_samples_scraped")[0], Some(2.0));
    for none in ["h_bucket", "h_count", "h_sum"] {
        assert_eq!(series(&storage, none).len(), 0, "{none}");
    }
    let tenant = TenantId::anonymous();
    let matchers = vec![vec![Matcher::equal("__name__", "h")]];
    let found = storage.exemplars(&tenant, &matchers, 0, i64::MAX).expect("found");
    let exemplar = &found[0].exemplars[0];
    assert_eq!((exemplar.labels.get("trace_id"), exemplar.timestamp_ms), (Some("abc"), Some(1_000_000)));
    let known = storage.metadata(&tenant, Some("h")).expect("known");
    assert_eq!(
        (known["h"][0].metric_type, known["h"][0].help.as_str()),
        (model::MetricType::Histogram, "Help.")
    );
}

#[tokio::test]
async fn classic_histograms_of_protobuf_come_if_they_are_wanted() {
    let body = || family("h", 4, 7, &histogram(3));
    let (storage, ..) = scrape(body(), Health::Up, |job| {
        native(job);
        job.always_classic_histograms = true;
    })
    .await;
    assert_eq!(histograms(&storage, "h").len(), values(&storage, "h_count").len());
    assert_eq!(values(&storage, "h_sum")[0], Some(4.5));
    let mut bounds: Vec<_> = series(&storage, "h_bucket").into_iter().map(|(labels, _)| labels).collect();
    bounds.sort();
    assert_eq!(bounds.iter().filter_map(|labels| labels.get("le")).collect::<Vec<_>>(), ["+Inf", "1.0"]);
    // Who does not want native histograms gets them as classic ones.
    let (storage, ..) = scrape(body(), Health::Up, |_| {}).await;
    assert_eq!((histograms(&storage, "h").len(), values(&storage, "h_count")[0]), (0, Some(3.0)));
    let (storage, ..) = scrape(body(), Health::Up, |job| job.convert_to_nhcb = true).await;
    let (_, converted) = histograms(&storage, "h").remove(0);
    assert_eq!((converted.schema, converted.custom_values.as_slice()), (CUSTOM_BUCKETS_SCHEMA, &[1.0][..]));
}

#[tokio::test]
async fn native_histograms_are_made_coarser_until_they_fit() {
    let body = || family("h", 4, 7, &histogram(8));
    let of = |storage: &MemoryStorage| histograms(storage, "h").remove(0).1;
    let (storage, ..) = scrape(body(), Health::Up, |job| {
        native(job);
        job.native_histogram_bucket_limit = 3;
    })
    .await;
    assert_eq!((of(&storage).schema, of(&storage).positive_buckets), (1, vec![4.0, 4.0]));
    let (storage, ..) = scrape(body(), Health::Up, |job| {
        native(job);
        job.native_histogram_min_bucket_factor = 2.0;
    })
    .await;
    assert_eq!((of(&storage).schema, of(&storage).positive_buckets), (0, vec![8.0]));
    let (storage, error, _) = scrape(body(), Health::Down, |job| {
        job.convert_to_nhcb = true;
        job.native_histogram_bucket_limit = 1;
    })
    .await;
    assert_eq!(error, "histogram bucket limit exceeded (metric: h, limit: 1)");
    assert_eq!(histograms(&storage, "h").len(), 0);
}

#[tokio::test]
async fn answers_that_are_no_protobuf_or_hold_nonsense_fail() {
    let (_, error, _) = scrape(b"a 1\n".to_vec(), Health::Down, native).await;
    assert_eq!(error, "metric family number 1: the message is cut off");
    let nonsense = message(|histogram| {
        histogram.varint(1, 1);
        histogram.bytes(12, &message(|span| span.varint(2, 5)));
    });
    let (storage, error, _) = scrape(family("h", 4, 7, &nonsense), Health::Down, native).await;
    assert!(error.starts_with("metric h: invalid native histogram: positive side"), "{error}");
    assert!(values(&storage, "up").iter().all(|up| *up == Some(0.0)));
    // What relabelling drops is not looked at.
    let drops = |job: &mut Job| {
        native(job);
        job.metric_relabel.push(rule(r#"{"source_labels":["__name__"],"regex":"h","action":"drop"}"#));
    };
    let (_, error, _) = scrape(family("h", 4, 7, &nonsense), Health::Up, drops).await;
    assert_eq!(error, "");
}

const CLASSIC: &str =
    "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 3\nh_sum 5\nh_count 3\n";

fn converting(always_classic: bool) -> Job {
    job("h:1", |job| {
        (job.interval_ms, job.timeout_ms) = (10_000, 10_000);
        job.convert_to_nhcb = true;
        job.always_classic_histograms = always_classic;
    })
}

#[tokio::test(start_paused = true)]
async fn classic_histograms_become_native_ones_and_end_like_other_series() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set(CLASSIC);
    let _pool = bench.pool(converting(false), &exposed);
    pass_s(20).await;
    exposed.set("b 1\n");
    pass_s(10).await;
    let stored = histograms(bench.storage(), "h");
    assert_eq!(stored.len(), 2);
    assert_eq!((stored[0].1.count, stored[0].1.custom_values.as_slice()), (3.0, &[1.0][..]));
    assert_eq!(values(bench.storage(), "h"), [None], "a marker ends it");
    assert_eq!(series(bench.storage(), "h_count").len(), 0);
    assert_eq!(values(bench.storage(), "scrape_samples_scraped"), [Some(1.0); 3]);
    exposed.set("# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_count 3\nb 1\n");
    pass_s(10).await;
    assert_eq!(values(bench.storage(), "up").last(), Some(&Some(1.0)), "the others go on");
    assert_eq!(bench.counter("kymo_scrape_samples_dropped_total{reason=\"inconsistent_histogram\"}"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn classic_series_stay_beside_them_if_wanted() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set(CLASSIC);
    let _pool = bench.pool(converting(true), &exposed);
    pass_s(10).await;
    assert_eq!(histograms(bench.storage(), "h").len(), 1);
    assert_eq!(values(bench.storage(), "h_count"), [Some(3.0)]);
    assert_eq!(series(bench.storage(), "h_bucket").len(), 2);
    assert_eq!(values(bench.storage(), "scrape_samples_scraped"), [Some(5.0)]);
}

#[tokio::test(start_paused = true)]
async fn switching_the_conversion_on_ends_the_classic_series() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set(CLASSIC);
    let plain = || {
        let mut job = converting(false);
        job.convert_to_nhcb = false;
        job
    };
    let mut pool = bench.pool(plain(), &exposed);
    pass_s(10).await;
    let recipe = |job| crate::recipe::Recipe::built_in(job, exposed.clone(), false);
    pool.reload(recipe(converting(false))).await;
    pass_s(10).await;
    assert_eq!(values(bench.storage(), "h_count"), [Some(3.0), None]);
    assert_eq!(histograms(bench.storage(), "h").len(), 1);
    pool.reload(recipe(plain())).await;
    pass_s(10).await;
    assert_eq!(values(bench.storage(), "h_count"), [Some(3.0), None, Some(3.0)]);
    assert_eq!(values(bench.storage(), "h"), [None]);
}

#[tokio::test]
async fn names_beyond_ascii_are_asked_for_and_checked_as_the_job_says() {
    let text = "{\"a.b\",\"c-d\"=\"é\"} 1\n";
    let check = |scheme: EscapingScheme, word: &'static str| async move {
        let exporter = Exporter::start(Reply::text("text/plain; version=1.0.0", text)).await;
        let server = Server::start(vec![job(&exporter.address, |job| {
            (job.interval_ms, job.timeout_ms) = (1_000, 1_000);
            job.escaping = scheme;
        })])
        .await;
        eventually("a request", || !exporter.requests().is_empty()).await;
        server.handle.stop().await;
        let request = exporter.requests().remove(0);
        let wanted = format!("text/plain;version=1.0.0;escaping={word};q=0.4");
        assert!(request.contains(&wanted), "{request}");
        assert!(
            request.contains(&format!("openmetrics-text;version=1.0.0;escaping={word};q=0.6")),
            "{request}"
        );
    };
    check(EscapingScheme::AllowUtf8, "allow-utf-8").await;
    check(EscapingScheme::Underscores, "underscores").await;
    check(EscapingScheme::Dots, "dots").await;
    check(EscapingScheme::Values, "values").await;
    for (validation, want) in [(ValidationScheme::Utf8, Health::Up), (ValidationScheme::Legacy, Health::Down)]
    {
        let exporter = Exporter::start(Reply::text("text/plain; version=1.0.0", text)).await;
        let server = Server::start(vec![job(&exporter.address, |job| {
            (job.interval_ms, job.timeout_ms) = (1_000, 1_000);
            job.validation = validation;
        })])
        .await;
        eventually("a scrape", || active(&server).health == want).await;
        let error = active(&server).last_error;
        server.handle.stop().await;
        let stored = series(&server.storage, "a.b");
        match want {
            Health::Up => assert_eq!(stored[0].0.get("c-d"), Some("é")),
            _ => {
                assert!(stored.is_empty() && error.contains("invalid metric name or label names"), "{error}");
            }
        }
    }
}

/// A native histogram and whatever makes it large.
fn bloated(fill: impl Fn(&mut Writer)) -> Vec<u8> {
    let value = message(|histogram| {
        histogram.varint(1, 1);
        histogram.varint(7, 1);
        fill(histogram);
    });
    family("bloated", 4, 7, &value)
}

#[tokio::test]
async fn a_histogram_of_very_many_parts_is_refused_before_it_takes_memory() {
    // Two bytes each make a span of eight, one byte a bucket of sixteen, and three an exemplar of a hundred.
    let spans = bloated(|histogram| (0..70_000).for_each(|_| histogram.bytes(12, &[])));
    let buckets = bloated(|histogram| histogram.bytes(13, &[0; 70_000]));
    let exemplars = bloated(|histogram| (0..70_000).for_each(|_| histogram.bytes(16, &[])));
    for (body, want) in [(spans, "65536 spans"), (buckets, "65536 buckets"), (exemplars, "65536 exemplars")] {
        let exporter = Exporter::start(Reply::text(PROTOBUF, body)).await;
        let quick =
            |job: &mut Job| (job.interval_ms, job.timeout_ms, job.native_histograms) = (100, 100, true);
        let server = Server::start(vec![job(&exporter.address, quick)]).await;
        eventually(want, || {
            active(&server).last_error.contains(&format!("a histogram has more than {want}"))
        })
        .await;
        server.handle.stop().await;
    }
}

#[tokio::test]
async fn what_an_answer_becomes_is_taken_from_the_memory_of_scraping() {
    let value = message(|histogram| {
        histogram.varint(1, 1);
        histogram.varint(7, 1);
    });
    let one = |at: usize| family(&format!("h{at}"), 4, 7, &value);
    let body: Vec<u8> = (0..20_000).flat_map(one).collect();
    // The answer itself has room several times.
    let budget = stdx::memory::Budget::root("scrape", 3 * body.len() as u64);
    let exporter = Exporter::start(Reply::text(PROTOBUF, body)).await;
    let patient = |job: &mut Job| {
        (job.interval_ms, job.timeout_ms, job.native_histograms) = (20_000, 20_000, true);
    };
    let jobs = vec![job(&exporter.address, patient)];
    let settings = crate::settings::Settings { jobs, host_collector: None, ..Default::default() };
    let server = Server::start_with(settings, |deps| deps.body_budget = Arc::clone(&budget)).await;
    eventually("the scrape to be refused", || active(&server).last_error.contains("too much memory")).await;
    server.handle.stop().await;
    assert_eq!(budget.used_bytes(), 0, "all of it is given back");
}
