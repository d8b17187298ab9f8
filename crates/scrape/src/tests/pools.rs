//! The door: start, reload, stop; what is shown of targets; many targets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::TenantId;
use stdx::clock::SystemClock;
use stdx::memory::Budget;
use stdx::rand::SeededRandom;
use storage::memory::MemoryStorage;

use super::exporter::{Exporter, Reply};
use super::virtual_time::{Bench, Exposed, START_MS, TokioClock, pass_s};
use super::{eventually, fixed, job, series, shared, values};
use crate::settings::{HostCollector, Job, Settings};
use crate::status::{ActiveTarget, Health};
use crate::{Deps, Handle};

/// Scraping as the binary starts it, against the reference storage.
pub(super) struct Server {
    pub(super) handle: Handle,
    pub(super) storage: Arc<MemoryStorage>,
    registry: prometheus::Registry,
}

impl Server {
    pub(super) async fn start(jobs: Vec<Job>) -> Self {
        Self::start_with(Settings { jobs, host_collector: None, ..Settings::default() }, |_| {}).await
    }

    pub(super) async fn start_with(settings: Settings, change: impl FnOnce(&mut Deps)) -> Self {
        let storage = MemoryStorage::new();
        let registry = prometheus::Registry::new();
        let mut deps = Deps {
            appender: storage.clone(),
            tenant: TenantId::anonymous(),
            clock: SystemClock::shared(),
            random: Arc::new(SeededRandom::new(1)),
            registry: registry.clone(),
            host_name: "web1".into(),
            self_metrics: None,
            body_budget: Budget::unlimited(),
            runtime: tokio::runtime::Handle::current(),
        };
        change(&mut deps);
        let handle = crate::start(settings, deps).await.expect("started");
        Self { handle, storage, registry }
    }
}

/// The only target.
#[track_caller]
pub(super) fn active(server: &Server) -> ActiveTarget {
    let mut active = server.handle.targets().active();
    // Targets are there once discovery has published.
    active.pop().unwrap_or(ActiveTarget {
        pool: String::new(),
        discovered_labels: model::Labels::empty(),
        labels: model::Labels::empty(),
        scrape_url: String::new(),
        global_url: String::new(),
        last_error: String::new(),
        last_scrape_ms: 0,
        last_scrape_duration_s: 0.0,
        last_sample_count: 0,
        last_excess_count: 0,
        health: Health::Unknown,
        interval_ms: 0,
        timeout_ms: 0,
    })
}

fn settings(jobs: Vec<Job>) -> Settings {
    Settings { jobs, host_collector: None, ..Settings::default() }
}

fn named(name: &str, address: &str, change: impl FnOnce(&mut Job)) -> Job {
    job(address, |job| {
        job.name = name.to_owned();
        (job.interval_ms, job.timeout_ms) = (100, 100);
        change(job);
    })
}

#[tokio::test]
async fn a_target_is_shown_with_its_labels_and_what_its_last_scrape_came_to() {
    let exporter = Exporter::start(Reply::text("text/plain", "a 1\nb 2\n")).await;
    let server = Server::start(vec![named("node", &exporter.address, |_| {})]).await;
    // The next scrape may fail: on a busy machine, a short timeout is soon over.
    let seen = std::cell::RefCell::new(active(&server));
    eventually("a scrape works", || {
        seen.replace(active(&server));
        seen.borrow().health == Health::Up
    })
    .await;
    let target = seen.into_inner();
    let port = exporter.address.rsplit(':').next().expect("a port");
    assert_eq!(target.pool, "node");
    assert_eq!(target.scrape_url, format!("http://{}/metrics", exporter.address));
    assert_eq!(target.global_url, format!("http://web1:{port}/metrics"));
    assert_eq!(target.labels.get("instance"), Some(exporter.address.as_str()));
    assert_eq!(target.discovered_labels.get("__metrics_path__"), Some("/metrics"));
    assert_eq!((target.last_sample_count, target.last_error.as_str()), (2, ""));
    assert_eq!((target.interval_ms, target.timeout_ms), (100, 100));
    assert!(target.last_scrape_ms > 0 && target.last_scrape_duration_s > 0.0);
    assert_eq!(server.handle.targets().pools(), ["node"]);
    server.handle.stop().await;
    assert!(server.handle.targets().pools().is_empty());
}

#[tokio::test]
async fn a_reload_touches_only_what_changed_and_a_bad_one_nothing() {
    let exporter = Exporter::start(Reply::text("text/plain", "a 1\n")).await;
    let (stays, goes) = (named("stays", &exporter.address, |_| {}), named("goes", &exporter.address, |_| {}));
    let server = Server::start(vec![stays.clone(), goes.clone()]).await;
    let view = server.handle.targets();
    eventually("both work", || view.active().iter().filter(|t| t.health == Health::Up).count() == 2).await;

    let broken = named("broken", &exporter.address, |job| {
        job.http.tls_config.ca_file = "/does/not/exist.pem".into();
    });
    let refused = server.handle.reload(settings(vec![broken, stays.clone()])).await;
    assert!(refused.expect_err("no such file").to_string().contains("scrape job \"broken\""));
    assert_eq!(view.pools(), ["goes", "stays"]);

    let new = named("new", &exporter.address, |_| {});
    server.handle.reload(settings(vec![stays, new])).await.expect("reloaded");
    assert_eq!(view.pools(), ["new", "stays"]);
    eventually("the new one works", || view.active().iter().all(|t| t.health == Health::Up)).await;
    let reloads = server.registry.gather().into_iter().find(|f| f.name() == "kymo_scrape_pool_reloads_total");
    assert_eq!(reloads.expect("registered").get_metric()[0].get_counter().get_value(), 0.0);
    server.handle.stop().await;
}

#[tokio::test]
async fn targets_in_files_come_and_go() {
    let exporter = Exporter::start(Reply::text("text/plain", "a 1\n")).await;
    let directory = tempfile::tempdir().expect("a directory");
    let write = |text: String| {
        let mut file = tempfile::NamedTempFile::new_in(directory.path()).expect("a file");
        std::io::Write::write_all(&mut file, text.as_bytes()).expect("written");
        file.persist(directory.path().join("t.json")).expect("renamed");
    };
    write("[]".into());
    let from_file = named("files", "", |job| {
        job.discovery.static_configs.clear();
        job.discovery.file_sd_configs = vec![discovery::settings::FileSd {
            files: vec![directory.path().join("*.json").to_string_lossy().into_owned()],
            ..Default::default()
        }];
    });
    let server = Server::start(vec![from_file]).await;
    let view = server.handle.targets();
    write(format!("[{{\"targets\":[\"{}\"],\"labels\":{{\"env\":\"prod\"}}}}]", exporter.address));
    eventually("the target is scraped", || view.active().iter().any(|t| t.health == Health::Up)).await;
    let target = active(&server);
    assert_eq!(target.labels.get("env"), Some("prod"));
    assert!(target.discovered_labels.get("__meta_filepath").is_some_and(|path| path.ends_with("/t.json")));
    write("[]".into());
    eventually("the target is gone", || view.active().is_empty()).await;
    server.handle.stop().await;
}

#[tokio::test]
async fn the_machine_and_kymo_itself_are_built_in_targets() {
    let exposed = shared::<Exposed>();
    exposed.set("kymo_something 1\n");
    // Hours between slots: what is seen is the scrape at once.
    let host = HostCollector { job: "node".into(), interval_ms: 86_400_000 };
    let all = Settings { jobs: vec![], host_collector: Some(host), ..Settings::default() };
    let server = Server::start_with(all, |deps| deps.self_metrics = Some(exposed)).await;
    let view = server.handle.targets();
    eventually("both are up", || {
        view.active().len() == 2 && view.active().iter().all(|t| t.health == Health::Up)
    })
    .await;
    let urls: Vec<(String, String)> = view.active().into_iter().map(|t| (t.pool, t.scrape_url)).collect();
    let want = [("kymo", "builtin://exposed"), ("node", "builtin://host")];
    assert_eq!(urls, want.map(|(pool, url)| (pool.to_owned(), url.to_owned())));
    let (labels, _) = series(&server.storage, "node_time_seconds").remove(0);
    assert_eq!((labels.get("job"), labels.get("instance")), (Some("node"), Some("web1")));
    assert_eq!(series(&server.storage, "kymo_something").len(), 1);
    server.handle.reload(settings(vec![])).await.expect("reloaded");
    assert_eq!(view.pools(), ["kymo"]);
    server.handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_targets_are_spread_over_the_interval_and_keep_their_slots() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("a 1\nb{x=\"y\"} 2\n");
    let addresses: Vec<String> = (0..1_000).map(|i| format!("host-{i}:9100")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let many = |timeout_ms| {
        job("", |job| {
            (job.interval_ms, job.timeout_ms) = (10_000, timeout_ms);
            job.discovery.static_configs = vec![fixed(&addresses)];
        })
    };
    let mut pool = bench.pool(many(5_000), &exposed);
    pass_s(20).await;
    // A changed job restarts every loop; slots stay.
    pool.reload(crate::recipe::Recipe::built_in(many(6_000), exposed.clone(), false)).await;
    pass_s(20).await;
    // The first slot of one target is the beginning of the interval, and so its last one is now.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let found = series(bench.storage(), "a");
    assert_eq!(found.len(), 1_000);
    let mut slots = BTreeSet::new();
    for (labels, samples) in &found {
        let times: Vec<i64> = samples.iter().map(|(t, _)| *t).collect();
        assert_eq!(times.len(), 4, "{labels}: {times:?}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 10_000), "{labels}: {times:?}");
        assert!(samples.iter().all(|(_, value)| *value == Some(1.0)));
        slots.insert(times[0] - START_MS);
    }
    // An interval has a thousand slots, and chance leaves a third of them to nobody.
    assert!(slots.len() > 550 && *slots.last().expect("some") <= 10_000, "{} slots", slots.len());
    assert_eq!(bench.counter("kymo_scrape_targets{scrape_job=\"j\",state=\"active\"}"), 1_000.0);
    assert_eq!(bench.counter("kymo_scrape_scrapes_total{result=\"ok\"}"), 4_000.0);
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_slow_target() {
    let exporter = Exporter::start(Reply::Silence).await;
    let server = Server::start_with(
        settings(vec![named("slow", &exporter.address, |job| {
            (job.interval_ms, job.timeout_ms) = (3_600_000, 3_600_000);
        })]),
        |deps| deps.clock = TokioClock::shared(),
    )
    .await;
    let began = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(3_601)).await;
    server.handle.stop().await;
    assert!(began.elapsed() < Duration::from_secs(3_602));
    assert!(values(&server.storage, "up").is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_interval_takes_effect_and_series_go_on() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("a 1\n");
    let every = |interval_ms| job("h:1", |job| (job.interval_ms, job.timeout_ms) = (interval_ms, 5_000));
    let mut pool = bench.pool(every(10_000), &exposed);
    pass_s(30).await;
    pool.reload(crate::recipe::Recipe::built_in(every(30_000), exposed.clone(), false)).await;
    pass_s(120).await;
    let samples = series(bench.storage(), "a").remove(0).1;
    assert!(samples.iter().all(|(_, value)| *value == Some(1.0)), "{samples:?}");
    let steps: Vec<i64> = samples.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert_eq!(steps[..2], [10_000; 2]);
    assert_eq!(steps[3..], [30_000; 3]);
    assert_eq!(values(bench.storage(), "scrape_series_added")[1..], [Some(0.0); 6]);
}

#[tokio::test(start_paused = true)]
async fn a_pool_recovers_when_it_has_no_more_targets_than_it_may() {
    let (bench, exposed) = (Bench::new(), shared::<Exposed>());
    exposed.set("a 1\n");
    let with = |addresses: &[&str]| {
        job("", |job| {
            (job.interval_ms, job.timeout_ms, job.target_limit) = (10_000, 5_000, 1);
            job.discovery.static_configs = vec![fixed(addresses)];
        })
    };
    let mut pool = bench.pool(with(&["h:1", "h:2"]), &exposed);
    pass_s(10).await;
    assert_eq!(series(bench.storage(), "a").len(), 0);
    pool.reload(crate::recipe::Recipe::built_in(with(&["h:1"]), exposed.clone(), false)).await;
    pass_s(10).await;
    assert_eq!(values(bench.storage(), "a"), [Some(1.0)]);
    assert!(bench.counter("kymo_scrape_limits_exceeded_total{limit=\"target_limit\"}") >= 2.0);
}
